//! The declared files: each entry of `artifacts.yaml` rendered for everyone, for each host or for each boot.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use crate::catalogue::{Artifact, Audience, Sensitivity};
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
    let mut installed: Installed = boots.iter().map(|boot| (boot.name.clone(), Vec::new())).collect();
    let boots: Vec<(&Boot<'_>, Value)> = boots.iter().map(|boot| (boot, contexts.boot(boot))).collect();
    let mut expansion = Expansion { kitchen, compiled, contexts, boots: &boots };
    for declaration in declarations {
        let chosen = expansion.chosen(declaration.hosts.as_ref(), boots.iter().collect());
        expansion.render(declaration, &chosen);
        let Some(install) = &declaration.install else { continue };
        for (boot, _) in expansion.chosen(install.when.as_ref(), chosen) {
            installed.entry(boot.name.clone()).or_default().push(InstalledFile {
                source: path_for(declaration, boot, &boot.name),
                path: install.path.to_string(),
                mode: install.mode.value,
                enable: install.enable,
            });
        }
    }
    installed
}

/// A boot and what templates know in it.
type Chosen<'b> = &'b (&'b Boot<'b>, Value);

struct Expansion<'e, 's> {
    kitchen: &'e mut Kitchen<'s>,
    compiled: &'e Compiled<'e>,
    contexts: &'e Contexts<'e>,
    boots: &'e [(&'e Boot<'e>, Value)],
}

impl Kitchen<'_> {
    /// Says it, and takes it for no.
    fn undecided(&mut self, condition: &At<String>, why: &str) -> bool {
        let help = "write an expression such as host.role == \"worker\" or host.labels.gpu is defined";
        let finding = condition.error(format!("cannot be evaluated: {why}")).help(help);
        self.report.push_once(finding);
        false
    }
}

impl Expansion<'_, '_> {
    /// Those of `boots` for which the condition holds; without one, all.
    fn chosen<'b>(&mut self, condition: Option<&At<String>>, mut boots: Vec<Chosen<'b>>) -> Vec<Chosen<'b>> {
        let Some(written) = condition else { return boots };
        let contexts: Vec<&Value> = self.boots.iter().map(|(_, context)| context).collect();
        match self.compiled.condition(&written.value, &contexts) {
            Ok(condition) => boots.retain(|(_, context)| {
                condition.holds(context).unwrap_or_else(|why| self.kitchen.undecided(written, &why))
            }),
            Err(why) => {
                self.kitchen.undecided(written, &why);
                boots.clear();
            }
        }
        boots
    }

    fn render(&mut self, declaration: &Declaration, chosen: &[Chosen<'_>]) {
        match declaration.scope() {
            Scope::Shared if chosen.is_empty() => {}
            Scope::Shared => {
                let hosts: BTreeSet<HostName> =
                    chosen.iter().map(|(boot, _)| boot.host.name.clone()).collect();
                let everyone = hosts.len() == self.kitchen.site.inventory.hosts.len();
                let audience = if everyone { Audience::Everyone } else { Audience::Hosts(hosts) };
                self.render_one(declaration, &declaration.path.value, self.contexts.site(), audience);
            }
            Scope::Host => {
                // A host's boots stand side by side.
                let mut boots: Vec<&Boot<'_>> = chosen.iter().map(|(boot, _)| *boot).collect();
                boots.dedup_by_key(|boot| &boot.host.name);
                for boot in boots {
                    let path = path_for(declaration, boot, &boot.name);
                    let context = self.contexts.host(boot.host);
                    self.render_one(declaration, &path, &context, Audience::host(&boot.host.name));
                }
            }
            Scope::Boot => {
                for (boot, context) in chosen {
                    for name in std::iter::once(boot.name.as_str()).chain(boot.alias()) {
                        let path = path_for(declaration, boot, name);
                        self.render_one(declaration, &path, context, Audience::host(&boot.host.name));
                    }
                }
            }
        }
    }

    fn render_one(&mut self, declaration: &Declaration, path: &str, context: &Value, audience: Audience) {
        let Kitchen { site, report, .. } = &mut *self.kitchen;
        let template = &declaration.template.value;
        let Some(output) = self.compiled.render(template, path, context, &site.secrets, report) else {
            return;
        };
        if output.sensitivity == Sensitivity::Secret
            && let Some(install) =
                declaration.install.as_ref().filter(|install| install.mode.value & 0o077 != 0)
        {
            let message =
                format!("the file holds a secret, and mode {:04o} lets others read it", install.mode.value);
            report.push_once(install.mode.error(message).help("write 0600"));
        }
        let artifact = Artifact::new(path, output.text.into_bytes(), output.sensitivity, audience);
        self.kitchen.add_declared(path, artifact, &declaration.path);
    }
}

fn path_for(declaration: &Declaration, boot: &Boot<'_>, name: &str) -> String {
    declaration.path.value.replace("{name}", name).replace("{host}", boot.host.name.as_str())
}
