//! Findings about a document that is being compiled, in Butane's words where Butane has words.
//!
//! Owns the way from a node to a path, a line and a column. A finding about a field that was left out is placed
//! at the mapping it is missing from.

use std::sync::Arc;

use crate::report::{Finding, Place, Report, Severity};

use super::record::Record;
use super::yaml::{Documents, Mark, NodeId};

pub struct Findings<'a> {
    documents: &'a Documents<'a>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    severity: Severity,
    path: String,
    at: NodeId,
    message: String,
}

impl<'a> Findings<'a> {
    pub fn new(documents: &'a Documents<'a>) -> Self {
        Findings { documents, entries: Vec::new() }
    }

    pub fn has_errors(&self) -> bool {
        self.entries.iter().any(|entry| entry.severity == Severity::Error)
    }

    fn add(&mut self, severity: Severity, path: String, at: NodeId, message: impl Into<String>) {
        self.entries.push(Entry { severity, path, at, message: message.into() });
    }

    pub fn at(&mut self, severity: Severity, at: NodeId, message: impl Into<String>) {
        self.add(severity, self.documents.path(at), at, message);
    }

    pub fn error(&mut self, at: NodeId, message: impl Into<String>) {
        self.at(Severity::Error, at, message);
    }

    pub fn warning(&mut self, at: NodeId, message: impl Into<String>) {
        self.at(Severity::Warning, at, message);
    }

    /// About a field, whether it was written or left out.
    pub fn field(&mut self, severity: Severity, record: &Record, name: &str, message: impl Into<String>) {
        match record.written(name) {
            Some(node) => self.at(severity, node.origin, message),
            None => self.missing(severity, record, name, message),
        }
    }

    /// About something `record` does not have.
    pub fn missing(&mut self, severity: Severity, record: &Record, name: &str, message: impl Into<String>) {
        let path = self.documents.path(record.origin);
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        self.add(severity, path, record.origin, message);
    }

    pub fn field_error(&mut self, record: &Record, name: &str, message: impl Into<String>) {
        self.field(Severity::Error, record, name, message);
    }

    pub fn field_warning(&mut self, record: &Record, name: &str, message: impl Into<String>) {
        self.field(Severity::Warning, record, name, message);
    }

    pub fn unused_key(&mut self, key: NodeId) {
        let name = self.documents.scalar(key).unwrap_or("?");
        let message = format!("unused key {name}");
        self.warning(key, message);
    }

    /// A null or an alias where a mapping belongs: the config is read, but its keys are not looked at.
    pub fn not_a_mapping(&mut self, at: NodeId) {
        let path = self.documents.path(at);
        let message = format!(
            "context tree does not match content tree at $.{path}. \
             Line and column reporting may be inconsistent. Unused keys may not be reported"
        );
        self.add(Severity::Warning, path, at, message);
    }

    /// `NAME:LINE:COLUMN`, to name a second place in a message.
    pub fn place_name(&self, at: NodeId) -> String {
        let mark = self.documents.mark(at);
        format!("{}:{}:{}", self.documents.file(self.documents.file_of(at)).name, mark.line, mark.column)
    }

    /// The same findings, with their places in the sources.
    pub fn into_report(self) -> Report {
        let mut report = Report::new();
        let mut lines: Option<(usize, LineStarts<'_>)> = None;
        for entry in self.entries {
            let number = self.documents.file_of(entry.at);
            let file = self.documents.file(number);
            let (_, lines) = match lines.take().filter(|(of, _)| *of == number) {
                Some(same) => lines.insert(same),
                None => lines.insert((number, LineStarts::new(file.text))),
            };
            let place = lines.place(&file.name, self.documents.mark(entry.at));
            report.push(Finding::new(entry.severity, entry.path, entry.message).at(Some(place)));
        }
        report
    }
}

/// Turns lines and columns into byte ranges, for the caret.
pub struct LineStarts<'s> {
    source: &'s [u8],
    starts: Vec<usize>,
}

impl<'s> LineStarts<'s> {
    pub fn new(source: &'s [u8]) -> Self {
        let breaks = source.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        // The parser never sees a byte order mark.
        let first = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        LineStarts { source, starts: std::iter::once(first).chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    pub fn place(&self, file: &Arc<str>, mark: Mark) -> Place {
        let line = mark.line.max(1) as usize;
        let start = self.starts.get(line - 1).copied().unwrap_or(self.source.len());
        let end = self.starts.get(line).map_or(self.source.len(), |next| next - 1);
        let text = &self.source[start..end.max(start)];
        let from = mark.column.saturating_sub(1) as usize;
        let bytes = start + byte_offset(text, from)..start + byte_offset(text, from + mark.width as usize);
        Place { file: Arc::clone(file), line, column: mark.column as usize, bytes }
    }
}

/// Beyond this column nobody counts carets, and counting characters for every finding in a line of megabytes would take
/// for ever.
const LAST_EXACT_COLUMN: usize = 4096;

/// Where a character of a line of UTF-8 begins, or the end of the line.
fn byte_offset(line: &[u8], chars: usize) -> usize {
    let is_start = |byte: &u8| byte & 0xc0 != 0x80;
    if chars <= LAST_EXACT_COLUMN {
        let mut starts = line.iter().enumerate().filter(|(_, byte)| is_start(byte));
        return starts.nth(chars).map_or(line.len(), |(at, _)| at);
    }
    let at = chars.min(line.len());
    at + line[at..].iter().take_while(|byte| !is_start(byte)).count()
}
