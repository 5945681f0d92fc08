//! `show`: one artifact on stdout, byte for byte as `curl` would get it.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::catalogue::MANIFEST_PATH;
use crate::document::suggest;
use crate::generation::Generation;

use super::SourceArgs;

/// Print one artifact, exactly as it would be served
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// Its URL, or the path of it, such as /pxe/configs/keepalived-lenovo1.conf
    #[arg(value_name = "PATH")]
    path: String,
}

pub fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let generation = args.sources.generation()?;
    // Copied from a log or a config, it comes as a URL.
    let path = args.path.strip_prefix(generation.inventory.router.base_url.as_str()).unwrap_or(&args.path);
    let path = path.split('?').next().unwrap_or(path);
    let path = path.strip_prefix('/').unwrap_or(path);
    if let Some(artifact) = generation.catalogue.get(path) {
        super::print(artifact.bytes())?;
    } else if let Some((path, _)) = generation.catalogue.static_files.get_key_value(path)
        && let Some((folder, name)) = generation.place_of_static(path)
    {
        let file = folder.join(name);
        let mut file = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
        match io::copy(&mut file, &mut io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            copied => drop(copied.with_context(|| format!("cannot copy {} to stdout", args.path))?),
        }
    } else {
        bail!("there is no /{path}; {}", hint(&generation, path));
    }
    Ok(ExitCode::SUCCESS)
}

fn hint(generation: &Generation, wanted: &str) -> String {
    let artifacts = generation.catalogue.iter().map(|(path, _)| path);
    let paths: Vec<_> = artifacts.chain(generation.catalogue.static_files.keys()).collect();
    // A bare file name is a common short form of its path.
    if let Some(path) = paths.iter().find(|path| path.file_name() == wanted) {
        return format!("did you mean `{path}`?");
    }
    let paths: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
    suggest(wanted, &paths).unwrap_or_else(|| format!("`pxe-serve show {MANIFEST_PATH}` lists what there is"))
}
