//! YAML as a tree in which every key and value knows its place, and typed reading of it that collects every mistake.
//!
//! It owns the limits: 4 MiB of text, the parser's budget of nodes, depth and alias replay, checked before anything
//! of size is built. It stands behind the name `serde_yaml` (serde-saphyr), and nothing else in the house reads YAML
//! through it but the inventory and the list of artifacts; Butane has its own, since Butane's YAML is another one.

mod fields;
mod tree;

pub use fields::{At, Fields, Item, suggest};
pub use tree::{Entry, Node, Value};

use std::cell::RefCell;
use std::sync::Arc;

use serde_yaml::options::DuplicateKeyPolicy;

use crate::report::{Finding, Place, Report};

/// A router's inventory of 10,000 hosts takes about 2 MiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A parsed text and the findings about it so far.
pub struct Document {
    pub root: Node,
}

impl Document {
    /// Parses `bytes`; findings name `file`. `None` when the text cannot be read as YAML at all.
    pub fn parse(file: &str, bytes: &[u8], report: &RefCell<Report>) -> Option<Document> {
        let refuse = |finding: Finding| {
            report.borrow_mut().push(finding);
            None
        };
        let file: Arc<str> = file.into();
        let start = Place { file: file.clone(), line: 1, column: 1, bytes: 0..0 };
        if bytes.len() > MAX_BYTES {
            let message = format!("{} bytes are more than the {MAX_BYTES} that are read", bytes.len());
            return refuse(
                Finding::error("", message)
                    .help("is this the right file? Use `groups` to say a thing once")
                    .at(Some(start)),
            );
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
                let line = valid.lines().count().max(1);
                let message = format!("line {line} is not UTF-8");
                return refuse(Finding::error("", message).help("save the file as UTF-8").at(Some(start)));
            }
        };
        report.borrow_mut().add_source(file.clone(), text);
        match serde_yaml::from_str_with_options::<tree::Parsed>(text, limits()) {
            Ok(parsed) => Some(Document { root: tree::place(parsed, &file) }),
            Err(error) => {
                let place = error.location().map(|location| in_text(tree::place_of(location, &file), text));
                let message = error.without_snippet().to_string();
                // The parser puts its place in front of the message; ours is drawn beside the line.
                let message = match message.split_once(": ") {
                    Some((place, rest)) if place.contains("line ") => rest.to_owned(),
                    _ => message,
                };
                let place = place.unwrap_or(start);
                report.borrow_mut().redact_line(&place, SECRET_WORDS);
                let (message, help) = in_our_words(&message);
                refuse(Finding::error("", message).help(help).at(Some(place)))
            }
        }
    }
}

/// A line with one of these words in it is not drawn where it could not be read: perhaps a secret stands there.
const SECRET_WORDS: &[&str] = &["token", "auth_", "secret", "pass"];

/// The parser's words for a text that is too much are those of its source code.
fn in_our_words(message: &str) -> (String, &'static str) {
    let too_much = [
        ("Documents", "a second document begins", "keep one document: take `---` out, or split the file"),
        ("Alias", "aliases stand for too much", "write the repeated part into `defaults` or `groups`"),
        ("Anchor", "aliases stand for too much", "write the repeated part into `defaults` or `groups`"),
        ("replay", "aliases stand for too much", "write the repeated part into `defaults` or `groups`"),
        ("Depth", "it is nested too deeply", "32 levels are read"),
        ("recursion", "it is nested too deeply", "32 levels are read"),
        (
            "budget breached",
            "it is too large",
            "250,000 keys and values are read; say common settings in `defaults` or `groups`",
        ),
    ];
    let is_limit = message.contains("budget") || message.contains("limit") || message.contains("replay");
    match too_much.iter().find(|(word, ..)| is_limit && message.contains(word)) {
        Some((_, what, help)) => ((*what).to_owned(), help),
        None => (
            format!("not readable as YAML: {message}"),
            "YAML wants blanks, not tabs, for indentation, and quotes around a text with `: ` or ` #` in it",
        ),
    }
}

/// A syntax error has a line and a column, but no bytes.
fn in_text(place: Place, text: &str) -> Place {
    let line_start: usize = text.split_inclusive('\n').take(place.line.saturating_sub(1)).map(str::len).sum();
    let line = text[line_start..].lines().next().unwrap_or_default();
    let before: usize = line.chars().take(place.column.saturating_sub(1)).map(char::len_utf8).sum();
    let start = line_start + before;
    let length = line[before..].chars().next().map_or(0, char::len_utf8);
    Place { bytes: start..start + length, ..place }
}

fn limits() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: 32,
            max_documents: 1,
            max_nodes: 250_000,
            max_aliases: 1_000,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: MAX_BYTES,
        },
        // Seen by our own visitor, so that every duplicate is reported, not the first.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 50_000 },
        legacy_octal_numbers: true,
        // `yes` is a word: only true and false are truth values.
        strict_booleans: true,
        with_snippet: false,
    }
}
