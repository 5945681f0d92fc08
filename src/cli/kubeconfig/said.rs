//! What was tried, what was chosen and why, for people and for programs. Nothing in it is secret.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::cluster::{Failure, Host, Via};
use crate::probe::ways::Tried;

pub struct Said<'a> {
    pub tried: &'a [Tried],
    pub chosen: Option<usize>,
    pub name: &'a str,
    pub file: Option<&'a Path>,
    pub wrote: bool,
}

/// What `--json` prints. Programs read it: keys are added, never renamed.
#[derive(Serialize)]
struct Document<'a> {
    /// Null when nobody is good.
    server: Option<String>,
    context: &'a str,
    file: Option<String>,
    /// Whether the file was changed.
    written: bool,
    tried: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    server: String,
    via: &'a Via,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u128>,
}

fn failure(tried: &Tried) -> Option<&Failure> {
    tried.outcome.as_ref()?.as_ref().err()
}

fn outcome(tried: &Tried) -> &'static str {
    match tried.outcome {
        None => "not_waited_for",
        Some(Ok(())) => "good",
        Some(Err(_)) => "failed",
    }
}

fn row(tried: &Tried) -> Row<'_> {
    Row {
        server: tried.candidate.server(),
        via: &tried.candidate.via,
        outcome: outcome(tried),
        failure: failure(tried),
        message: failure(tried).map(ToString::to_string),
        help: failure(tried).map(Failure::remedy),
        milliseconds: tried.outcome.as_ref().map(|_| tried.took.as_millis()),
    }
}

/// One line, so that `--watch` gives lines.
pub fn to_json(said: &Said<'_>) -> anyhow::Result<String> {
    let document = Document {
        server: said.chosen.map(|place| said.tried[place].candidate.server()),
        context: said.name,
        file: said.file.map(|file| file.display().to_string()),
        written: said.wrote,
        tried: said.tried.iter().map(row).collect(),
    };
    Ok(serde_json::to_string(&document)? + "\n")
}

pub fn to_text(said: &Said<'_>) -> String {
    let mut text = String::new();
    let width = said.tried.iter().map(|tried| tried.candidate.server().len()).max().unwrap_or_default();
    for (place, tried) in said.tried.iter().enumerate() {
        let mark = if said.chosen == Some(place) { '*' } else { ' ' };
        let (server, via) = (tried.candidate.server(), via(tried));
        let result = match (failure(tried), &tried.outcome) {
            (Some(failure), _) => failure.to_string(),
            (None, None) => "not waited for".to_owned(),
            (None, Some(_)) => format!("good, {} ms", tried.took.as_millis()),
        };
        let _ = writeln!(text, "{mark} {server:<width$}  {via:<12} {result}");
    }
    // What keeps people from the VIP is what they want to mend.
    let matters = |tried: &&Tried| said.chosen.is_none() || tried.candidate.via == Via::Vip;
    for tried in said.tried.iter().filter(matters) {
        if let Some(failure) = failure(tried) {
            let _ = writeln!(text, "help: {}: {}", tried.candidate.server(), failure.remedy());
        }
    }
    let Some(place) = said.chosen else {
        let kept = said.file.map(|file| format!("; {} is as it was", file.display())).unwrap_or_default();
        return text + &format!("nobody is good{kept}\n");
    };
    let server = said.tried[place].candidate.server();
    let name = said.name;
    text + &match said.file {
        None => format!("{server} would be taken; nothing was written (--out FILE, --merge)\n"),
        Some(file) if said.wrote => format!("{}: context {name} now uses {server}\n", file.display()),
        Some(file) => format!("{}: context {name} uses {server}, as before\n", file.display()),
    }
}

fn via(tried: &Tried) -> String {
    match (&tried.candidate.via, &tried.candidate.host) {
        (Via::Vip, Host::Name(_)) => "VIP by name".to_owned(),
        (Via::Vip, Host::Address(_)) => "VIP".to_owned(),
        (Via::Server(name), _) => name.to_string(),
    }
}
