//! Folding one cluster into somebody's kubeconfig, by the bytes: comments, order and everybody else's entries stay.
//!
//! The edit is made in the text, then both texts are read and compared as data: the new one must be the old one with our
//! entries, and nothing else. If it is not (flow style, aliases), the file stays as it is.

use std::ops::Range;

use serde_json::{Value, json};

use crate::document::{self, Document, Node};
use crate::ids::Invalid;

use super::kubeconfig::{Access, Entry, named, parse, scalar};

/// Keys of an entry that do not make it another's: the rest say how to reach or trust a server, or who one is.
const HARMLESS: &[&str] = &[
    "server",
    "certificate-authority-data",
    "client-certificate-data",
    "client-key-data",
    "cluster",
    "user",
    "namespace",
    "extensions",
    "disable-compression",
];

impl Access {
    /// `old` with cluster, user and context `name` in it; `file` is for messages.
    pub fn merged_into(&self, file: &str, old: &str, name: &str, server: &str) -> Result<String, Invalid> {
        let (before, document) = parse(file, old.as_bytes())?;
        let Some(Document { root }) =
            document.filter(|document| !matches!(document.root.value, document::Value::Null))
        else {
            return Ok(with_newline(old) + &self.kubeconfig(name, server));
        };
        if !before.is_object() {
            return Err(Invalid::new(format!("{file} is not a kubeconfig"), "name another file with --out"));
        }
        self.check_is_ours(file, &before, name)?;
        let (mut expected, mut edits, mut appended) = (before.clone(), Vec::new(), String::new());
        for entry in self.entries(name, server) {
            expect(&mut expected, &entry, name);
            appended.push_str(&edit(old, &root, &entry, name, &mut edits));
        }
        if before["current-context"].as_str().unwrap_or_default().is_empty() {
            expected["current-context"] = json!(name);
            match member(&root, "current-context") {
                Some((_, value)) if !value.place.bytes.is_empty() => {
                    edits.push((value.place.bytes.clone(), scalar(name)));
                }
                // Nothing stands behind the colon.
                Some((key_end, _)) => edits.push((key_end + 1..key_end + 1, format!(" {}", scalar(name)))),
                None => appended.push_str(&format!("current-context: {}\n", scalar(name))),
            }
        }
        let mut text = old.to_owned();
        edits.sort_by_key(|(bytes, _)| bytes.start);
        for (bytes, new) in edits.into_iter().rev() {
            text.replace_range(bytes, &new);
        }
        if !appended.is_empty() {
            text = with_newline(&text) + &appended;
        }
        match parse(file, text.as_bytes()) {
            Ok((after, _)) if after == expected => Ok(text),
            _ => Err(Invalid::new(
                format!(
                    "{file} is written in a way that cannot be edited without risk, such as flow style or aliases"
                ),
                "write it anew with `(umask 077; kubectl --kubeconfig FILE config view --raw >NEW)`, or keep this cluster in a file of its own with --out and without --merge",
            )),
        }
    }

    /// Refuses to overwrite what has our name and is not ours.
    fn check_is_ours(&self, file: &str, config: &Value, name: &str) -> Result<(), Invalid> {
        let refuse = |what: String| {
            let help = format!(
                "choose another name with --context, or remove it: `kubectl config delete-context '{name}'`, delete-cluster, delete-user"
            );
            Err(Invalid::new(format!("{file} has {what} already"), help))
        };
        for (section, kind) in [("clusters", "cluster"), ("contexts", "context"), ("users", "user")] {
            let items = config[section].as_array().map_or(&[][..], Vec::as_slice);
            let mut ours = items.iter().filter(|item| item["name"] == name);
            let Some(item) = ours.next() else { continue };
            if ours.next().is_some() {
                return refuse(format!("two entries named {name} in {section}"));
            }
            let keys = item[kind].as_object();
            // kubectl of some releases writes `as-user-extra: null`, which says nothing.
            let said = keys.into_iter().flatten().filter(|(_, value)| !value.is_null());
            let strange = said.map(|(key, _)| key).find(|key| !HARMLESS.contains(&key.as_str()));
            if let Some(key) = strange {
                return refuse(format!("a {kind} {name} with {key}, which is not of pxe-serve's making,"));
            }
        }
        let part = |section, kind: &str| named(config, section, name).map(|item| &item[kind]);
        match (part("clusters", "cluster"), part("contexts", "context"), part("users", "user")) {
            (Some(cluster), ..) if !self.is_of(cluster) => {
                refuse(format!("a cluster {name}, of another CA,"))
            }
            (_, Some(context), _) if context["cluster"] != name || context["user"] != name => {
                refuse(format!("a context {name} for another cluster or user"))
            }
            (None, _, Some(_)) => refuse(format!("a user {name} of another cluster")),
            _ => Ok(()),
        }
    }
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// What the file is to say afterwards.
fn expect(config: &mut Value, entry: &Entry, name: &str) {
    let section = &mut config[entry.section];
    if section.is_null() {
        *section = json!([]);
    }
    let Some(items) = section.as_array_mut() else { return };
    match items.iter_mut().find(|item| item["name"] == name) {
        None => items.insert(0, entry.value(name)),
        Some(item) => {
            for (key, value) in &entry.fields {
                item[entry.kind][*key] = json!(value);
            }
        }
    }
}

type Edits = Vec<(Range<usize>, String)>;

/// The edits for one entry; gives what is to go to the end of the file.
fn edit(text: &str, root: &Node, entry: &Entry, name: &str, edits: &mut Edits) -> String {
    let Some((key_end, list)) = member(root, entry.section) else {
        return format!("{}:\n{}", entry.section, entry.item(name, ""));
    };
    let items = if let document::Value::List(items) = &list.value { items.as_slice() } else { &[] };
    let ours = items.iter().find(|item| member(item, "name").is_some_and(|(_, own)| says(own, name)));
    let Some(item) = ours else {
        if items.is_empty() {
            edits.push((whole_of_nothing(text, list), String::new()));
        }
        // Behind the key's line: a comment in front of the first item stays in front of it.
        let line_end = text[key_end..].find('\n').map_or(text.len(), |newline| key_end + newline + 1);
        let indent = items.first().map_or("", |first| indent_of(text, first));
        let newline = if text[..line_end].ends_with('\n') { "" } else { "\n" };
        edits.push((line_end..line_end, newline.to_owned() + &entry.item(name, indent)));
        return String::new();
    };
    let Some((_, inner)) = member(item, entry.kind) else { return String::new() };
    for (key, value) in &entry.fields {
        match member(inner, key) {
            Some((_, old)) if says(old, value) => {}
            Some((_, old)) => edits.push((old.place.bytes.clone(), scalar(value))),
            None => {
                let document::Value::Map(entries) = &inner.value else { continue };
                let Some(first) = entries.first() else { continue };
                let indent = " ".repeat(first.key_place.column - 1);
                let at = first.key_place.bytes.start;
                edits.push((at..at, format!("{key}: {}\n{indent}", scalar(value))));
            }
        }
    }
    String::new()
}

/// The bytes of `null`, `~`, `[]` or of nothing at all; of an empty list the tree knows the opening bracket alone.
fn whole_of_nothing(text: &str, list: &Node) -> Range<usize> {
    let Range { start, end } = list.place.bytes;
    let closed = text[end..].trim_start_matches([' ', '\n']).starts_with(']') && text[start..end] == *"[";
    start..if closed { end + text[end..].find(']').map_or(0, |at| at + 1) } else { end }
}

/// The blanks before the dash of a list's item.
fn indent_of<'t>(text: &'t str, item: &Node) -> &'t str {
    let line_start = text[..item.place.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = &text[line_start..];
    &line[..line.len() - line.trim_start_matches(' ').len()]
}

/// A map's value by its key, and where the key ends.
fn member<'n>(node: &'n Node, key: &str) -> Option<(usize, &'n Node)> {
    let document::Value::Map(entries) = &node.value else { return None };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some((entry.key_place.bytes.end, &entry.value))
}

fn says(node: &Node, text: &str) -> bool {
    matches!(&node.value, document::Value::Text(own) if own == text)
}
