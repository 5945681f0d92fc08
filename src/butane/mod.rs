//! Butane configs compiled to Ignition configs: bytes in, bytes and findings out.
//!
//! A drop-in for Butane on its stable specs for Fedora CoreOS, Flatcar, RHEL for Edge and Fedora IoT. Behaves like a
//! crate: it imports nothing of ours but [`crate::report`], and does no I/O; local files come through [`LocalFiles`].
//!
//! # How it works
//!
//! One table, [`schema`], says what fields there are: their names in YAML and JSON, types, order, the version each
//! appeared in, and how two lists of them merge. A config is a [`record`] of the shape the table gives, in which every
//! value knows the place it was written. The rest is passes over that tree:
//!
//! ```text
//! yaml       bytes → nodes with places                                refuses what is no YAML
//! spec       variant, version → a row of the table of specs
//! decode     nodes → record, by the table; scalars resolved by type   refuses wrong types, notes unknown keys
//! validate   source: mistakes in the sugar                            ┐
//! translate  sugar → what it stands for, in place                     ├ each stops the compile if it finds an error
//! validate   generated: Ignition's own rules                          ┘
//! ignition   record → JSON as Go prints it
//! ```
//!
//! A new spec version is new rows in [`schema`] and [`spec`]; a rule that a version changed asks for
//! `spec.minor`, the Ignition 3.x the spec compiles to. There are no copies to keep alike.

mod decode;
mod findings;
mod ignition;
mod local;
mod lowest;
mod record;
mod scalar;
mod schema;
mod spec;
mod translate;
mod validate;
mod yaml;

use std::sync::Arc;

use crate::report::{Finding, Report};
use findings::{Findings, LineStarts};
pub use local::{LocalError, LocalFiles, NoFiles, TreeEntry, TreeKind, stays_inside};
pub use lowest::{Version, lowest};
use spec::Spec;
use yaml::{Document, Mark};

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Any finding, even a warning, means no output.
    pub strict: bool,
    /// Indent the output by two spaces.
    pub pretty: bool,
}

/// The outcome of a compile: the config, or the reason there is none, and everything found on the way.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub ignition: Option<Vec<u8>>,
    pub report: Report,
    /// Why nothing came out, in one line; the report has the details.
    pub refusal: Option<String>,
}

const INVALID_SOURCE: &str = "source config is invalid";
const INVALID_GENERATED: &str = "config generated was invalid";

/// Compiles a Butane config. `file_name` is only used to say where findings are.
pub fn compile(source: &[u8], file_name: &str, options: &Options, files: &dyn LocalFiles) -> Compiled {
    let file: Arc<str> = Arc::from(file_name);
    match stages(source, options, files, &file) {
        Ok((ignition, report)) if options.strict && !report.is_empty() => {
            drop(ignition);
            let refusal = Some("Config produced warnings and --strict was specified".to_owned());
            Compiled { ignition: None, report, refusal }
        }
        Ok((ignition, report)) => Compiled { ignition: Some(ignition), report, refusal: None },
        Err(Refused { report, reason }) => {
            let refusal = Some(format!("Error translating config: {reason}"));
            Compiled { ignition: None, report, refusal }
        }
    }
}

struct Refused {
    report: Report,
    reason: String,
}

fn stages(
    source: &[u8],
    options: &Options,
    files: &dyn LocalFiles,
    file: &Arc<str>,
) -> Result<(Vec<u8>, Report), Refused> {
    let document = Document::parse(source).map_err(|malformed| {
        let message = format!("yaml: {}", malformed.message);
        unreadable(source, file, &message, vec![(malformed.mark, message.clone())])
    })?;
    let spec = find_spec(&document)
        .map_err(|(message, mark)| unreadable(source, file, &message, vec![(mark, message.clone())]))?;
    let (config, mut findings) = decode::config(&document, spec, &schema::CONFIG)
        .map_err(|mismatches| type_errors(source, file, &document, mismatches))?;
    let refuse = |findings: Findings<'_>, reason: &str| Refused {
        report: findings.into_report(file, source),
        reason: reason.to_owned(),
    };
    validate::source::check(&config, spec, &mut findings);
    if findings.has_errors() {
        return Err(refuse(findings, INVALID_SOURCE));
    }
    let mut config = translate::translate(config, spec, files, &mut findings);
    validate::generated::forbidden(&config, spec, &mut findings);
    if findings.has_errors() {
        return Err(refuse(findings, INVALID_SOURCE));
    }
    validate::generated::check(&config, spec.minor, &mut findings);
    if findings.has_errors() {
        return Err(refuse(findings, INVALID_GENERATED));
    }
    ignition::stamp(&mut config, &spec.ignition_version());
    let json = ignition::emit::to_json(&config, spec.minor, options.pretty);
    Ok((json, findings.into_report(file, source)))
}

/// The spec the document asks for, or what is wrong with what it says.
fn find_spec(document: &Document<'_>) -> Result<&'static Spec, (String, Option<Mark>)> {
    let mut asked = [("variant", "", None), ("version", "", None)];
    if !document.is_empty() {
        match document.content(Document::ROOT) {
            yaml::Content::Mapping(entries) => {
                for (key, value) in entries {
                    let key = document.scalar(*key);
                    let asked = asked.iter_mut().find(|(name, ..)| key == Some(name));
                    if let (Some(asked), Some(text)) = (asked, document.resolved_scalar(*value)) {
                        (asked.1, asked.2) = (text, Some(document.mark(*value)));
                    }
                }
            }
            _ => {
                let what = document
                    .scalar(Document::ROOT)
                    .map_or("!!seq".to_owned(), |text| format!("!!str `{text}`"));
                let message = format!(
                    "Error unmarshaling yaml: yaml: unmarshal errors:\n  line 1: cannot unmarshal {what} into a config"
                );
                return Err((message, Some(document.mark(Document::ROOT))));
            }
        }
    }
    let [(_, variant, variant_mark), (_, version, version_mark)] = asked;
    Spec::find(variant, version).map_err(|message| (message, version_mark.or(variant_mark)))
}

fn type_errors(
    source: &[u8],
    file: &Arc<str>,
    document: &Document<'_>,
    mismatches: Vec<decode::Mismatch>,
) -> Refused {
    let mut reason = "Error unmarshaling yaml: yaml: unmarshal errors:".to_owned();
    let mut placed = Vec::with_capacity(mismatches.len());
    for mismatch in mismatches {
        let mark = document.mark(mismatch.at);
        reason.push_str(&format!("\n  line {}: {}", mark.line, mismatch.message));
        placed.push((Some(mark), mismatch.message));
    }
    unreadable(source, file, &reason, placed)
}

/// A document that is not understood well enough to have paths.
fn unreadable(source: &[u8], file: &Arc<str>, reason: &str, placed: Vec<(Option<Mark>, String)>) -> Refused {
    let lines = LineStarts::new(source);
    let mut report = Report::new();
    for (mark, message) in placed {
        report.push(Finding::error("", message).at(mark.map(|mark| lines.place(file, mark))));
    }
    Refused { report, reason: reason.to_owned() }
}
