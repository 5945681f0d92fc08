//! Boots in which something is wrong: the inventory, the machine, the server.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lab::Lab;
use super::machine::{Firmware, LENOVO1, Machine};

#[test]
fn a_broken_inventory_shows_on_the_console_and_once_it_is_mended_the_same_boot_goes_on() {
    let Some(mut lab) = Lab::new(|text| text) else { return };
    lab.start_server();
    lab.arm("lenovo1");
    lab.kill_server();
    lab.write_inventory(|text| text.replace("phase: reinstall ", "phase: reinstal "));
    lab.start_server_with_what_is_there();
    let disk = lab.disk();
    let mut machine =
        Machine { firmware: Firmware::Bios, mac: LENOVO1, disk: Some(&disk), restarts: false }.boot(&lab);
    let line = 1 + lab.text("inventory.yaml").lines().position(|line| line.contains("reinstal ")).unwrap();
    machine.says(&format!("inventory.yaml:{line}"));
    machine.says("is none of bootstrap, restore, reinstall");
    lab.write_inventory(|text| text.replace("phase: reinstal ", "phase: reinstall "));
    let boot = machine.ends();
    assert_eq!(boot.count("LAB installed to /dev/nvme0n1"), 1, "{}", boot.console);
}

#[test]
fn an_unknown_machine_says_so_on_its_console_and_is_listed() {
    const STRANGER: &str = "52:54:00:99:99:99";
    let Some(mut lab) = Lab::new(|text| text) else { return };
    lab.start_server();
    let mut machine =
        Machine { firmware: Firmware::Bios, mac: STRANGER, disk: None, restarts: false }.boot(&lab);
    machine.says("pxe-serve: this machine is no host of the inventory");
    machine.says(STRANGER);
    let hosts = lab.ask(&["hosts"]);
    assert!(hosts.contains(STRANGER), "{hosts}");
}

/// Neither may anybody else send a machine to its disk, or keep it from there.
#[test]
fn a_report_counts_only_from_the_address_of_the_node_it_is_about() {
    const REPORT: &str = r#"{"event": "installed", "config": "lenovo1-reinstall"}"#;
    let Some(mut lab) = Lab::new(|text| text) else { return };
    lab.start_server();
    lab.arm("lenovo1");
    let script = || String::from_utf8(lab.get("/pxe/ipxe/lenovo1.ipxe").1).unwrap();
    for another in ["192.168.26.6", "192.168.26.200"] {
        assert_eq!(lab.report_from(another, "lenovo1", REPORT), 403, "{another}");
        assert!(script().contains("installing lenovo1-reinstall"), "{another}: {}", script());
    }
    assert_eq!(lab.report_from("192.168.26.5", "lenovo1", REPORT), 204);
    assert!(script().contains("starts from its disk"), "{}", script());
    let refused = lab.requests().into_iter().filter(|request| request.status == 403).count();
    assert_eq!(refused, 2, "{:?}", lab.requests());
}

#[test]
fn a_server_that_is_killed_after_each_request_does_not_keep_a_machine_from_its_install() {
    let Some(mut lab) = Lab::new(|text| text) else { return };
    lab.start_server();
    lab.arm("lenovo1");
    let disk = lab.disk();
    let mut machine =
        Machine { firmware: Firmware::Bios, mac: LENOVO1, disk: Some(&disk), restarts: false }.boot(&lab);
    // After the first of each: a server that never lives longer than one answer serves nobody.
    let mut killed_after = BTreeSet::new();
    while !machine.has_ended() {
        let news: Vec<_> = lab.requests().into_iter().map(|request| (request.method, request.path)).collect();
        if news.into_iter().filter(|request| killed_after.insert(request.clone())).count() > 0 {
            lab.kill_server();
            lab.start_server();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let boot = machine.ends();
    assert_eq!(boot.count("LAB installed to /dev/nvme0n1"), 1, "{}", boot.console);
    println!("killed after each of {killed_after:?}; the boot took {:.1?}", boot.took);
    assert!(
        killed_after.contains(&("POST".to_owned(), "/pxe/events/lenovo1".to_owned())),
        "{killed_after:?}"
    );
    // What was acknowledged outlived the server.
    let script = lab.get("/pxe/ipxe/lenovo1.ipxe").1;
    assert!(String::from_utf8_lossy(&script).contains("starts from its disk"), "{script:?}");
}
