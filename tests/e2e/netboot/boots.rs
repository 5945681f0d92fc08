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
        let on_node = written.get(path.as_str()).unwrap_or_else(|| panic!("{path} is not there: {}", boot.console));
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

#[test]
fn a_machine_is_installed_by_bios_and_starts_as_the_node() {
    let Some(mut lab) = Lab::new(|text| text + "\nfcos: {metal_image: pxe/fcos/metal.raw}\n") else { return };
    lab.start_server();
    let disk = lab.disk();
    let machine = Machine::boot(&lab, Firmware::Bios, LENOVO1, Some(&disk));
    let boot = machine.ends();
    println!("{}\n{:?}\n{:#?}", boot.console, boot.took, lab.requests());
    println!("{}", lab.text("dnsmasq.log"));
    let installed = Machine::boot_installed(&lab, LENOVO1, &disk).ends();
    println!("{}\n{:?}\n{:#?}", installed.console, installed.took, lab.requests());
    assert_node(&installed, &lab.get("/pxe/ignition/lenovo1.ign").1);
    assert_eq!(boot.count(STARTED_FROM_DISK), 1);
}
