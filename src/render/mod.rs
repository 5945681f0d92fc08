//! `Site → Catalogue`: everything bytes may depend on in, every file that will ever be served out. Pure.
//!
//! Inside a host the order is the order of the hashes: declared files → Butane → Ignition (names the files with their
//! digests) → its initrd → the installer's Butane, Ignition (names the host's) and initrd → iPXE (names the initrds).
//! Then the links are closed, and the lint reads what came out.

mod boots;
mod context;
mod declared;
mod expand;
mod failover_page;
mod ignition;
mod images;
mod initrd;
mod ipxe;
mod k3s;
mod keepalived;
mod links;
mod lint;
mod offline;
mod router;
mod templates;
mod unused;

use std::collections::BTreeMap;

use crate::catalogue::{
    Artifact, ArtifactPath, Audience, BadPath, Catalogue, MANIFEST_PATH, SHA256SUMS_PATH, Sha256, StaticFile,
};
use crate::document::At;
use crate::inventory::{BootImages, Inventory, Secrets};
use crate::report::{Finding, Report};

pub use templates::{TemplateSource, Templates};

/// Everything bytes may depend on.
#[derive(Debug)]
pub struct Site {
    pub inventory: Inventory,
    pub images: BootImages,
    pub secrets: Secrets,
    pub templates: Templates,
    /// The big files served beside the catalogue; `None` when nobody said where they are.
    pub static_files: Option<BTreeMap<ArtifactPath, StaticFile>>,
}

impl Site {
    /// What an image that hosts boot from or are written with has to be: as the stream's metadata says, which names what
    /// was published; else as it lay among the static files. `None`: nobody has said, or has read it yet.
    pub fn sha256_of(&self, image: &ArtifactPath) -> Option<Sha256> {
        let found = || self.static_files.as_ref()?.get(image)?.sha256;
        self.images.sha256().get(image).copied().or_else(found)
    }
}

/// The catalogue, when nothing is in error, and all findings.
#[derive(Debug)]
pub struct Rendered {
    pub catalogue: Option<Catalogue>,
    pub report: Report,
}

pub fn render(site: &Site) -> Rendered {
    let mut catalogue = Catalogue::default();
    catalogue.static_files = site.static_files.clone().unwrap_or_default();
    let mut kitchen = Kitchen { site, catalogue, report: Report::new() };
    let boots = boots::boots(&site.inventory);
    let declarations = declared::read(&site.templates, &mut kitchen.report);
    // A list that cannot be read asks for nothing.
    if !kitchen.report.has_errors() {
        unused::check(&site.templates, &declarations, &boots, &mut kitchen.report);
    }
    if let Some(compiled) = templates::Compiled::new(&site.templates, &mut kitchen.report) {
        let offline = offline::context(site, &mut kitchen.report);
        let archive = offline::image_archive(site, &mut kitchen.report);
        let contexts = context::Contexts::new(site, &offline, &archive);
        let installed = expand::render_declared(&mut kitchen, &compiled, &contexts, &declarations, &boots);
        ignition::render_ignition(&mut kitchen, &compiled, &contexts, &boots, &installed);
        ipxe::render_ipxe(&mut kitchen, &compiled, &contexts, &boots);
        router::render_router(&mut kitchen, &compiled, &contexts);
        failover_page::render(&mut kitchen, &compiled, &contexts);
        lint::lint(&kitchen.catalogue, &installed, &mut kitchen.report);
        links::check(site, &kitchen.catalogue, &mut kitchen.report);
        images::check(site, &mut kitchen.report);
    }
    let Kitchen { catalogue, mut report, .. } = kitchen;
    hide_secrets(&mut report, site);
    let catalogue = (!report.has_errors()).then(|| catalogue.seal());
    Rendered { catalogue, report }
}

/// A finding may quote what a template made of a secret.
fn hide_secrets(report: &mut Report, site: &Site) {
    /// A password of fewer characters hides nothing, and stands in every other word of a finding.
    const SHORTEST: usize = 4;
    let named = site.secrets.named().filter(|(_, value)| value.len() >= SHORTEST);
    named.for_each(|(_, value)| report.hide(value));
    // The part of the full form that is secret by itself.
    report.hide(site.secrets.k3s_token.credentials());
    for host in &site.inventory.hosts {
        report.hide(&site.secrets.node_password(host.name.as_str()));
    }
}

/// What the families add to while they render.
struct Kitchen<'s> {
    site: &'s Site,
    catalogue: Catalogue,
    report: Report,
}

impl Kitchen<'_> {
    /// Adds a file that is declared in artifacts.yaml; a path that is no path, or is taken, is a finding there.
    fn add_declared(&mut self, path: &str, artifact: Artifact, written: &At<String>) {
        let found = match self.insert(path, artifact) {
            Ok(()) => return,
            Err(NotAdded::BadPath(error)) => written.error(error.to_string()).help("mend `path`"),
            Err(NotAdded::Reserved) => written
                .error(format!("pxe-serve itself answers for {path}"))
                .help("choose another path, such as pxe/configs/NAME"),
            Err(NotAdded::Taken) => {
                let help = "another entry makes this path or one below it; rename one, or choose other `hosts` for it";
                written.error(format!("{path} is made twice")).help(help)
            }
        };
        self.report.push_once(found);
    }

    /// Adds a file that every site has; if its path is taken, then by a declared one.
    fn add(&mut self, path: &str, artifact: Artifact) {
        if self.insert(path, artifact).is_err() {
            let help = "choose another path for the entry in artifacts.yaml; to change this file, replace its template in butane/, ipxe/ or pages/";
            self.report.push_once(Finding::error(path, "is made by pxe-serve itself as well").help(help));
        }
    }

    fn insert(&mut self, path: &str, artifact: Artifact) -> Result<(), NotAdded> {
        // The server answers for the first five, and for all below them; sealing makes the others.
        const RESERVED: [&str; 7] =
            ["healthz", "readyz", "pxe/hosts", "pxe/events", "pxe/snapshots", MANIFEST_PATH, SHA256SUMS_PATH];
        let parsed: ArtifactPath = path.parse().map_err(NotAdded::BadPath)?;
        let is_below = |taken: &&str| path.strip_prefix(*taken).is_some_and(|rest| rest.starts_with('/'));
        if RESERVED.iter().any(|taken| path == *taken || is_below(taken)) {
            return Err(NotAdded::Reserved);
        }
        self.catalogue.insert(parsed, artifact).map_err(|_| NotAdded::Taken)
    }

    /// Renders a template of ours into the catalogue.
    fn render(
        &mut self,
        compiled: &templates::Compiled<'_>,
        template: &str,
        path: &str,
        context: &minijinja::Value,
        audience: Audience,
    ) {
        if let Some(output) = compiled.render(template, path, context, &self.site.secrets, &mut self.report) {
            self.add(path, Artifact::new(path, output.text.into_bytes(), output.sensitivity, audience));
        }
    }
}

/// Why a file is not in the catalogue.
enum NotAdded {
    BadPath(BadPath),
    Reserved,
    Taken,
}
