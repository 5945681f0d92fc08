//! Nobody reinstalls by accident, and nobody makes a second cluster.

use super::super::{Choice, Doubt, Event, History, Machine, Strangers, decide, roster};
use super::told::{Told, armed_for, at, booted, ignition, install, installed};
use super::{inventory_with, three};
use crate::inventory::InstallForm;

#[test]
fn a_host_that_nobody_armed_starts_from_its_disk_and_says_how_to_install_it() {
    let inventory = three("bootstrap");
    let mut told = Told::new(&inventory);
    for host in ["one", "two"] {
        let held = decide(&inventory, inventory.host(host).unwrap(), &told.history, at(0));
        assert_eq!((held.boots, held.is_held), (Choice::Local, true));
        assert_eq!(held.why, format!("no install of it is known; to install it: pxe-serve arm {host}"));
    }
    assert_eq!(told.now("three"), install("three"), "boot: install is a word, too");
    told.happens("two", armed_for(&told, 60, false));
    told.happens("two", ignition("two"));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
    told.happens("two", ignition("two"));
    told.now += 60;
    let held = decide(&inventory, inventory.host("two").unwrap(), &told.history, at(told.now));
    assert!(held.is_held && held.why.contains("has not reported yet"), "the arming is over: {}", held.why);
}

#[test]
fn new_is_who_was_never_installed_and_is_not_armed_and_whose_boot_is_install_once() {
    let hosts = "  a: {address: 192.168.26.5, mac: 52:54:00:00:00:01}
  b: {address: 192.168.26.6, mac: 52:54:00:00:00:02, boot: local}
  c: {address: 192.168.26.7, mac: 52:54:00:00:00:03, boot: install}
  d: {address: 192.168.26.8, mac: 52:54:00:00:00:04}
  e: {address: 192.168.26.9, mac: 52:54:00:00:00:05}
  f: {address: 192.168.26.10, mac: 52:54:00:00:00:06}
";
    let inventory = inventory_with("reinstall", hosts);
    let mut told = Told::new(&inventory);
    told.happens("d", installed("d"));
    told.happens("e", armed_for(&told, 60, false));
    told.boots("f", InstallForm::Verified);
    let new = |history: &History| {
        let roster = roster(&inventory, history, &Strangers::default(), at(0));
        let new = roster.hosts.into_iter().filter(|host| host.is_new);
        new.map(|host| host.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(new(&told.history), ["a", "f"]);
    told.history.doubt();
    assert_eq!(new(&told.history), [""; 0], "who was installed is not known");
}

#[test]
fn a_host_installs_until_it_reports_and_then_starts_from_its_disk() {
    for report in [installed("two"), booted("two")] {
        let inventory = three("reinstall");
        let mut told = Told::new(&inventory);
        told.happens("two", armed_for(&told, 60, false));
        assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
        told.happens("two", ignition("two"));
        told.happens("two", Event::InstallFailed { config: "two".into(), message: String::new() });
        assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
        told.happens("two", report);
        assert_eq!(told.boots("two", InstallForm::Verified), Choice::Local);
    }
}

#[test]
fn a_host_whose_reports_never_arrive_is_not_installed_a_fourth_time_until_somebody_has_looked() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.happens("two", armed_for(&told, 86_400, false));
    for host in ["two", "three"] {
        for _ in 0..3 {
            // What cannot be downloaded is asked for again, for minutes.
            for _ in 0..20 {
                assert_eq!(told.boots(host, InstallForm::Verified), install(host));
                told.now += 10;
            }
            told.now += 60;
        }
        let held = decide(&inventory, inventory.host(host).unwrap(), &told.history, at(told.now));
        assert!(held.is_held && held.why.contains("3 times, nobody reported"), "{held:?}");
        assert_eq!(told.boots(host, InstallForm::Verified), Choice::Local);
        told.now += 3600;
        assert_eq!(told.boots(host, InstallForm::Verified), Choice::Local);
        for goes_on in [
            armed_for(&told, 60, false),
            Event::InstallFailed { config: host.into(), message: String::new() },
        ] {
            let mut told = Told { history: told.history.clone(), ..told };
            told.happens(host, goes_on);
            assert_eq!(told.boots(host, InstallForm::Verified), install(host));
        }
    }
}

#[test]
fn an_arming_lasts_for_one_install_or_its_time() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.happens("two", installed("two"));
    told.happens("two", armed_for(&told, 60, false));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"), "the first attempt did not get far");
    told.happens("two", installed("two"));
    assert_eq!(told.boots("two", InstallForm::Verified), Choice::Local);

    told.happens("two", armed_for(&told, 60, false));
    told.now += 59;
    assert_eq!(told.now("two"), install("two"));
    told.now += 1;
    assert_eq!(told.now("two"), Choice::Local);

    told.happens("two", armed_for(&told, 60, false));
    told.happens("two", Event::Disarmed);
    assert_eq!(told.now("two"), Choice::Local);
}

#[test]
fn a_disk_that_an_install_left_half_written_is_not_called_installed() {
    let inventory = three("reinstall");
    let failed = || Event::InstallFailed { config: "two".into(), message: String::new() };
    for (what, events) in
        [("failed", vec![ignition("two"), failed()]), ("never reported", vec![ignition("two")])]
    {
        let mut told = Told::new(&inventory);
        told.happens("two", installed("two"));
        told.happens("two", armed_for(&told, 60, false));
        assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
        events.into_iter().for_each(|event| told.happens("two", event));
        // One that starts from its disk while it is armed shows that this is good.
        let mut runs = Told { history: told.history.clone(), ..told };
        runs.happens("two", booted("two"));
        runs.now += 60;
        let starts = decide(&inventory, inventory.host("two").unwrap(), &runs.history, at(runs.now));
        assert!(!starts.is_held, "{what}: {}", starts.why);
        told.now += 60;
        for number in 0..2 {
            let held = decide(&inventory, inventory.host("two").unwrap(), &told.history, at(told.now));
            assert_eq!((held.boots, held.is_held), (Choice::Local, true), "{what}");
            // It may still be at it, until the machine asks for another script.
            let word = match (what, number) {
                ("failed", _) => "failed; to install it: pxe-serve arm two",
                (_, 0) => "has not reported yet",
                _ => "never reported its end; to install it: pxe-serve arm two",
            };
            assert!(held.why.ends_with(word), "{what}: {}", held.why);
            told.boots("two", InstallForm::Verified);
        }
        told.happens("two", booted("two"));
        let ends = decide(&inventory, inventory.host("two").unwrap(), &told.history, at(told.now));
        assert!(!ends.is_held, "{what}: it runs all the same");
    }
}

#[test]
fn a_late_report_of_the_system_before_does_not_disarm() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.happens("two", armed_for(&told, 60, false));
    told.happens("two", booted("two"));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
    told.happens("two", booted("two"));
    assert_eq!(told.now("two"), Choice::Local);
}

#[test]
fn a_system_that_boots_again_ends_no_installation_that_was_begun_since() {
    let inventory = three("bootstrap");
    let again = |config: &str| Event::Booted { config: config.into(), ignition: None, again: true };
    let mut told = Told::new(&inventory);
    told.happens("two", installed("two"));
    told.happens("two", armed_for(&told, 600, false));
    assert_eq!(told.boots("two", InstallForm::KernelArguments), install("two"));
    told.happens("two", ignition("two"));
    // The installer stopped before it wrote anything; somebody started the machine from its disk.
    told.happens("two", again("two"));
    told.now += 60;
    assert_eq!(told.boots("two", InstallForm::KernelArguments), install("two"), "it is armed still");
    assert_eq!(told.history.of("two").unwrap().installed.as_ref().unwrap().at, at(0));
    // After the journal was lost, who boots again is known again.
    let mut lost = Told::new(&inventory);
    lost.happens("one", again("one-bootstrap"));
    assert_eq!(lost.now("one"), Choice::Local);
    lost.happens("one", armed_for(&lost, 600, false));
    assert_eq!(lost.now("one"), install("one-reinstall"), "there is a cluster");
}

#[test]
fn a_clock_that_went_back_does_not_lengthen_an_arming() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.now = 100_000;
    told.happens("two", installed("two"));
    told.happens("two", armed_for(&told, 60, false));
    told.now -= 2;
    assert_eq!(told.now("two"), install("two"));
    told.now = 0;
    assert_eq!(told.now("two"), Choice::Local);
}

#[test]
fn the_policy_decides_where_nobody_did() {
    let hosts = "  a: {address: 192.168.26.5, mac: 52:54:00:00:00:01, boot: live}
  b: {address: 192.168.26.6, mac: 52:54:00:00:00:02, boot: local}
  c: {address: 192.168.26.7, mac: 52:54:00:00:00:03, boot: install}
";
    let inventory = inventory_with("reinstall", hosts);
    let mut told = Told::new(&inventory);
    told.happens("c", installed("c"));
    assert_eq!([told.now("a"), told.now("b"), told.now("c")], [Choice::Live, Choice::Local, install("c")]);
    told.happens("b", armed_for(&told, 60, false));
    assert_eq!(told.boots("b", InstallForm::Verified), install("b"));
    told.happens("b", installed("b"));
    assert_eq!(told.now("b"), Choice::Local);
}

#[test]
fn the_cluster_is_bootstrapped_once() {
    let inventory = three("bootstrap");
    let mut told = Told::new(&inventory);
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.boots("one", InstallForm::Verified), install("one-bootstrap"));
    assert_eq!(told.boots("one", InstallForm::Verified), install("one-bootstrap"), "nothing was reported");
    told.happens("one", installed("one-bootstrap"));
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-reinstall"));
    let why = decide(&inventory, inventory.host("one").unwrap(), &told.history, at(0)).why;
    assert!(why.contains("joins the cluster that was started before, `pxe-serve arm --bootstrap`"), "{why}");
    told.happens("one", armed_for(&told, 60, true));
    assert_eq!(told.now("one"), install("one-bootstrap"));

    // The inventory names another bootstrap host: there is a cluster all the same.
    let hosts = "  two: {address: 192.168.26.6, mac: 52:54:00:00:00:02}
  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}
  three: {address: 192.168.26.7, mac: 52:54:00:00:00:03}
";
    let edited = inventory_with("bootstrap", hosts);
    let mut told = Told { inventory: &edited, ..told };
    told.happens("two", armed_for(&told, 60, false));
    assert_eq!(told.now("two"), install("two-reinstall"));
}

#[test]
fn a_single_server_always_bootstraps() {
    let inventory = inventory_with("bootstrap", "  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}\n");
    let mut told = Told::new(&inventory);
    told.happens("one", installed("one-bootstrap"));
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-bootstrap"));
}

#[test]
fn a_cluster_whose_other_servers_are_commented_out_is_not_made_anew() {
    let all = three("reinstall");
    let mut told = Told::new(&all);
    told.happens("one", installed("one-reinstall"));
    told.happens("two", installed("two"));
    let one = inventory_with("bootstrap", "  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}\n");
    let mut told = Told { inventory: &one, ..told };
    told.happens("one", booted("one-bootstrap"));
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-reinstall"));
}

#[test]
fn what_is_not_surely_new_is_installed_by_an_operators_word_alone() {
    let inventory = three("bootstrap");
    for doubt in [Doubt::NothingKept, Doubt::Damaged] {
        let mut told = Told::new(&inventory);
        told.history.doubt = Some(doubt.clone());
        for host in ["one", "two"] {
            let held = decide(&inventory, inventory.host(host).unwrap(), &told.history, at(0));
            assert_eq!((held.boots, held.is_held), (Choice::Local, true));
            assert!(
                held.why.starts_with(&doubt.to_string()) && held.why.contains("pxe-serve arm"),
                "{}",
                held.why
            );
        }
        assert_eq!(told.now("three"), install("three"), "boot: install is a word, too");
        told.happens("two", armed_for(&told, 60, false));
        assert_eq!(told.now("two"), install("two"));
        told.happens("one", armed_for(&told, 60, false));
        assert_eq!(told.now("one"), install("one-reinstall"), "perhaps there is a cluster");
        told.happens("one", armed_for(&told, 60, true));
        assert_eq!(told.now("one"), install("one-bootstrap"));
    }
}

#[test]
fn a_host_that_was_renamed_is_known_by_its_mac() {
    let before = three("reinstall");
    let mut told = Told::new(&before);
    let hardware = told.history.hardware_of(before.host("two").unwrap()).unwrap();
    told.happens("two", hardware);
    assert_eq!(told.history.hardware_of(before.host("two").unwrap()), None);
    let hosts = "  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}
  new: {address: 192.168.26.6, mac: [52:54:00:00:07:02, 52:54:00:00:00:02]}
";
    let after = inventory_with("reinstall", hosts);
    let decided = |history: &History| decide(&after, after.host("new").unwrap(), history, at(0));
    assert!(decided(&told.history).why.starts_with("no install"), "two was never installed");
    let mut on_its_way = Told { inventory: &before, history: told.history.clone(), now: 0 };
    on_its_way.happens("two", armed_for(&on_its_way, 60, false));
    on_its_way.boots("two", InstallForm::Verified);
    assert!(decided(&on_its_way.history).why.starts_with("no install"), "it has written nothing");
    on_its_way.happens("two", ignition("two"));
    assert!(decided(&on_its_way.history).why.contains("was two"), "whose report will find nobody");
    on_its_way.happens("two", armed_for(&on_its_way, 60, false));
    assert!(decided(&on_its_way.history).why.contains("was two"), "nor when it was armed meanwhile");
    told.happens("two", installed("two"));
    let held = decided(&told.history);
    assert_eq!(held.boots, Choice::Local);
    assert_eq!(held.why, "52:54:00:00:00:02 was two, which was installed; to install it: pxe-serve arm new");
    let mut told = Told { inventory: &after, ..told };
    told.happens("new", armed_for(&told, 60, false));
    assert_eq!(told.boots("new", InstallForm::Verified), install("new"));
}

#[test]
fn where_nobody_reports_an_install_is_done_when_the_host_comes_back() {
    let inventory = three("bootstrap");
    let mut told = Told::new(&inventory);
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.boots("one", InstallForm::KernelArguments), install("one-bootstrap"));
    assert_eq!(
        told.boots("one", InstallForm::KernelArguments),
        install("one-bootstrap"),
        "it fetched nothing in between"
    );
    told.happens("one", ignition("one-bootstrap"));
    assert_eq!(told.boots("one", InstallForm::KernelArguments), Choice::Local);
    told.happens("one", armed_for(&told, 60, false));
    told.happens("one", ignition("one-bootstrap"));
    assert_eq!(
        told.boots("one", InstallForm::KernelArguments),
        install("one-bootstrap"),
        "the Ignition was fetched before the script, and that there is a cluster is not presumed"
    );
    told.happens("one", ignition("one-bootstrap"));
    assert_eq!(told.boots("one", InstallForm::KernelArguments), Choice::Local);

    let mut told = Told::new(&inventory);
    told.happens("two", armed_for(&told, 60, false));
    told.boots("two", InstallForm::Verified);
    told.happens("two", ignition("two"));
    assert_eq!(
        told.boots("two", InstallForm::Verified),
        install("two"),
        "here the live system would have said so"
    );
}

#[test]
fn an_operator_sees_each_host_and_who_is_a_stranger_until_the_inventory_knows_it() {
    let mut strangers = Strangers::default();
    let machine = Machine::parse(None, Some("mac=52-54-00-00-00-03&buildarch=arm64"));
    for (second, is_new) in [(0, true), (7, false)] {
        let seen = strangers.see(&machine, [192, 168, 26, 99].into(), Vec::new(), at(second));
        assert_eq!(seen, is_new);
    }
    let small = inventory_with("reinstall", "  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}\n");
    let told = roster(&small, &History::default(), &strangers, at(9));
    assert_eq!((told.unknown[0].first_seen, told.unknown[0].last_seen), (at(0), at(7)));
    assert_eq!(
        (told.hosts[0].policy.as_str(), told.hosts[0].why.as_str()),
        ("install_once", "no install of it is known; to install it: pxe-serve arm one")
    );
    let json = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<super::super::Roster>(&json).unwrap(), told);

    let known = roster(&three("reinstall"), &History::default(), &strangers, at(9));
    assert_eq!(known.unknown, []);
}

#[test]
fn strangers_are_bounded_and_the_longest_silent_goes_first() {
    let mut strangers = Strangers::default();
    for number in 0..200_u64 {
        let machine = Machine::parse(None, Some(&format!("mac=0200000000{number:02x}")));
        strangers.see(&machine, [192, 0, 2, 1].into(), Vec::new(), at(number));
    }
    let latest = strangers.latest();
    assert_eq!((latest.len(), latest[0].last_seen, latest[63].last_seen), (64, at(199), at(136)));
}
