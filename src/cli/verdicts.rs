//! How verdicts are said, and what they mean for the exit status.

use std::process::ExitCode;

use serde::Serialize;

use crate::cluster::Verdict;
use crate::report::Severity;

/// What `--json` prints. Programs read it: keys are added, never renamed.
#[derive(Serialize)]
pub struct Document<'a, T> {
    errors: usize,
    warnings: usize,
    notes: usize,
    #[serde(flatten)]
    more: T,
    verdicts: &'a [Verdict],
}

fn count(verdicts: &[Verdict], severity: Severity) -> usize {
    verdicts.iter().filter(|verdict| verdict.severity == Some(severity)).count()
}

pub fn to_json<T: Serialize>(verdicts: &[Verdict], more: T) -> anyhow::Result<String> {
    let count = |severity| count(verdicts, severity);
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let document = Document { errors, warnings, notes, more, verdicts };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

pub fn to_text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let Verdict { check, subject, severity, message, help } = verdict;
        let word = severity.map_or("ok".to_owned(), |severity| severity.to_string());
        text.push_str(&format!("{word:<8} {check:<8} {subject}: {message}\n"));
        if let Some(help) = help {
            text.push_str(&format!("         help: {help}\n"));
        }
    }
    let count = |severity| count(verdicts, severity);
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    text + &format!("{errors} errors, {warnings} warnings, {notes} notes\n")
}

/// Notes leave it alone.
pub fn exit(verdicts: &[Verdict]) -> ExitCode {
    let worst = verdicts.iter().filter_map(|verdict| verdict.severity).max();
    if worst > Some(Severity::Note) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
