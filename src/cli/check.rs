//! `check`: render everything, throw it away, and say what was found.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::generation::Loaded;
use crate::report::{Finding, Severity};

use super::SourceArgs;

/// Say everything that is wrong with the inventory and the templates
///
/// Exit status: 0 clean (notes do not count), 1 warnings or errors, 2 the inventory could not be read.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// For people, or one JSON document for programs
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How a verb that reports does so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

/// What `--format json` prints. Programs read it: keys are added, never renamed.
#[derive(Serialize)]
struct Document<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    /// How many artifacts there would be, and their generation; null when nothing could be rendered.
    artifacts: Option<usize>,
    generation: Option<String>,
    findings: &'a [Finding],
}

pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let Loaded { generation, report, .. } = args.sources.load();
    let count = |severity| report.findings().iter().filter(|finding| finding.severity == severity).count();
    let catalogue = generation.as_ref().map(|generation| &generation.catalogue);
    let document = Document {
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        artifacts: catalogue.map(|catalogue| catalogue.len()),
        generation: catalogue.map(|catalogue| catalogue.generation().to_string()),
        findings: report.findings(),
    };
    let text = match args.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&document)?),
        Format::Text => {
            let inventory = args.sources.inventory.display();
            format!(
                "{}{inventory}: {}\n",
                report.to_text(super::colour(&io::stdout())),
                closing_line(&document)
            )
        }
    };
    super::print(text.as_bytes())?;
    Ok(match (generation, report.worst()) {
        (None, _) if !readable(&args.sources.inventory) => ExitCode::from(2),
        (Some(_), None | Some(Severity::Note)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn closing_line(document: &Document) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let found = [
        plural(document.errors, "error"),
        plural(document.warnings, "warning"),
        plural(document.notes, "note"),
    ]
    .join(", ");
    match document.artifacts {
        Some(count) => format!("{found}; {} would be served", plural(count, "artifact")),
        None => format!("{found}; nothing can be served"),
    }
}

/// Asked only after a load that failed: whether the inventory itself was the reason.
fn readable(inventory: &Path) -> bool {
    File::open(inventory).and_then(|mut file| file.read(&mut [0])).is_ok()
}
