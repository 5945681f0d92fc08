//! Typed reading: each field is asked for by name and type; whatever is wrong is a finding, and reading goes on.

use std::cell::RefCell;
use std::str::FromStr;

use crate::ids::Invalid;
use crate::report::{Finding, Place, Report};

use super::{Node, Value};

/// So many unknown keys of one map are reported; a map with more is not what it is taken for.
const MAX_UNKNOWN_KEYS: usize = 50;

/// A value with the path and the place it was read at, for findings that come later.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub value: T,
    pub path: String,
    pub place: Place,
}

impl<T> At<T> {
    pub fn error(&self, message: impl Into<String>) -> Finding {
        Finding::error(&self.path, message).at(Some(self.place.clone()))
    }

    pub fn warning(&self, message: impl Into<String>) -> Finding {
        Finding::warning(&self.path, message).at(Some(self.place.clone()))
    }

    pub fn note(&self, message: impl Into<String>) -> Finding {
        Finding::note(&self.path, message).at(Some(self.place.clone()))
    }
}

/// One value in a document, with its path, and where findings about it go.
#[derive(Clone)]
pub struct Item<'d> {
    pub path: String,
    pub node: &'d Node,
    report: &'d RefCell<Report>,
}

/// The fields of one map. What nobody asked for is reported by [`Fields::finish`].
pub struct Fields<'d> {
    item: Item<'d>,
    asked: Vec<&'static str>,
}

impl<'d> Item<'d> {
    pub fn root(node: &'d Node, report: &'d RefCell<Report>) -> Self {
        Item { path: String::new(), node, report }
    }

    pub fn at<T>(&self, value: T) -> At<T> {
        At { value, path: self.path.clone(), place: self.node.place.clone() }
    }

    pub fn push(&self, finding: Finding) {
        self.report.borrow_mut().push(finding);
    }

    /// Hides the value, of whatever shape, in every finding that draws its line: it is a secret in the wrong place.
    pub fn redact(&self) {
        fn redact(node: &Node, report: &mut Report) {
            match &node.value {
                Value::List(nodes) => nodes.iter().for_each(|node| redact(node, report)),
                Value::Map(entries) => entries.iter().for_each(|entry| redact(&entry.value, report)),
                _ => report.redact(&node.place),
            }
        }
        redact(self.node, &mut self.report.borrow_mut());
    }

    fn child(&self, name: &str, node: &'d Node) -> Item<'d> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Item { path, node, report: self.report }
    }

    fn wrong_kind(&self, wanted: &str, help: &str) {
        let kind = self.node.value.kind();
        self.push(self.at(()).error(format!("here stands {kind}, not {wanted}")).help(help));
    }

    pub fn text(&self) -> Option<&'d str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            Value::Null => {
                self.wrong_kind("a text", "write a value, or leave the key out");
                None
            }
            _ => {
                self.wrong_kind("a text", "put it in quotes if it is meant as text");
                None
            }
        }
    }

    pub fn parse<T: FromStr<Err = Invalid>>(&self) -> Option<At<T>> {
        let text = self.text()?;
        self.accept(text.parse())
    }

    /// For types of other crates, whose errors have no remedy.
    pub fn parse_as<T: FromStr>(&self, what: &str, example: &str) -> Option<At<T>> {
        let text = self.text()?;
        self.accept(
            text.parse().map_err(|_| {
                Invalid::new(format!("{text:?} is not {what}"), format!("write it like {example}"))
            }),
        )
    }

    pub fn accept<T>(&self, result: Result<T, Invalid>) -> Option<At<T>> {
        match result {
            Ok(value) => Some(self.at(value)),
            Err(Invalid { message, help }) => {
                self.push(self.at(()).error(message).help(help));
                None
            }
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self.node.value {
            Value::Integer(number) => Some(number),
            _ => {
                self.wrong_kind("a whole number", "write it without quotes and without a unit");
                None
            }
        }
    }

    pub fn truth(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(truth) => Some(truth),
            _ => {
                self.wrong_kind("true or false", "write true or false, without quotes");
                None
            }
        }
    }

    /// A whole number within bounds, in `unit`.
    pub fn number(&self, least: u32, most: u32, unit: &str) -> Option<At<u32>> {
        let number = self.integer()?;
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Some(self.at(number)),
            _ => {
                let help = format!("choose {least} to {most}{unit}");
                self.push(self.at(()).error(format!("{number} is out of range")).help(help));
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(self.at(*value));
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{text:?} is none of {}", names.join(", "));
        self.push(
            self.at(())
                .error(message)
                .help(suggest(text, &names).unwrap_or_else(|| "choose one of them".into())),
        );
        None
    }

    pub fn list(&self) -> Option<Vec<Item<'d>>> {
        match &self.node.value {
            Value::List(nodes) => Some(
                nodes.iter().enumerate().map(|(index, node)| self.child(&index.to_string(), node)).collect(),
            ),
            _ => {
                self.wrong_kind("a list", "write `[a, b]`, or one `- a` a line");
                None
            }
        }
    }

    /// Each entry parsed; entries that are wrong are reported and left out.
    pub fn list_of<T: FromStr<Err = Invalid>>(&self) -> Option<Vec<At<T>>> {
        Some(self.list()?.iter().filter_map(Item::parse).collect())
    }

    /// The entries of a map whose keys are the user's own names.
    pub fn entries(&self) -> Option<Vec<(At<&'d str>, Item<'d>)>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_kind("a map", "write `key: value` lines, indented");
            return None;
        };
        self.refuse_duplicates();
        let named = entries.iter().map(|entry| {
            let item = self.child(&entry.key, &entry.value);
            (At { value: entry.key.as_str(), path: item.path.clone(), place: entry.key_place.clone() }, item)
        });
        Some(named.collect())
    }

    /// A value of any shape, in which only duplicate keys are refused.
    pub fn json(&self) -> serde_json::Value {
        self.refuse_duplicates_below();
        self.node.to_json()
    }

    pub fn json_map(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        match self.json() {
            serde_json::Value::Object(map) => Some(map),
            _ => {
                self.wrong_kind("a map", "write `key: value` lines, indented");
                None
            }
        }
    }

    fn refuse_duplicates_below(&self) {
        match &self.node.value {
            Value::List(nodes) => {
                nodes
                    .iter()
                    .enumerate()
                    .for_each(|(index, node)| self.child(&index.to_string(), node).refuse_duplicates_below());
            }
            Value::Map(entries) => {
                self.refuse_duplicates();
                entries
                    .iter()
                    .for_each(|entry| self.child(&entry.key, &entry.value).refuse_duplicates_below());
            }
            _ => {}
        }
    }

    fn refuse_duplicates(&self) {
        let Value::Map(entries) = &self.node.value else { return };
        let mut first = std::collections::BTreeMap::new();
        for entry in entries {
            let earlier = *first.entry(entry.key.as_str()).or_insert(&entry.key_place);
            if earlier != &entry.key_place {
                let message = format!("the key stands already in line {}", earlier.line);
                let finding = Finding::error(self.child(&entry.key, &entry.value).path, message)
                    .help("keep one of the two: YAML would silently take the last")
                    .at(Some(entry.key_place.clone()));
                self.push(finding);
            }
        }
    }
}

impl<'d> Fields<'d> {
    /// `None`, with a finding, when `item` is no map.
    pub fn of(item: &Item<'d>) -> Option<Fields<'d>> {
        match &item.node.value {
            Value::Map(_) => {
                item.refuse_duplicates();
                Some(Fields { item: item.clone(), asked: Vec::new() })
            }
            _ => {
                item.wrong_kind("a map", "write `key: value` lines, indented");
                None
            }
        }
    }

    pub fn item(&self) -> &Item<'d> {
        &self.item
    }

    pub fn get(&mut self, name: &'static str) -> Option<Item<'d>> {
        self.asked.push(name);
        let Value::Map(entries) = &self.item.node.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == name)?;
        Some(self.item.child(name, &entry.value))
    }

    pub fn require(&mut self, name: &'static str, help: &str) -> Option<Item<'d>> {
        let found = self.get(name);
        if found.is_none() {
            let path = self.item.child(name, self.item.node).path;
            // The map's own place would underline all of it; its first line is enough.
            let place = Place {
                bytes: self.item.node.place.bytes.start..self.item.node.place.bytes.start,
                ..self.item.node.place.clone()
            };
            self.item.push(Finding::error(path, "is missing").help(help).at(Some(place)));
        }
        found
    }

    pub fn parse<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<At<T>> {
        self.get(name)?.parse()
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        let Value::Map(entries) = &self.item.node.value else { return };
        let unknown = entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()));
        for entry in unknown.take(MAX_UNKNOWN_KEYS) {
            let help = suggest(&entry.key, &self.asked)
                .unwrap_or_else(|| format!("known here: {}", self.asked.join(", ")));
            let finding =
                Finding::error(self.item.child(&entry.key, &entry.value).path, "nobody reads this key")
                    .help(help)
                    .at(Some(entry.key_place.clone()));
            self.item.push(finding);
        }
    }
}

/// "did you mean", when one of `known` is at most two edits away.
pub fn suggest(word: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), *name))
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len())
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
