//! What scripts of a node fetch from the router: k3s, and keepalived's image; with the digests that they check.

use minijinja::value::Serde;
use serde::Serialize;

use crate::catalogue::{ArtifactPath, Sha256};
use crate::document::At;
use crate::report::Report;

use super::Site;

#[derive(Serialize)]
struct Offline {
    install_script: Download,
    binaries: Vec<Binary>,
}

#[derive(Serialize)]
struct Binary {
    arch: &'static str,
    #[serde(flatten)]
    file: Download,
}

const K3S_HELP: &str = "start with --static DIR and put it there: DIR/k3s/k3s is pxe/k3s/k3s; or leave binary and install_script out, and nodes download k3s";
const IMAGE_HELP: &str = "start with --static DIR and put it there, as `podman save` writes it: DIR/keepalived.tar is pxe/keepalived.tar; or leave image_archive out, and nodes pull the image";

/// The query asks for just these bytes; a static server ignores it, and the script notices.
#[derive(Serialize)]
struct Download {
    url: String,
    sha256: String,
}

/// None when k3s is downloaded from the internet, or with an error in the report.
pub fn context(site: &Site, report: &mut Report) -> minijinja::Value {
    let Some(offline) = &site.inventory.k3s.offline else { return ().into() };
    let install_script = download(site, &offline.install_script, K3S_HELP, report);
    let binaries: Vec<_> =
        offline.binaries.iter().map(|(arch, path)| (arch, download(site, path, K3S_HELP, report))).collect();
    let binaries = binaries.into_iter().map(|(arch, file)| Some(Binary { arch: arch.name(), file: file? }));
    match (install_script, binaries.collect::<Option<_>>()) {
        (Some(install_script), Some(binaries)) => Serde(Offline { install_script, binaries }).into(),
        _ => ().into(),
    }
}

/// keepalived's image; none when a registry has it, or with an error in the report.
pub fn image_archive(site: &Site, report: &mut Report) -> minijinja::Value {
    let archive = site.inventory.keepalived.image_archive.as_ref();
    match archive.and_then(|path| download(site, path, IMAGE_HELP, report)) {
        Some(archive) => Serde(archive).into(),
        None => ().into(),
    }
}

fn download(
    site: &Site,
    path: &At<ArtifactPath>,
    help: &'static str,
    report: &mut Report,
) -> Option<Download> {
    match digest(site, &path.value, help) {
        Ok(sha256) => {
            let url = format!("{}/{}?sha256={sha256}", site.inventory.router.base_url, path.value);
            Some(Download { url, sha256: sha256.to_string() })
        }
        Err((message, help)) => {
            report.push_once(path.error(message).help(help));
            None
        }
    }
}

/// It must be known now: the script that is rendered says it.
fn digest(
    site: &Site,
    path: &ArtifactPath,
    help: &'static str,
) -> Result<Sha256, (&'static str, &'static str)> {
    let files = site.static_files.as_ref().ok_or(("nobody says where this file is", help))?;
    let file = files.get(path).ok_or(("is not in the --static folder", help))?;
    file.sha256
        .ok_or(("cannot be read", "let the user that runs pxe-serve read it, and nobody write it meanwhile"))
}
