//! How k3s reads its configuration: `config.yaml`, then the drop-ins beside it, into the values of one key.
//!
//! As k3s' pkg/configfilearg does it: drop-ins count if they end in `.yaml` or `.yml`, in the order of their names' bytes; a
//! key replaces what came before, `key+` adds to it. What is wrong is said without the text: it may hold the token.

use std::cell::RefCell;

use crate::document::{Document, Node, Value};
use crate::ids::Invalid;
use crate::report::Report;

/// A file below `/etc/rancher/k3s`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// `config.yaml`, or `config.yaml.d/NAME`.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Where k3s looks for it all.
pub const FOLDER: &str = "/etc/rancher/k3s";
const MAIN: &str = "config.yaml";
const DROP_INS: &str = "config.yaml.d/";

impl ConfigFile {
    /// Whether k3s reads it at all; the rest of the folder is none of its business.
    fn counts(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        self.name == MAIN
            || self.name.strip_prefix(DROP_INS).is_some_and(|name| !name.contains('/'))
                && (name.ends_with(".yaml") || name.ends_with(".yml"))
    }
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigFile({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// The values of `key` after all files, as k3s gives them to its own command line; and the last file that replaced
/// whatever stood before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    pub values: Vec<String>,
    pub replaced_in: Option<String>,
}

/// Reads `files`, in whatever order they are given.
pub fn effective(files: &[ConfigFile], key: &str) -> Result<Effective, Invalid> {
    let mut read: Vec<&ConfigFile> = files.iter().filter(|file| file.counts()).collect();
    read.sort_by_key(|file| (file.name != MAIN, &file.name));
    let mut merged = Effective::default();
    let mut seen = false;
    let mut is_nothing = false;
    for file in read {
        for (name, node) in entries(file)? {
            // One plus, as k3s cuts off one.
            if name.strip_suffix('+').unwrap_or(&name) != key {
                continue;
            }
            let values = values(file, key, &node)?;
            let nothing = matches!(node.value, Value::Null);
            if seen && name.ends_with('+') {
                // Where something is added, nothing is no value; alone it is an empty one.
                if is_nothing {
                    merged.values.clear();
                }
                merged.values.extend(values.into_iter().filter(|_| !nothing));
                is_nothing = false;
            } else {
                merged.values = values;
                merged.replaced_in = (!name.ends_with('+')).then(|| file.name.clone());
                is_nothing = nothing;
            }
            seen = true;
        }
    }
    Ok(merged)
}

/// The keys of a file in its order, twice where they stand twice.
fn entries(file: &ConfigFile) -> Result<Vec<(String, Node)>, Invalid> {
    let report = RefCell::new(Report::new());
    let Some(document) = Document::parse(&file.name, &file.bytes, &report) else {
        let report = report.into_inner();
        let line = report
            .findings()
            .first()
            .and_then(|finding| finding.place.as_ref())
            .map_or(1, |place| place.line);
        return Err(Invalid::new(
            format!("{FOLDER}/{} cannot be read, line {line}: it is not one YAML document", file.name),
            "mend it on the node first: k3s would not start again with it",
        ));
    };
    match document.root.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect()),
        other => Err(Invalid::new(
            format!("{FOLDER}/{} is {}, not a map of keys", file.name, other.kind()),
            "mend it on the node first: k3s would not start again with it",
        )),
    }
}

fn values(file: &ConfigFile, key: &str, node: &Node) -> Result<Vec<String>, Invalid> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| scalar(file, key, item)).collect(),
        _ => scalar(file, key, node).map(|value| vec![value]),
    }
}

fn scalar(file: &ConfigFile, key: &str, node: &Node) -> Result<String, Invalid> {
    match &node.value {
        Value::Null => Ok(String::new()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Text(text) => Ok(text.clone()),
        Value::List(_) | Value::Map(_) => Err(Invalid::new(
            format!(
                "{FOLDER}/{}, line {}: {key} has {} in it",
                file.name,
                node.place.line,
                node.value.kind()
            ),
            format!("write {key} as a list of texts"),
        )),
    }
}
