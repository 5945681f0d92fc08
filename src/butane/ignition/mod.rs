//! Ignition configs as such: printing them, reading them, merging them.

pub mod emit;
pub mod merge;
pub mod read;

use super::record::Record;
use super::schema::IGNITION;

/// Writes the version into a config.
pub fn stamp(config: &mut Record, version: &str) {
    let origin = config.origin;
    if config.record("ignition").is_none() {
        config.set("ignition", origin, Record::new(&IGNITION, origin));
    }
    if let Some(ignition) = config.record_mut("ignition") {
        ignition.set("version", origin, version);
    }
}
