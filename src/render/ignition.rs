//! Butane from a template, Ignition from the Butane: each file the node fetches is named with its digest.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::butane;
use crate::catalogue::{Alternative, Artifact, Audience, Digest};
use crate::report::Finding;

use super::Kitchen;
use super::boots::Boot;
use super::context::Contexts;
use super::expand::{Installed, InstalledFile};
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
        let template = template_of(boot, compiled);
        let context = context! {
            files => file_contexts(kitchen, files),
            enabled_units => files.iter().filter(|file| file.enable).map(|file| unit_name(&file.path)).collect::<Vec<_>>(),
            butane_version => lowest_butane(boot),
            ..contexts.boot(boot)
        };
        let path = format!("pxe/butane/{}.bu", boot.name);
        let secrets = &kitchen.site.secrets;
        let Some(output) = compiled.render(&template, &path, &context, secrets, &mut kitchen.report) else {
            continue;
        };
        let Some(ignition) = compile(kitchen, &path, &output) else { continue };
        for name in std::iter::once(boot.name.as_str()).chain(boot.alias()) {
            let audience = Audience::host(&boot.host.name);
            let path = format!("pxe/butane/{name}.bu");
            let butane = output.text.clone().into_bytes();
            kitchen.add(&path, Artifact::new(&path, butane, output.sensitivity, audience.clone()));
            let path = format!("pxe/ignition/{name}.ign");
            let artifact = Artifact::new(&path, ignition.clone(), output.sensitivity, audience);
            kitchen.add(&path, with_versions(artifact));
        }
    }
}

/// The most special template there is: for this config, for this host, for every node.
fn template_of(boot: &Boot<'_>, compiled: &Compiled<'_>) -> String {
    let special = [format!("butane/{}.bu.j2", boot.name), format!("butane/{}.bu.j2", boot.host.name)];
    special.into_iter().find(|name| compiled.has(name)).unwrap_or_else(|| "butane/node.bu.j2".to_owned())
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
    let alternative = butane::lowest(artifact.bytes()).map(|(version, bytes)| Alternative {
        ignition_version: (version.major.into(), version.minor.into()),
        digest: Digest::of(&bytes),
        bytes: bytes.into(),
    });
    artifact.ignition_version = version_of(artifact.bytes());
    artifact.alternative = alternative;
    artifact
}

fn version_of(ignition: &[u8]) -> Option<(u32, u32)> {
    let config: serde_json::Value = serde_json::from_slice(ignition).ok()?;
    let mut numbers = config.get("ignition")?.get("version")?.as_str()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
