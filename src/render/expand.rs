//! The declared files: each entry of `artifacts.yaml` rendered for everyone, for each host or for each boot.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use crate::catalogue::{Audience, Sensitivity};
use crate::document::At;
use crate::ids::HostName;

use super::Kitchen;
use super::boots::Boot;
use super::context::Contexts;
use super::declared::{Declaration, Scope};
use super::templates::Compiled;

/// A rendered file that Ignition puts on a node.
#[derive(Debug, Clone)]
pub struct InstalledFile {
    /// In the catalogue.
    pub source: String,
    /// On the node.
    pub path: String,
    pub mode: u32,
    pub enable: bool,
}

/// For each boot, by its name, the files to install.
pub type Installed = BTreeMap<String, Vec<InstalledFile>>;

/// Renders every declaration into the catalogue, and says which boot installs what.
pub fn render_declared(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    contexts: &Contexts<'_>,
    declarations: &[Declaration],
    boots: &[Boot<'_>],
) -> Installed {
    let boot_contexts: Vec<Value> = boots.iter().map(|boot| contexts.boot(boot)).collect();
    let mut installed: Installed = boots.iter().map(|boot| (boot.name.clone(), Vec::new())).collect();
    for declaration in declarations {
        let wanted = |kitchen: &mut Kitchen<'_>, condition: Option<&At<String>>, index: usize| {
            condition.is_none_or(|condition| holds(kitchen, compiled, condition, &boot_contexts[index]))
        };
        let chosen: Vec<usize> =
            (0..boots.len()).filter(|index| wanted(kitchen, declaration.hosts.as_ref(), *index)).collect();
        if chosen.is_empty() {
            continue;
        }
        match declaration.scope() {
            Scope::Shared => {
                let hosts: BTreeSet<HostName> =
                    chosen.iter().map(|index| boots[*index].host.name.clone()).collect();
                let everyone = hosts.len() == kitchen.site.inventory.hosts.len();
                let audience = if everyone { Audience::Everyone } else { Audience::Hosts(hosts) };
                render_one(
                    kitchen,
                    compiled,
                    declaration,
                    &declaration.path.value,
                    contexts.site(),
                    &audience,
                );
            }
            Scope::Host => {
                for host in kitchen
                    .site
                    .inventory
                    .hosts
                    .iter()
                    .filter(|host| chosen.iter().any(|index| boots[*index].host.name == host.name))
                {
                    let path = declaration.path.value.replace("{host}", host.name.as_str());
                    render_one(
                        kitchen,
                        compiled,
                        declaration,
                        &path,
                        &contexts.host(host),
                        &Audience::host(&host.name),
                    );
                }
            }
            Scope::Boot => {
                for index in &chosen {
                    let (boot, context) = (&boots[*index], &boot_contexts[*index]);
                    for name in std::iter::once(boot.name.as_str()).chain(boot.alias()) {
                        let path = path_for(declaration, boot, name);
                        render_one(
                            kitchen,
                            compiled,
                            declaration,
                            &path,
                            context,
                            &Audience::host(&boot.host.name),
                        );
                    }
                }
            }
        }
        let Some(install) = &declaration.install else { continue };
        for index in chosen {
            if wanted(kitchen, install.when.as_ref(), index) {
                let boot = &boots[index];
                installed.entry(boot.name.clone()).or_default().push(InstalledFile {
                    source: path_for(declaration, boot, &boot.name),
                    path: install.path.to_string(),
                    mode: install.mode.value,
                    enable: install.enable,
                });
            }
        }
    }
    installed
}

fn path_for(declaration: &Declaration, boot: &Boot<'_>, name: &str) -> String {
    declaration.path.value.replace("{name}", name).replace("{host}", boot.host.name.as_str())
}

fn render_one(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    declaration: &Declaration,
    path: &str,
    context: &Value,
    audience: &Audience,
) {
    let output = compiled.render(
        &declaration.template.value,
        path,
        context,
        &kitchen.site.secrets,
        &mut kitchen.report,
    );
    let Some(output) = output else { return };
    if output.sensitivity == Sensitivity::Secret
        && let Some(install) = declaration.install.as_ref().filter(|install| install.mode.value & 0o077 != 0)
    {
        let message =
            format!("{path} holds a secret, and mode {:04o} lets others read it", install.mode.value);
        kitchen.report.push(install.mode.error(message).help("write 0600"));
    }
    kitchen.add(path, output.text.into_bytes(), output.sensitivity, audience.clone());
}

fn holds(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    condition: &At<String>,
    context: &Value,
) -> bool {
    match compiled.holds(&condition.value, context) {
        Ok(truth) => truth,
        Err(why) => {
            let help = "write an expression such as host.role == \"worker\" or host.labels.gpu is defined";
            kitchen.report.push(condition.error(format!("cannot be evaluated: {why}")).help(help));
            false
        }
    }
}
