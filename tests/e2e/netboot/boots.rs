//! From power on to the node that the inventory describes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ignition::promised_files;

use super::image::STARTED_FROM_DISK;
use super::lab::Lab;
use super::machine::{Boot, Firmware, LENOVO1, Machine};

/// That Ignition wrote each file of this config with its mode, and enabled its units.
fn assert_node(boot: &Boot, config: &[u8]) {
    let config: Value = serde_json::from_slice(config).unwrap();
    let written: BTreeMap<&str, (&str, &str)> = boot.lines("file").into_iter().map(read_file).collect();
    let promised = promised_files(&config);
    assert!(promised.len() >= 5, "{promised:?}");
    for (path, (mode, hash)) in promised {
        let on_node =
            written.get(path.as_str()).unwrap_or_else(|| panic!("{path} is not there: {}", boot.console));
        assert_eq!((u32::from_str_radix(on_node.0, 8).unwrap(), on_node.1), (mode, hash.as_str()), "{path}");
    }
    for unit in config["systemd"]["units"].as_array().unwrap() {
        if unit["enabled"] == true {
            let preset = format!("enable {}", unit["name"].as_str().unwrap());
            assert!(boot.lines("preset").contains(&preset.as_str()), "{preset}: {}", boot.console);
        }
    }
}

/// `MODE OWNER PATH SHA512`
fn read_file(line: &str) -> (&str, (&str, &str)) {
    let words: Vec<&str> = line.split(' ').collect();
    (words[2], (words[0], words[3]))
}

/// A shipped inventory whose installer writes the lab's disk image.
fn with_disk_image(text: String) -> String {
    text + "\nfcos: {metal_image: pxe/fcos/metal.raw}\n"
}

#[test]
fn an_empty_machine_is_installed_and_from_then_on_starts_from_its_disk() {
    let Some(mut lab) = Lab::new(with_disk_image) else { return };
    lab.start_server();
    let disk = lab.disk();
    let machine = Machine { firmware: Firmware::Bios, mac: LENOVO1, disk: Some(&disk), restarts: true };
    let boot = machine.boot(&lab).ends();
    println!("{}\n{:?}\n{:#?}", boot.console, boot.took, lab.requests());
    assert_eq!(boot.count("pxe-serve: installing lenovo1"), 1, "{}", boot.console);
    assert_eq!(boot.count("LAB installed to /dev/nvme0n1"), 1, "{}", boot.console);
    assert_eq!(boot.count("pxe-serve: lenovo1 starts from its disk"), 1, "{}", boot.console);
    assert_eq!(boot.count(STARTED_FROM_DISK), 1, "{}", boot.console);
    let installed = machine.boot_installed(&lab).ends();
    println!("{}\n{:?}\n{:#?}", installed.console, installed.took, lab.requests());
    assert_node(&installed, &lab.get("/pxe/ignition/lenovo1.ign").1);
    println!("{}", lab.ask(&["hosts"]));
}

fn boots_by(firmware: Firmware) {
    let Some(mut lab) = Lab::new(with_disk_image) else { return };
    lab.start_server();
    let disk = lab.disk();
    let machine = Machine { firmware, mac: LENOVO1, disk: Some(&disk), restarts: false };
    let boot = machine.boot(&lab).ends();
    println!("{}\n{:?}\n{:#?}", boot.console, boot.took, lab.requests());
    assert_eq!(boot.count("LAB installed to /dev/nvme0n1"), 1, "{}", boot.console);
}

#[test]
fn a_machine_is_installed_by_uefi_pxe() {
    boots_by(Firmware::UefiPxe);
}

#[test]
fn a_machine_is_installed_by_uefi_http_boot() {
    boots_by(Firmware::UefiHttp);
}
