//! `image`: a host's Ignition config as an initrd in a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use crate::bundle;
use crate::catalogue::Catalogue;
use crate::document::suggest;

use super::SourceArgs;

/// Write the initrd that carries a host's Ignition config to a live system
///
/// The same bytes as /pxe/initrd/NAME.img, for a stick or another boot loader: give it to the Fedora CoreOS live kernel
/// after the live initramfs. A file that is no image stays as it is. Mode 0600 if the config holds a secret.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// A host, or one of its Ignition configs such as lenovo1-bootstrap
    #[arg(value_name = "NAME")]
    name: String,

    /// The config of the live system that installs the host, instead of the host's own
    #[arg(long)]
    install: bool,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: ImageArgs) -> anyhow::Result<ExitCode> {
    let generation = args.sources.generation()?;
    let folder = if args.install { "pxe/initrd/install/" } else { "pxe/initrd/" };
    let Some(artifact) = generation.catalogue.get(&format!("{folder}{}.img", args.name)) else {
        let known = names(&generation.catalogue, folder);
        if known.is_empty() {
            bail!("there is no image that installs: `fcos.install` says kernel_arguments");
        }
        let meant = suggest(&args.name, &known).map(|question| format!("{question} ")).unwrap_or_default();
        bail!("there is no image of {:?}; {meant}there are {}", args.name, known.join(", "));
    };
    bundle::write_image(artifact, &args.out)?;
    let (size, digest) = (artifact.bytes().len(), artifact.digest().sha256);
    super::tell(&format!("{}: {size} bytes, sha256 {digest}\n", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

fn names<'c>(catalogue: &'c Catalogue, folder: &str) -> Vec<&'c str> {
    let paths = catalogue.iter().filter_map(|(path, _)| path.as_str().strip_prefix(folder));
    paths.filter_map(|file| file.strip_suffix(".img")).filter(|name| !name.contains('/')).collect()
}
