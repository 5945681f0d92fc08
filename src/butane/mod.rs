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
use record::Record;
use schema::Minor;
use spec::Spec;
use yaml::{Documents, File, Mark, NodeId};

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
const CONTRADICTION: &str = "fragments contradict each other";
const TYPE_ERRORS: &str = "Error unmarshaling yaml: yaml: unmarshal errors:";

/// A config, or a fragment of one, and what it is called in findings.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    pub name: &'s str,
    pub text: &'s [u8],
}

/// Compiles a Butane config. `file_name` is only used to say where findings are.
pub fn compile(source: &[u8], file_name: &str, options: &Options, files: &dyn LocalFiles) -> Compiled {
    compile_fragments(&[Source { name: file_name, text: source }], options, files)
}

/// Compiles several configs into one, by Ignition's merge rules, the later over the earlier. Each is valid by itself; two
/// that say different things about one field are an error that names both places.
pub fn compile_fragments(sources: &[Source<'_>], options: &Options, files: &dyn LocalFiles) -> Compiled {
    let mut documents = Documents::default();
    let mut roots = Vec::with_capacity(sources.len());
    for source in sources {
        let file = File { name: Arc::from(source.name), text: source.text };
        match documents.read(file) {
            Ok(root) => roots.push(root),
            Err(bad) => {
                let reason = format!("yaml: {}", bad.message);
                return refused(
                    unreadable(&documents, roots.len(), vec![(bad.mark, reason.clone())]),
                    &reason,
                );
            }
        }
    }
    match stages(&documents, &roots, options, files) {
        Ok((_, report)) if options.strict && !report.is_empty() => {
            let refusal = Some("Config produced warnings and --strict was specified".to_owned());
            Compiled { ignition: None, report, refusal }
        }
        Ok((ignition, report)) => Compiled { ignition: Some(ignition), report, refusal: None },
        Err(Refused { report, reason }) => refused(report, &reason),
    }
}

struct Refused {
    report: Report,
    reason: String,
}

fn refused(report: Report, reason: &str) -> Compiled {
    Compiled { ignition: None, report, refusal: Some(format!("Error translating config: {reason}")) }
}

fn stages(
    documents: &Documents<'_>,
    roots: &[Option<NodeId>],
    options: &Options,
    files: &dyn LocalFiles,
) -> Result<(Vec<u8>, Report), Refused> {
    let mut findings = Findings::new(documents);
    let mut parts = Vec::with_capacity(roots.len());
    for (number, root) in roots.iter().enumerate() {
        let spec = find_spec(documents, *root).map_err(|(reason, mark)| Refused {
            report: unreadable(documents, number, vec![(mark, reason.clone())]),
            reason,
        })?;
        let root = root.unwrap_or(NodeId::NOWHERE);
        let config = decode::config(documents, root, spec, &mut findings)
            .map_err(|mismatches| type_errors(documents, number, mismatches))?;
        parts.push((spec, config));
    }
    if parts.iter().any(|(spec, _)| spec.variant != parts[0].0.variant) {
        let reason = "fragments are for different variants".to_owned();
        return Err(Refused { report: unreadable(documents, 0, vec![(None, reason.clone())]), reason });
    }
    for (spec, config) in &parts {
        validate::source::check(config, spec, &mut findings);
    }
    let findings = refuse_errors(findings, INVALID_SOURCE)?;
    let (minor, mut config, findings) = translated(parts, files, findings)?;
    let mut findings = refuse_errors(findings, CONTRADICTION)?;
    validate::generated::check(&config, minor, &mut findings);
    let findings = refuse_errors(findings, INVALID_GENERATED)?;
    ignition::stamp(&mut config, &spec::ignition_version(minor));
    Ok((ignition::emit::to_json(&config, minor, options.pretty), findings.into_report()))
}

/// The Ignition config of all parts, for the newest version one of them is for.
fn translated<'a>(
    parts: Vec<(&'static Spec, Record)>,
    files: &dyn LocalFiles,
    mut findings: Findings<'a>,
) -> Result<(Minor, Record, Findings<'a>), Refused> {
    let mut whole: Option<Record> = None;
    let mut minor = 0;
    let mut configs = Vec::with_capacity(parts.len());
    for (spec, config) in parts {
        let config = translate::translate(config, spec, files, &mut findings);
        validate::generated::forbidden(&config, spec, &mut findings);
        minor = minor.max(spec.minor);
        configs.push(config);
    }
    let mut findings = refuse_errors(findings, INVALID_SOURCE)?;
    for config in configs {
        whole = Some(match whole {
            None => config,
            Some(below) => {
                ignition::merge::contradictions(&below, &config, &mut findings);
                ignition::merge::merge(below, config)
            }
        });
    }
    let whole = whole.unwrap_or_else(|| Record::new(&schema::CONFIG, NodeId::NOWHERE));
    Ok((minor, whole, findings))
}

fn refuse_errors<'a>(findings: Findings<'a>, reason: &str) -> Result<Findings<'a>, Refused> {
    if findings.has_errors() {
        return Err(Refused { report: findings.into_report(), reason: reason.to_owned() });
    }
    Ok(findings)
}

/// The spec the document asks for, or what is wrong with what it says.
fn find_spec(
    documents: &Documents<'_>,
    root: Option<NodeId>,
) -> Result<&'static Spec, (String, Option<Mark>)> {
    let mut asked = [("variant", "", None), ("version", "", None)];
    if let Some(root) = root {
        let yaml::Content::Mapping(entries) = documents.content(root) else {
            let what = documents.scalar(root).map_or("!!seq".to_owned(), |text| format!("!!str `{text}`"));
            let message = format!("{TYPE_ERRORS}\n  line 1: cannot unmarshal {what} into a config");
            return Err((message, Some(documents.mark(root))));
        };
        for (key, value) in entries {
            let key = documents.scalar(*key);
            let asked = asked.iter_mut().find(|(name, ..)| key == Some(name));
            if let (Some(asked), Some(text)) = (asked, documents.resolved(*value)) {
                (asked.1, asked.2) = (text, Some(documents.mark(*value)));
            }
        }
    }
    let [(_, variant, variant_mark), (_, version, version_mark)] = asked;
    Spec::find(variant, version).map_err(|message| (message, version_mark.or(variant_mark)))
}

fn type_errors(documents: &Documents<'_>, file: usize, mismatches: Vec<decode::Mismatch>) -> Refused {
    let mut reason = TYPE_ERRORS.to_owned();
    let mut placed = Vec::with_capacity(mismatches.len());
    for mismatch in mismatches {
        let mark = documents.mark(mismatch.at);
        reason.push_str(&format!("\n  line {}: {}", mark.line, mismatch.message));
        placed.push((Some(mark), mismatch.message));
    }
    Refused { report: unreadable(documents, file, placed), reason }
}

/// Findings in a document that is not understood well enough to have paths.
fn unreadable(documents: &Documents<'_>, file: usize, placed: Vec<(Option<Mark>, String)>) -> Report {
    let file = documents.file(file);
    let lines = LineStarts::new(file.text);
    let mut report = Report::new();
    for (mark, message) in placed {
        report.push(Finding::error("", message).at(mark.map(|mark| lines.place(&file.name, mark))));
    }
    report
}
