//! Findings about a document: what is wrong, where, and what to do about it.
//!
//! A [`Report`] collects everything wrong with a document at once, so that a user mends a file in one go.
//! It owns the text of the sources it points into, to draw the line and the caret; sources that hold
//! secrets are simply never added, and their findings are drawn without a snippet.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// How bad a finding is. `Error` means nothing was rendered; `Warning` that it renders but will likely hurt;
/// `Note` is information and leaves the exit status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Note,
    Warning,
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A place in a source text. `line` and `column` count from 1, `column` in characters; `bytes` is the marked token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
    #[serde(skip)]
    pub bytes: Range<usize>,
}

/// One thing that is wrong, at `path` (`hosts.lenovo3.mac`; empty for the whole document).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub path: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(flatten)]
    pub place: Option<Place>,
}

impl Finding {
    pub fn new(severity: Severity, path: impl Into<String>, message: impl Into<String>) -> Self {
        Finding { severity, path: path.into(), message: message.into(), help: None, place: None }
    }

    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Error, path, message)
    }

    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Warning, path, message)
    }

    pub fn note(path: impl Into<String>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Note, path, message)
    }

    /// The remedy, in the imperative.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// `path: message`, or the message alone for the whole document.
    pub fn title(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }
}

/// More findings than this are counted, not kept: nobody reads them, and a bomb must not cost more than its size.
const MAX_FINDINGS: usize = 1_000;

/// All findings, in the order they were made, and the texts they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
    /// How many came after the first thousand, and the worst of all.
    dropped: usize,
    worst: Option<Severity>,
    sources: BTreeMap<Arc<str>, Arc<str>>,
}

impl Report {
    pub fn new() -> Self {
        Report::default()
    }

    /// Lets findings in `file` be drawn with their line. Never add a text that holds a secret.
    pub fn add_source(&mut self, file: impl Into<Arc<str>>, text: impl Into<Arc<str>>) {
        self.sources.insert(file.into(), text.into());
    }

    /// Hides a token of a source behind asterisks, also in findings already made.
    pub fn redact(&mut self, place: &Place) {
        if let Some(text) = self.sources.get_mut(&place.file) {
            let hidden = |(index, character): (usize, char)| {
                if place.bytes.contains(&index) && character != '\n' {
                    "*".repeat(character.len_utf8())
                } else {
                    character.to_string()
                }
            };
            *text = text.char_indices().map(hidden).collect::<String>().into();
        }
    }

    /// Hides what follows the first colon of a line, if one of `words` is in the line.
    pub fn redact_line(&mut self, place: &Place, words: &[&str]) {
        let Some(source) = self.sources.get(&place.file) else { return };
        let (line, _) = line_of(source, place);
        if let Some(colon) = line.find(':').filter(|_| words.iter().any(|word| line.contains(word))) {
            let from = line.as_ptr() as usize - source.as_ptr() as usize;
            let bytes = from + colon + 1..from + line.len();
            self.redact(&Place { bytes, ..place.clone() });
        }
    }

    pub fn push(&mut self, finding: Finding) {
        self.worst = self.worst.max(Some(finding.severity));
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    /// Says one thing about one place once, for however many hosts it was found.
    pub fn push_once(&mut self, finding: Finding) {
        let same = |earlier: &Finding| {
            let same_place = match &finding.place {
                Some(_) => earlier.place == finding.place,
                None => earlier.place.is_none() && earlier.path == finding.path,
            };
            same_place && earlier.severity == finding.severity && earlier.message == finding.message
        };
        if !self.findings.iter().any(same) {
            self.push(finding);
        }
    }

    /// Takes a secret out of all that was said: a message quotes what is wrong, and that may be the secret.
    pub fn hide(&mut self, secret: &str) {
        for finding in &mut self.findings {
            let texts = [&mut finding.path, &mut finding.message].into_iter().chain(finding.help.as_mut());
            for text in texts.filter(|text| text.contains(secret)) {
                *text = text.replace(secret, "(secret)");
            }
        }
    }

    pub fn extend(&mut self, other: Report) {
        other.findings.into_iter().for_each(|finding| self.push(finding));
        self.dropped += other.dropped;
        self.worst = self.worst.max(other.worst);
        self.sources.extend(other.sources);
    }

    /// In the order of the text, as one mends a file; what has no place comes first.
    pub fn sort_by_place(&mut self) {
        let position = |finding: &Finding| {
            finding.place.as_ref().map(|place| (place.file.clone(), place.line, place.column))
        };
        self.findings.sort_by_key(position);
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// The worst severity found, `None` when there is no finding at all.
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    pub fn has_errors(&self) -> bool {
        self.worst() == Some(Severity::Error)
    }

    /// For a verb that has something else to say: `check` gives the notes.
    pub fn without_notes(mut self) -> Self {
        self.findings.retain(|finding| finding.severity != Severity::Note);
        self
    }

    /// For people: every finding with its line, a caret and the remedy.
    pub fn to_text(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&self.draw(finding, &renderer));
            text.push_str("\n\n");
        }
        if self.dropped > 0 {
            text.push_str(&format!("and {} more\n\n", self.dropped));
        }
        text
    }

    /// The errors, one a line, without any line of a source: for everybody who asks a server how it is.
    pub fn errors_in_brief(&self) -> String {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let lines = errors.map(|finding| match &finding.place {
            Some(place) => format!("{}:{}:{}: {}", place.file, place.line, place.column, finding.title()),
            None => finding.title(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn draw(&self, finding: &Finding, renderer: &Renderer) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(finding.title()));
        let mut place_line = String::new();
        if let Some(place) = &finding.place {
            match self.sources.get(&place.file) {
                Some(source) => {
                    let (line, span) = line_of(source, place);
                    group = group.element(
                        Snippet::source(line)
                            .line_start(place.line)
                            .path(place.file.as_ref())
                            .annotation(AnnotationKind::Primary.span(span)),
                    );
                }
                None => place_line = format!("\n  --> {}:{}:{}", place.file, place.line, place.column),
            }
        }
        if let Some(help) = &finding.help {
            if place_line.is_empty() {
                group = group.element(Level::HELP.message(help.as_str()));
            } else {
                place_line.push_str(&format!("\n  = help: {help}"));
            }
        }
        let mut text = renderer.render(&[group]);
        text.push_str(&place_line);
        text
    }
}

/// The line that `place` begins in, and the marked bytes within it: a finding costs its line, not its file.
fn line_of<'s>(source: &'s str, place: &Place) -> (&'s str, Range<usize>) {
    let start = place.bytes.start.min(source.len());
    let from = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let to = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
    (&source[from..to], start - from..place.bytes.end.clamp(start, to) - from)
}
