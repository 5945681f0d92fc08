//! What a machine has become, compared with what its Ignition config promises.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ignition::promised_files;

use super::machine::Boot;

/// That Ignition wrote each file of this config with its mode, and enabled its units.
pub fn assert_node(boot: &Boot, config: &[u8]) {
    let config: Value = serde_json::from_slice(config).unwrap();
    let written: BTreeMap<&str, (u32, &str)> = boot.lines("file").into_iter().map(read_file).collect();
    let promised = promised_files(&config);
    assert!(promised.len() >= 5, "{promised:?}");
    for (path, (mode, hash)) in &promised {
        assert_eq!(written.get(path.as_str()), Some(&(*mode, hash.as_str())), "{path}: {}", boot.console);
    }
    for unit in config["systemd"]["units"].as_array().unwrap() {
        if unit["enabled"] == true {
            let preset = format!("enable {}", unit["name"].as_str().unwrap());
            assert!(boot.lines("preset").contains(&preset.as_str()), "{preset}: {}", boot.console);
        }
    }
}

/// `MODE OWNER PATH SHA512`
fn read_file(line: &str) -> (&str, (u32, &str)) {
    let words: Vec<&str> = line.split(' ').collect();
    let [mode, _, path, hash] = words[..] else { panic!("{line}") };
    (path, (u32::from_str_radix(mode, 8).unwrap(), hash))
}
