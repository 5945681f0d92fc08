//! Links are closed: whatever an artifact names below the base URL is there, with the digest written beside it.
//!
//! A dead link is the worst failure of a network boot: Ignition takes a 404 as final and stops in an emergency shell.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::{Artifact, ArtifactPath, Catalogue};
use crate::inventory::ImageNames;
use crate::report::{Finding, Place, Report};

use super::Site;
use super::router;

/// Where `serve` says the hash of the cluster's CA, once a server has reported it.
const CLUSTER_CA: &str = "pxe/cluster-ca";

pub fn check(site: &Site, catalogue: &Catalogue, report: &mut Report) {
    let mut links = Links { site, catalogue, missing_images: BTreeSet::new(), said: BTreeSet::new(), report };
    for (path, artifact) in catalogue.once_each() {
        // What an image carries, an Ignition config of the catalogue says as well.
        let Ok(text) = std::str::from_utf8(artifact.bytes()) else { continue };
        // What Ignition names, its Butane names as well, in lines that people read.
        if path.as_str().ends_with(".ign") {
            links.check_verification(path, text);
        } else {
            let text = Text { path, text, is_secret: artifact.is_secret() };
            links.in_text(text.text).iter().for_each(|link| links.check_link(&text, link));
        }
    }
    for image in std::mem::take(&mut links.missing_images) {
        let base_url = &site.inventory.router.base_url;
        let help = match &site.inventory.fcos.images {
            ImageNames::Stream(stream) if site.images.sha256().contains_key(&image) => {
                let stream = &stream.file.value;
                format!(
                    "download it, by its `location` in {stream}, and put it there; nodes fetch {base_url}/{image}"
                )
            }
            _ if image.as_str().starts_with("pxe/tftp/") => {
                format!("copy iPXE's there; UEFI HTTP Boot fetches {base_url}/{image}")
            }
            _ => format!(
                "put it there, or name the image that is there in `fcos:`; nodes fetch {base_url}/{image}"
            ),
        };
        links.report.push(Finding::warning(image.as_str(), "is not in the --static folder").help(help));
    }
    for path in catalogue.static_files.keys().filter(|path| catalogue.get(path.as_str()).is_some()) {
        let help = "rename the file, or remove it; what is rendered is served";
        links.report.push(Finding::warning(path.as_str(), "is in the --static folder as well").help(help));
    }
}

struct Links<'s> {
    site: &'s Site,
    catalogue: &'s Catalogue,
    missing_images: BTreeSet<ArtifactPath>,
    /// One mistake in a template comes out for every host; it is said for the first.
    said: BTreeSet<String>,
    report: &'s mut Report,
}

/// An artifact that is read for links.
struct Text<'t> {
    path: &'t ArtifactPath,
    text: &'t str,
    is_secret: bool,
}

/// A URL in a text: what follows the base URL, and the bytes of all of it.
struct Link<'t> {
    rest: &'t str,
    bytes: std::ops::Range<usize>,
}

impl Text<'_> {
    fn place(&self, link: &Link<'_>) -> Place {
        let line_start = self.text[..link.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: Arc::from(self.path.as_str()),
            line: self.text[..line_start].matches('\n').count() + 1,
            column: self.text[line_start..link.bytes.start].chars().count() + 1,
            bytes: link.bytes.clone(),
        }
    }
}

impl Links<'_> {
    fn in_text<'t>(&self, text: &'t str) -> Vec<Link<'t>> {
        let base = format!("{}/", self.site.inventory.router.base_url);
        let ends =
            |character: char| !(character.is_ascii_alphanumeric() || "._~/?=&%+:@!-".contains(character));
        text.match_indices(&base)
            .filter_map(|(start, _)| {
                let rest = &text[start + base.len()..];
                let end = rest.find(ends).unwrap_or(rest.len());
                // `…/${mac}.ipxe`: where it leads is known on the machine only.
                if rest[end..].starts_with(['$', '{', '*']) {
                    return None;
                }
                // The full stop of a sentence is none of the URL's.
                let rest = rest[..end].trim_end_matches(['.', ':', '!']);
                Some(Link { rest, bytes: start..start + base.len() + rest.len() })
            })
            .collect()
    }

    fn check_link(&mut self, text: &Text<'_>, link: &Link<'_>) {
        let (target, query) = link.rest.split_once('?').unwrap_or((link.rest, ""));
        if target == CLUSTER_CA {
            return;
        }
        if let Some(host) = target.strip_prefix("pxe/events/") {
            if self.site.inventory.host(host).is_none() {
                let help = "write pxe/events/HOST with a host of the inventory".to_owned();
                self.error(text, link, format!("reports to {target}, which is no host"), help);
            }
            return;
        }
        let Some(found) = self.catalogue.get(target) else {
            match self.image(target) {
                Some(image) => {
                    if self.site.static_files.as_ref().is_some_and(|files| !files.contains_key(&image)) {
                        self.missing_images.insert(image);
                    }
                }
                None if self.static_file(target) || self.folder(target) => {}
                None => {
                    let help = self.hint(target);
                    self.error(text, link, format!("names {target}, which nobody serves"), help);
                }
            }
            return;
        };
        let pinned = query.split('&').find_map(|parameter| parameter.strip_prefix("sha256="));
        if pinned.is_some_and(|hex| hex.parse() != Ok(found.digest().sha256)) {
            let help = "use the `url` that the template is given".to_owned();
            self.error(text, link, format!("names {target} with another digest than it has"), help);
        }
    }

    fn error(&mut self, text: &Text<'_>, link: &Link<'_>, message: String, help: String) {
        if self.said.insert(message.clone()) {
            if !text.is_secret {
                self.report.add_source(text.path.as_str(), text.text);
            }
            let finding = Finding::error(text.path.as_str(), message).help(help);
            self.report.push(finding.at(Some(text.place(link))));
        }
    }

    fn hint(&self, target: &str) -> String {
        let known: Vec<&str> = self.catalogue.iter().map(|(path, _)| path.as_str()).collect();
        crate::document::suggest(target, &known).unwrap_or_else(|| {
            "name a path that `pxe-serve render` writes, or put the file into the --static folder".into()
        })
    }

    /// Every `source` below the base URL has `verification.hash` beside it, and it is right.
    fn check_verification(&mut self, path: &ArtifactPath, text: &str) {
        let Ok(config) = serde_json::from_str(text) else { return };
        let base = format!("{}/", self.site.inventory.router.base_url);
        let mut without = Vec::new();
        each_object(&config, &mut |object| {
            let source = object.get("source").and_then(|source| source.as_str());
            let Some(rest) = source.and_then(|source| source.strip_prefix(&base)) else { return };
            let target = rest.split('?').next().unwrap_or(rest);
            let Some(found) = self.catalogue.get(target) else { return };
            let hash = object.get("verification").and_then(|verification| verification.get("hash"));
            match hash.and_then(|hash| hash.as_str()) {
                None => without.push(target.to_owned()),
                Some(hash) if !hash.eq_ignore_ascii_case(&expected(hash, found)) => {
                    let help = "write the `hash` that the template is given; Ignition would stop the boot";
                    let message = format!("{target} has another digest than verification.hash says");
                    self.say(Finding::error(path.as_str(), message).help(help));
                }
                Some(_) => {}
            }
        });
        if !without.is_empty() {
            let help = "write the `hash` that the template is given, so that a node notices a file of another generation";
            let message = format!("without verification.hash it installs {}", without.join(", "));
            self.say(Finding::warning(path.as_str(), message).help(help));
        }
    }

    fn say(&mut self, finding: Finding) {
        if self.said.insert(finding.message.clone()) {
            self.report.push(finding);
        }
    }

    /// One of the images of `fcos:`, or iPXE for UEFI HTTP Boot, which may be served by somebody else.
    fn image(&self, target: &str) -> Option<ArtifactPath> {
        let images = self.site.images.paths().into_iter().cloned();
        images.chain(router::http_boot_files(&self.site.inventory)).find(|image| image.as_str() == target)
    }

    /// A folder has a listing; the root is the empty path.
    fn folder(&self, target: &str) -> bool {
        let served = || self.catalogue.iter().map(|(path, _)| path).chain(self.catalogue.static_files.keys());
        target.is_empty() || target.ends_with('/') && served().any(|path| path.as_str().starts_with(target))
    }

    fn static_file(&self, target: &str) -> bool {
        self.catalogue.static_files.contains_key(target)
    }
}

/// The hash in the algorithm that was written.
fn expected(written: &str, artifact: &Artifact) -> String {
    if written.starts_with("sha256-") {
        format!("sha256-{}", artifact.digest().sha256)
    } else {
        format!("sha512-{}", artifact.digest().sha512)
    }
}

fn each_object(
    value: &serde_json::Value,
    visit: &mut impl FnMut(&serde_json::Map<String, serde_json::Value>),
) {
    match value {
        serde_json::Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| each_object(value, visit));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| each_object(value, visit)),
        _ => {}
    }
}
