//! `Site → Catalogue`: everything bytes may depend on in, every file that will ever be served out. Pure.
//!
//! Inside a host the order is the order of the hashes: declared files → Butane → Ignition (names the files with their
//! digests) → iPXE (names the Ignition). Then the links are closed, and the lint reads what came out.

mod boots;
mod context;
mod declared;
mod expand;
mod failover_page;
mod ignition;
mod ipxe;
mod k3s;
mod keepalived;
mod links;
mod lint;
mod templates;

use std::collections::BTreeSet;

use crate::catalogue::{Artifact, ArtifactPath, Audience, Catalogue, Sensitivity};
use crate::inventory::{Inventory, Secrets};
use crate::report::{Finding, Report};

pub use templates::{TemplateSource, Templates};

/// Everything bytes may depend on.
#[derive(Debug)]
pub struct Site {
    pub inventory: Inventory,
    pub secrets: Secrets,
    pub templates: Templates,
    /// The big files served beside the catalogue; `None` when nobody said where they are.
    pub static_files: Option<BTreeSet<ArtifactPath>>,
}

/// The catalogue, when nothing is in error, and all findings.
#[derive(Debug)]
pub struct Rendered {
    pub catalogue: Option<Catalogue>,
    pub report: Report,
}

pub fn render(site: &Site) -> Rendered {
    let mut kitchen = Kitchen { site, catalogue: Catalogue::default(), report: Report::new() };
    if let Some(compiled) = templates::Compiled::new(&site.templates, &mut kitchen.report) {
        let contexts = context::Contexts::new(site);
        let declarations = declared::read(&site.templates, &mut kitchen.report);
        let boots = boots::boots(&site.inventory);
        let installed = expand::render_declared(&mut kitchen, &compiled, &contexts, &declarations, &boots);
        ignition::render_ignition(&mut kitchen, &compiled, &contexts, &boots, &installed);
        ipxe::render_ipxe(&mut kitchen, &compiled, &contexts);
        failover_page::render(&mut kitchen, &compiled, &contexts);
        lint::lint(&kitchen.catalogue, &installed, &mut kitchen.report);
        links::check(site, &kitchen.catalogue, &mut kitchen.report);
    }
    let Kitchen { catalogue, report, .. } = kitchen;
    let catalogue = (!report.has_errors()).then(|| catalogue.seal());
    Rendered { catalogue, report }
}

/// What the families add to while they render.
struct Kitchen<'s> {
    site: &'s Site,
    catalogue: Catalogue,
    report: Report,
}

impl Kitchen<'_> {
    /// Adds a file; a path that is no path or is taken is a finding.
    fn add(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        sensitivity: Sensitivity,
        audience: Audience,
    ) -> Option<&Artifact> {
        let artifact = Artifact::new(path, bytes, sensitivity, audience);
        self.add_artifact(path, artifact)
    }

    fn add_artifact(&mut self, path: &str, artifact: Artifact) -> Option<&Artifact> {
        let parsed: ArtifactPath = match path.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                self.report
                    .push(Finding::error(path, format!("{error}")).help("mend `path` in artifacts.yaml"));
                return None;
            }
        };
        if self.catalogue.insert(parsed, artifact).is_err() {
            let help = "two entries of artifacts.yaml make this path; rename one";
            self.report.push(Finding::error(path, "is rendered twice").help(help));
            return None;
        }
        self.catalogue.get(path)
    }
}
