//! `pxe-serve butane`: Butane's own command line, over [`crate::butane`].
//!
//! Owns what the compiler must not touch: standard input and output, the files directory, colours. Exit 0 compiled,
//! 1 a finding that stops it or an input that cannot be read, 2 wrong usage.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::butane::{self, Compiled, LocalError, LocalFiles, Source, TreeEntry, TreeKind};
use crate::report::{Finding, Report};

/// Translate a Butane config to an Ignition config
#[derive(Debug, Args)]
#[command(version, disable_version_flag = true)]
pub struct ButaneArgs {
    /// The Butane config; standard input when left out
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,
    /// Lay another config over the first one; both are to agree on what both set (may be repeated)
    #[arg(short, long, value_name = "FILE")]
    merge: Vec<PathBuf>,
    /// Fail on any warning
    #[arg(short, long)]
    strict: bool,
    /// Check the config without printing the result
    #[arg(short, long)]
    check: bool,
    /// Print formatted JSON
    #[arg(short, long)]
    pretty: bool,
    /// Directory that `local:` and `trees:` paths are relative to
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Never wrap the config in a MachineConfig (it never is: openshift is not supported)
    #[arg(short, long)]
    raw: bool,
    /// Print findings as single lines
    #[arg(long)]
    raw_errors: bool,
    /// When to use colours
    #[arg(long, visible_alias = "colour", value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_value = "auto", default_missing_value = "always")]
    color: Colour,
    /// Print the version
    #[arg(short = 'V', long)]
    version: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

pub fn run(args: &ButaneArgs) -> ExitCode {
    if args.version {
        println!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    match compile(args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("Error {message}");
            ExitCode::FAILURE
        }
    }
}

fn compile(args: &ButaneArgs) -> Result<ExitCode, String> {
    let mut inputs = vec![read_input(args.input.as_deref())?];
    for path in &args.merge {
        inputs.push(read_input(Some(path))?);
    }
    let directory = args.files_dir.as_deref().map(FilesDirectory::at);
    let files: &dyn LocalFiles = match &directory {
        Some(directory) => directory,
        None => &butane::NoFiles,
    };
    let options = butane::Options { strict: args.strict, pretty: args.pretty };
    let sources: Vec<Source<'_>> = inputs.iter().map(|(name, text)| Source { name, text }).collect();
    let mut compiled = butane::compile_fragments(&sources, &options, files);
    for (name, source) in &inputs {
        if let Ok(text) = std::str::from_utf8(source) {
            compiled.report.add_source(name.as_str(), text);
        }
    }
    eprint!("{}", diagnostics(args, &compiled));
    let Some(ignition) = compiled.ignition else { return Ok(ExitCode::FAILURE) };
    if !args.check {
        write_output(args.output.as_deref(), &ignition)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_input(path: Option<&Path>) -> Result<(String, Vec<u8>), String> {
    match path {
        Some(path) => {
            let source =
                std::fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
            Ok((path.display().to_string(), source))
        }
        None => {
            let mut source = Vec::new();
            std::io::stdin().read_to_end(&mut source).map_err(|error| format!("reading stdin: {error}"))?;
            Ok(("<stdin>".to_owned(), source))
        }
    }
}

fn write_output(path: Option<&Path>, ignition: &[u8]) -> Result<(), String> {
    match path {
        Some(path) => {
            std::fs::write(path, ignition).map_err(|error| format!("writing {}: {error}", path.display()))
        }
        None => std::io::stdout().write_all(ignition).map_err(|error| format!("writing output: {error}")),
    }
}

fn diagnostics(args: &ButaneArgs, compiled: &Compiled) -> String {
    let colour = match args.color {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal(),
    };
    let mut text =
        if args.raw_errors { raw_lines(&compiled.report) } else { compiled.report.to_text(colour) };
    if let Some(refusal) = &compiled.refusal {
        text.push_str(refusal);
        text.push('\n');
    }
    text
}

/// Butane's one-line form. What has no path there is told by the last line alone.
fn raw_lines(report: &Report) -> String {
    report.findings().iter().filter(|finding| !finding.path.is_empty()).map(raw_line).collect()
}

fn raw_line(finding: &Finding) -> String {
    let place = match &finding.place {
        Some(place) => format!(", line {} col {}", place.line, place.column),
        None => String::new(),
    };
    format!("{} at $.{}{place}: {}\n", finding.severity, finding.path, finding.message)
}

/// A directory of the real filesystem. A symbolic link is followed only as long as it stays inside.
struct FilesDirectory {
    /// As given, for messages.
    shown: PathBuf,
    /// A directory that is not there is no mistake until something is read from it.
    real: std::io::Result<PathBuf>,
}

impl FilesDirectory {
    fn at(path: &Path) -> Self {
        FilesDirectory { shown: path.to_owned(), real: path.canonicalize() }
    }

    /// The real path of `path`, which must be inside. `verb` is what is being done, as in Butane's message.
    fn resolve(&self, path: &str, verb: &str) -> Result<PathBuf, LocalError> {
        if !butane::stays_inside(path) {
            return Err(LocalError::Outside);
        }
        let root = self.real.as_ref().map_err(|error| self.failed(verb, path, error))?;
        let relative = path.trim_start_matches('/');
        let real = root.join(relative).canonicalize().map_err(|error| self.failed(verb, path, &error))?;
        if real.starts_with(root) { Ok(real) } else { Err(LocalError::Outside) }
    }

    fn failed(&self, verb: &str, path: &str, error: &std::io::Error) -> LocalError {
        let shown: PathBuf = self.shown.join(path.trim_start_matches('/')).components().collect();
        LocalError::Failed(format!("{verb} {}: {}", shown.display(), reason(error)))
    }

    /// Finds what is in `real`, which is `entry` of the tree at `path`.
    fn walk_into(
        &self,
        real: &Path,
        path: &str,
        entry: &str,
        found: &mut Vec<TreeEntry>,
    ) -> Result<(), LocalError> {
        let here = if entry.is_empty() { path.to_owned() } else { format!("{path}/{entry}") };
        let failed = |error: std::io::Error| self.failed("open", &here, &error);
        found.push(TreeEntry { path: entry.to_owned(), kind: TreeKind::Directory });
        let mut names = Vec::new();
        for child in std::fs::read_dir(real).map_err(failed)? {
            let child = child.map_err(failed)?;
            let name = child.file_name().into_string().map_err(|name| {
                LocalError::Failed(format!("{}: name is not UTF-8", real.join(name).display()))
            })?;
            names.push((name, child));
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, child) in names {
            let path_in_tree = if entry.is_empty() { name } else { format!("{entry}/{name}") };
            let metadata = child.metadata().map_err(failed)?;
            let kind = if metadata.is_dir() {
                self.walk_into(&child.path(), path, &path_in_tree, found)?;
                continue;
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(child.path()).map_err(failed)?;
                TreeKind::Link { target: target.to_string_lossy().into_owned() }
            } else if metadata.is_file() {
                use std::os::unix::fs::PermissionsExt;
                TreeKind::File { executable: metadata.permissions().mode() & 0o111 != 0 }
            } else {
                TreeKind::Other
            };
            found.push(TreeEntry { path: path_in_tree, kind });
        }
        Ok(())
    }
}

impl LocalFiles for FilesDirectory {
    fn read(&self, path: &str) -> Result<Vec<u8>, LocalError> {
        let real = self.resolve(path, "open")?;
        std::fs::read(real).map_err(|error| {
            let verb = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
            self.failed(verb, path, &error)
        })
    }

    fn walk(&self, path: &str) -> Result<Vec<TreeEntry>, LocalError> {
        let real = self.resolve(path, "stat")?;
        if !real.is_dir() {
            return Err(LocalError::NotDirectory);
        }
        let mut found = Vec::new();
        self.walk_into(&real, path, "", &mut found)?;
        Ok(found)
    }
}

/// The system's words as C has them, in lower case and without Rust's error number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text[..1].to_lowercase() + &text[1..]
}
