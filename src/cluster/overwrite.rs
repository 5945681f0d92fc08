//! Whether a file may be written over by a kubeconfig for one cluster: only where nothing is lost with it.

use serde_json::{Map, Value};

use crate::ids::Invalid;

use super::kubeconfig::{Access, parse};

/// What `kubectl config` and k3s write at the top; `preferences` is allowed while it is empty.
const TOP: &[&str] =
    &["apiVersion", "kind", "preferences", "current-context", "clusters", "contexts", "users"];
/// What our own entries consist of: a kubeconfig anew has all of it.
const OURS: [(&str, &str, &[&str]); 3] = [
    ("clusters", "cluster", &["certificate-authority-data", "server"]),
    ("contexts", "context", &["cluster", "user"]),
    ("users", "user", &["client-certificate-data", "client-key-data"]),
];

impl Access {
    /// An empty file may go, and a kubeconfig that gives access to this cluster alone, by a client certificate alone.
    pub fn check_overwrites(&self, file: &str, bytes: &[u8]) -> Result<(), Invalid> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let config = parse(file, bytes).map(|(config, _)| config).unwrap_or_default();
        let (Some(top), "Config") = (config.as_object(), config["kind"].as_str().unwrap_or_default()) else {
            let message = format!("{file} is not a kubeconfig, and is not overwritten");
            return Err(Invalid::new(message, "name another file with --out"));
        };
        self.lost_of(top).map_or(Ok(()), |lost| {
            Err(Invalid::new(
                format!("{file} has {lost}, which would be lost"),
                "add --merge, which leaves it as it is, or name another file with --out",
            ))
        })
    }

    /// The first thing that a kubeconfig anew would not have.
    fn lost_of(&self, top: &Map<String, Value>) -> Option<String> {
        if let Some(key) = strange(top, TOP) {
            return Some(key.to_owned());
        }
        if top.get("preferences").is_some_and(|value| !is_nothing(value)) {
            return Some("preferences".to_owned());
        }
        let mut counts = Vec::new();
        for (section, kind, keys) in OURS {
            let items = match top.get(section) {
                Some(Value::Array(items)) => items.as_slice(),
                Some(value) if !is_nothing(value) => return Some(format!("{section} that are no list")),
                _ => &[],
            };
            for item in items {
                let name = item["name"].as_str().unwrap_or_default();
                let (Some(entry), Some(inner)) = (item.as_object(), item[kind].as_object()) else {
                    return Some(format!("a {kind} {name:?} of another form"));
                };
                if let Some(key) = strange(entry, &["name", kind]).or_else(|| strange(inner, keys)) {
                    return Some(format!("a {kind} {name:?} with {key}"));
                }
                if kind == "cluster" && !self.is_of(&item[kind]) {
                    return Some(format!("a cluster {name:?}, of another CA"));
                }
            }
            counts.push((section, items.len()));
        }
        // One of each, and no context or user without a cluster.
        let clusters = counts[0].1.min(1);
        counts.iter().find(|(_, count)| *count > clusters).map(|(section, _)| format!("further {section}"))
    }
}

/// kubectl of some releases writes `as-user-extra: null`, which says nothing.
fn strange<'m>(map: &'m Map<String, Value>, known: &[&str]) -> Option<&'m str> {
    let said = map.iter().filter(|(_, value)| !value.is_null());
    said.map(|(key, _)| key.as_str()).find(|key| !known.contains(key))
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
