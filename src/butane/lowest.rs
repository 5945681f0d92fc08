//! The oldest Ignition version that can say what a config says.
//!
//! An image accepts the versions up to the one it was built with, so a lower stamp boots on more of them
//! (coreos-installer#1749).

use std::fmt;

use super::ignition::{emit, read, stamp};
use super::record::{Record, Value};
use super::schema::{Kind, Minor};
use super::spec::{ignition_version, stable_minor};
use super::yaml::NodeId;

/// A version of the Ignition spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u8,
    pub minor: Minor,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ignition_version(self.minor))
    }
}

/// The same config stamped with the lowest version that can express it, if that is lower than what it says. `None` also
/// for what is not a valid config of a stable version.
pub fn lowest(ignition: &[u8]) -> Option<(Version, Vec<u8>)> {
    let json: serde_json::Value = serde_json::from_slice(ignition).ok()?;
    let minor = stable_minor(read::version(&json)?)?;
    let mut unused = Vec::new();
    let mut config = read::config(&json, minor, NodeId::NOWHERE, &mut unused).ok()?;
    let needed = needed_by(&config);
    if !unused.is_empty() || needed >= minor {
        return None;
    }
    let version = Version { major: 3, minor: needed };
    stamp(&mut config, &version.to_string());
    let pretty = ignition.starts_with(b"{\n");
    Some((version, emit::to_json(&config, needed, pretty)))
}

fn needed_by(record: &Record) -> Minor {
    let fields = record.fields().map(|(field, node)| {
        let below = match &node.value {
            Value::Record(child) => needed_by(child),
            Value::List(items) => {
                items.iter().filter_map(|item| item.record()).map(needed_by).max().unwrap_or(0)
            }
            _ => 0,
        };
        field.since.max(below)
    });
    fields.max().unwrap_or(0).max(needed_by_values(record))
}

/// What a version added without adding a field.
fn needed_by_values(record: &Record) -> Minor {
    match record.shape.kind {
        Kind::Reference | Kind::Contents => {
            let source = record.text("source").map_or(0, super::validate::source_since);
            let hash = record.record("verification").and_then(|verification| verification.text("hash"));
            // Before 3.1 data URLs were not decompressed.
            let packed = record.filled("compression").is_some()
                && record.text("source").is_some_and(|source| source.starts_with("data:"));
            source.max(Minor::from(hash.is_some_and(|hash| hash.starts_with("sha256-")) || packed))
        }
        Kind::File | Kind::Directory if record.int("mode").is_some_and(|mode| mode & 0o7000 != 0) => 6,
        Kind::Filesystem if record.text("format") == Some("none") => 3,
        Kind::Custom if !matches!(record.filled("pin"), None | Some("tpm2" | "tang" | "sss")) => 6,
        _ => 0,
    }
}
