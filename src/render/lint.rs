//! Reads what came out for the mistakes that the programs at the other end forgive silently.
//!
//! Our templates make none of them; this is for the user's. What surely breaks is an error, what probably does a warning.

mod installed;
mod ipxe;
mod keepalived;
mod script;
mod unit;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::report::{Finding, Place, Report, Severity};

use super::expand::Installed;

pub fn lint(catalogue: &Catalogue, installed: &Installed, report: &mut Report) {
    let mut said = BTreeSet::new();
    for (path, artifact) in catalogue.once_each() {
        let Ok(text) = std::str::from_utf8(artifact.bytes()) else { continue };
        let (path, may_draw) = (path.as_str(), !artifact.is_secret());
        if path.ends_with(".ign") {
            for unit in unit::in_ignition(text) {
                unit::check(&mut Lint { path, text: &unit, drawn: Drawn::Nothing, said: &mut said, report });
            }
            continue;
        }
        let drawn = if may_draw { Drawn::Line } else { Drawn::Place };
        let mut lint = Lint { path, text, drawn, said: &mut said, report };
        keepalived::check(&mut lint);
        if path.ends_with(".service") || path.ends_with(".container") {
            unit::check(&mut lint);
        } else if path.ends_with(".ipxe") {
            ipxe::check(&mut lint);
        } else if text.starts_with("#!/") {
            script::check(&mut lint);
        }
    }
    installed::check(catalogue, installed, report);
}

/// How much of its text a finding may show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Line,
    /// It holds a secret.
    Place,
    /// It stands within another text.
    Nothing,
}

/// One text under the glass.
struct Lint<'l> {
    path: &'l str,
    text: &'l str,
    drawn: Drawn,
    /// What was said about which line: one mistake in a template comes out for every host, and is said for the first.
    said: &'l mut BTreeSet<(String, String)>,
    report: &'l mut Report,
}

impl Lint<'_> {
    /// `line` counts from 1.
    fn push(&mut self, severity: Severity, line: usize, message: &str, help: &str) {
        let start: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let written = self.text[start..].lines().next().unwrap_or_default();
        if !self.said.insert((message.to_owned(), written.trim().to_owned())) {
            return;
        }
        let indent = written.len() - written.trim_start().len();
        let place = Place {
            file: Arc::from(self.path),
            line,
            column: indent + 1,
            bytes: start + indent..start + written.trim_end().len(),
        };
        if self.drawn == Drawn::Line {
            self.report.add_source(self.path, self.text);
        }
        let place = (self.drawn != Drawn::Nothing).then_some(place);
        self.report.push(Finding::new(severity, self.path, message).help(help).at(place));
    }
}
