//! Butane from a template, Ignition from the Butane, an initrd from the Ignition: of each node, and of the live system
//! that installs it. Each file the node fetches is named with its digest.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::butane;
use crate::catalogue::{Alternative, Artifact, Audience, Digest};
use crate::inventory::InstallForm;
use crate::report::Finding;

use super::Kitchen;
use super::boots::Boot;
use super::context::Contexts;
use super::expand::{Installed, InstalledFile};
use super::initrd;
use super::templates::Compiled;

#[derive(Serialize)]
struct FileContext<'f> {
    path: &'f str,
    /// Octal with its leading zero, as Butane's YAML wants it.
    mode: String,
    url: String,
    hash: String,
}

pub fn render_ignition(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    contexts: &Contexts<'_>,
    boots: &[Boot<'_>],
    installed: &Installed,
) {
    for boot in boots {
        let files = installed.get(&boot.name).map(Vec::as_slice).unwrap_or_default();
        let template =
            boot.template(compiled, "butane", "bu").unwrap_or_else(|| "butane/node.bu.j2".to_owned());
        let context = context! {
            files => file_contexts(kitchen, files),
            enabled_units => files.iter().filter(|file| file.enable).map(|file| unit_name(&file.path)).collect::<Vec<_>>(),
            butane_version => lowest_butane(boot),
            ..contexts.boot(boot)
        };
        render_config(kitchen, compiled, boot, &template, "", &context);
        if kitchen.site.inventory.fcos.install == InstallForm::Verified {
            render_installer(kitchen, compiled, contexts, boot);
        }
    }
}

/// The config of the live system that installs this one: it says which Ignition config, and its hash.
fn render_installer(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    contexts: &Contexts<'_>,
    boot: &Boot<'_>,
) {
    let path = format!("pxe/ignition/{}.ign", boot.name);
    // Without its Ignition the config has a finding already.
    let Some(digest) = kitchen.catalogue.get(&path).map(|artifact| *artifact.digest()) else { return };
    let context = context! {
        ignition_url => format!("{}/{path}?sha256={}", kitchen.site.inventory.router.base_url, digest.sha256),
        ignition_hash => format!("sha512-{}", digest.sha512),
        ignition_sha256 => digest.sha256.to_string(),
        ..contexts.boot(boot)
    };
    render_config(kitchen, compiled, boot, "butane/install.bu.j2", "install/", &context);
}

/// Butane, the Ignition that it compiles to, and the initrd that carries this to a live system; each under the names
/// of the config, in `folder`.
fn render_config(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    boot: &Boot<'_>,
    template: &str,
    folder: &str,
    context: &Value,
) {
    let path = format!("pxe/butane/{folder}{}.bu", boot.name);
    let secrets = &kitchen.site.secrets;
    let Some(output) = compiled.render(template, &path, context, secrets, &mut kitchen.report) else {
        return;
    };
    let Some(ignition) = compile(kitchen, &path, &output) else { return };
    let artifact = |path: &str, bytes: Vec<u8>| {
        Artifact::new(path, bytes, output.sensitivity, Audience::host(&boot.host.name))
    };
    let image = artifact(".img", initrd::image(&ignition));
    let ignition = with_versions(artifact(".ign", ignition));
    let butane = artifact(".bu", output.text.into_bytes());
    for name in std::iter::once(boot.name.as_str()).chain(boot.alias()) {
        kitchen.add(&format!("pxe/butane/{folder}{name}.bu"), butane.clone());
        kitchen.add(&format!("pxe/ignition/{folder}{name}.ign"), ignition.clone());
        kitchen.add(&format!("pxe/initrd/{folder}{name}.img"), image.clone());
    }
}

fn file_contexts(kitchen: &Kitchen<'_>, files: &[InstalledFile]) -> Vec<Value> {
    let base_url = &kitchen.site.inventory.router.base_url;
    let contexts = files.iter().filter_map(|file| {
        // A file that could not be rendered has its finding already.
        let digest = kitchen.catalogue.get(&file.source)?.digest();
        Some(Value::from(Serde(FileContext {
            path: &file.path,
            mode: format!("{:04o}", file.mode),
            url: format!("{base_url}/{}?sha256={}", file.source, digest.sha256),
            // SHA-512: what Ignition verifies from spec 3.0 on; sha256 needs 3.1.
            hash: format!("sha512-{}", digest.sha512),
        })))
    });
    contexts.collect()
}

fn unit_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// The lowest fcos version that can say what the node template says about this host.
fn lowest_butane(boot: &Boot<'_>) -> &'static str {
    if !boot.host.kernel_arguments.is_empty() {
        "1.4.0"
    } else if !boot.host.disks.is_empty() {
        "1.1.0"
    } else {
        "1.0.0"
    }
}

fn compile(kitchen: &mut Kitchen<'_>, path: &str, output: &super::templates::Output) -> Option<Vec<u8>> {
    let options = butane::Options::default();
    let compiled = butane::compile(output.text.as_bytes(), path, &options, &butane::NoFiles);
    if output.sensitivity == crate::catalogue::Sensitivity::Public {
        kitchen.report.add_source(path, output.text.as_str());
    }
    for finding in compiled.report.findings() {
        let help = finding
            .help
            .clone()
            .unwrap_or_else(|| "mend the template in butane/ that makes this line".into());
        kitchen.report.push(Finding { help: Some(help), ..finding.clone() });
    }
    compiled.ignition
}

/// Notes which version the config is, and adds the lowest that can say the same.
fn with_versions(mut artifact: Artifact) -> Artifact {
    artifact.ignition_version = version_of(artifact.bytes());
    // Below 3.0 nothing is known here.
    if artifact.ignition_version != Some((3, 0)) {
        artifact.alternative = butane::lowest(artifact.bytes()).map(|(version, bytes)| Alternative {
            ignition_version: (version.major.into(), version.minor.into()),
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
        });
    }
    artifact
}

/// Reads no more of the config than it must: every config of a site passes here.
fn version_of(ignition: &[u8]) -> Option<(u32, u32)> {
    #[derive(serde::Deserialize)]
    struct Config {
        ignition: Ignition,
    }
    #[derive(serde::Deserialize)]
    struct Ignition {
        version: String,
    }
    let config: Config = serde_json::from_slice(ignition).ok()?;
    let mut numbers = config.ignition.version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
