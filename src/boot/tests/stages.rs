//! How far a host has come, what it hangs at, and which cluster it is in.

use super::super::history::HostHistory;
use super::super::{Choice, Event, STALLED_AFTER, Stage, roster};
use super::three;
use super::told::{Told, armed_for, at, booted, ignition, install, installed};
use crate::catalogue::Sha256;
use crate::inventory::InstallForm;

fn failed(message: &str) -> Event {
    Event::StepFailed { config: "two".into(), message: message.into() }
}

fn joined(config: &str, ca: &str) -> Event {
    Event::Joined { config: config.into(), ca_sha256: Some(Sha256::of(ca.as_bytes())) }
}

fn k3s_started() -> Event {
    Event::K3sStarted { config: "two".into() }
}

fn stage(told: &Told<'_>, host: &str) -> Option<Stage> {
    told.history.of(host).and_then(|known| known.progress.as_ref()).map(|progress| progress.stage)
}

/// Reason and lines, as `hosts` shows them now.
fn trouble(told: &Told<'_>, host: &str) -> Option<(String, Vec<String>)> {
    let roster = roster(told.inventory, &told.history, &Default::default(), at(told.now));
    let entry = roster.hosts.into_iter().find(|entry| entry.name.as_str() == host).unwrap();
    entry.trouble.map(|trouble| (trouble.reason, trouble.said))
}

#[test]
fn a_host_goes_through_its_stages_and_survives_a_restart_at_each() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    assert_eq!(stage(&told, "two"), None);
    told.happens("two", armed_for(&told, 600, false));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
    assert_eq!(stage(&told, "two"), Some(Stage::Asked));
    for (event, reached) in [
        (ignition("two"), Stage::Installing),
        (installed("two"), Stage::Installed),
        (booted("two"), Stage::Booted),
        (Event::Layering { config: "two".into(), message: "k3s-selinux".into() }, Stage::Layering),
        (Event::Rebooting { config: "two".into(), message: String::new() }, Stage::Rebooting),
        (Event::Booted { config: "two".into(), ignition: None, again: true }, Stage::Booted),
        (k3s_started(), Stage::K3sStarted),
        (joined("two", "ca"), Stage::Joined),
        // A node that runs fetches a config when somebody looks at one.
        (ignition("two"), Stage::Joined),
        (k3s_started(), Stage::Joined),
        (Event::Disarmed, Stage::Joined),
    ] {
        told.happens("two", event);
        assert_eq!(stage(&told, "two"), Some(reached));
        let known = told.history.of("two").unwrap();
        let json = serde_json::to_string(known).unwrap();
        assert_eq!(serde_json::from_str::<HostHistory>(&json).unwrap(), *known, "{json}");
    }
    let before: HostHistory = serde_json::from_str(r#"{"installed":null}"#).unwrap();
    assert_eq!(before.progress, None, "a journal of before reads as nothing known");
}

#[test]
fn who_comes_no_further_for_ten_minutes_is_named_with_what_is_missing() {
    let limit = STALLED_AFTER.as_secs();
    for (event, reason) in [
        (installed("two"), Some("installed, not booted from its disk")),
        (booted("two"), Some("booted, k3s not started")),
        (
            Event::Rebooting { config: "two".into(), message: String::new() },
            Some("rebooting, not booted again"),
        ),
        (k3s_started(), Some("k3s started, not joined")),
        (joined("two", "ca"), None),
        (Event::Script { boots: Choice::Local }, None),
    ] {
        let inventory = three("reinstall");
        let mut told = Told::new(&inventory);
        told.happens("two", event.clone());
        told.now = limit - 1;
        assert_eq!(trouble(&told, "two"), None, "{event}");
        // One that starts over and over comes no further.
        told.happens("two", event.clone());
        told.now += 1;
        assert_eq!(trouble(&told, "two").map(|(reason, _)| reason).as_deref(), reason, "{event}");
    }
}

#[test]
fn a_failed_step_is_shown_with_its_last_lines_until_the_host_comes_further() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.happens("two", booted("two"));
    told.happens("two", failed("k3s-install.service: exit-code (exited 6)\ncurl: (6) no host\nthe end"));
    let shown = (
        "booted; k3s-install.service: exit-code (exited 6)".to_owned(),
        vec!["curl: (6) no host".into(), "the end".into()],
    );
    assert_eq!(trouble(&told, "two"), Some(shown));
    told.happens("two", k3s_started());
    assert_eq!(trouble(&told, "two"), None);
    let mut unheard = Told::new(&inventory);
    unheard.happens("two", failed("a.service: timeout"));
    assert_eq!(stage(&unheard, "two"), Some(Stage::Booted), "who reports a step has booted");
}

#[test]
fn units_that_fail_over_and_over_push_nothing_else_out_of_the_history() {
    let inventory = three("reinstall");
    let mut told = Told::new(&inventory);
    told.happens("two", booted("two"));
    for number in 0..100 {
        told.happens("two", failed(&format!("a.service: exit-code\n{number}")));
        told.happens("two", failed("b.service: timeout"));
    }
    let events = &told.history.of("two").unwrap().events;
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(events[1].event, failed("a.service: exit-code\n99"));
}

#[test]
fn a_cluster_is_known_by_the_ca_of_who_bootstrapped_it_last_else_of_who_joined_first() {
    let inventory = three("bootstrap");
    let mut told = Told::new(&inventory);
    let ca = |told: &Told<'_>| told.history.cluster_ca().map(|(host, ca)| (host.to_string(), ca));
    let is = |host: &str, ca: &str| Some((host.to_owned(), Sha256::of(ca.as_bytes())));
    assert_eq!(ca(&told), None);
    told.happens("three", joined("three", "old"));
    told.now += 1;
    told.happens("two", joined("two", "other"));
    assert_eq!(ca(&told), is("three", "old"));
    let (reason, _) = trouble(&told, "two").unwrap();
    assert!(reason.starts_with("joined another cluster than three: its CA is "), "{reason}");
    assert_eq!(trouble(&told, "three"), None);
    // A worker says nothing of it.
    told.happens("one", Event::Joined { config: "one".into(), ca_sha256: None });
    assert_eq!(ca(&told), is("three", "old"));

    told.happens("one", armed_for(&told, 600, true));
    assert_eq!(told.boots("one", InstallForm::Verified), install("one-bootstrap"));
    assert_eq!(ca(&told), None, "nobody is held to the cluster before");
    told.happens("one", installed("one-bootstrap"));
    told.now += 1;
    told.happens("one", joined("one-bootstrap", "new"));
    assert_eq!(ca(&told), is("one", "new"));
    assert!(trouble(&told, "three").is_some() && trouble(&told, "one").is_none());
    // Each boot reports again, and changes nothing.
    told.now += 1;
    told.happens("three", joined("three", "new"));
    told.happens("one", joined("one-bootstrap", "new"));
    assert_eq!((ca(&told), trouble(&told, "three")), (is("one", "new"), None));
    // It comes back into the cluster that it began.
    told.happens("one", armed_for(&told, 600, false));
    assert_eq!(told.boots("one", InstallForm::Verified), install("one-reinstall"));
    told.happens("one", joined("one-reinstall", "new"));
    assert_eq!(ca(&told), is("one", "new"));
    // One that is the only one to differ is the stranger, even if it began the cluster.
    told.happens("two", joined("two", "new"));
    told.now += 1;
    told.happens("one", joined("one-reinstall", "lost"));
    assert_eq!(ca(&told).unwrap().1, Sha256::of(b"new"));
    assert!(trouble(&told, "one").is_some() && trouble(&told, "two").is_none());
}
