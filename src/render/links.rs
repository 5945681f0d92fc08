//! Links are closed: whatever an artifact names below the base URL is there, with the digest written beside it.
//!
//! A dead link is the worst failure of a network boot: Ignition takes a 404 as final and stops in an emergency shell.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::{Artifact, ArtifactPath, Catalogue, Sha256};
use crate::report::{Finding, Place, Report};

use super::Site;

pub fn check(site: &Site, catalogue: &Catalogue, report: &mut Report) {
    let links = Links { site, catalogue };
    let mut missing_images = BTreeSet::new();
    for (path, artifact) in catalogue.iter() {
        let Ok(text) = std::str::from_utf8(artifact.bytes()) else { continue };
        for link in links.in_text(text) {
            links.check_link(path, artifact, text, &link, &mut missing_images, report);
        }
        if path.as_str().ends_with(".ign") {
            links.check_verification(path, text, report);
        }
    }
    for image in missing_images {
        let help = format!(
            "put it there, or name the file that is there in `fcos:`; nodes fetch {}/{image}",
            site.inventory.router.base_url
        );
        report.push(Finding::warning(image.as_str(), "is not in the --static folder").help(help));
    }
}

struct Links<'s> {
    site: &'s Site,
    catalogue: &'s Catalogue,
}

/// A URL in a text: what follows the base URL, and the bytes of all of it.
struct Link<'t> {
    rest: &'t str,
    bytes: std::ops::Range<usize>,
}

impl Links<'_> {
    fn in_text<'t>(&self, text: &'t str) -> Vec<Link<'t>> {
        let base = format!("{}/", self.site.inventory.router.base_url);
        let ends =
            |character: char| !(character.is_ascii_alphanumeric() || "._~/?=&%+:@!-".contains(character));
        text.match_indices(&base)
            .map(|(start, _)| {
                let rest = &text[start + base.len()..];
                let rest = &rest[..rest.find(ends).unwrap_or(rest.len())];
                // The full stop of a sentence is none of the URL's.
                let rest = rest.trim_end_matches(['.', ':', '!']);
                Link { rest, bytes: start..start + base.len() + rest.len() }
            })
            .collect()
    }

    fn check_link(
        &self,
        path: &ArtifactPath,
        artifact: &Artifact,
        text: &str,
        link: &Link<'_>,
        missing_images: &mut BTreeSet<ArtifactPath>,
        report: &mut Report,
    ) {
        let (target, query) = link.rest.split_once('?').unwrap_or((link.rest, ""));
        let place = || {
            let line_start = text[..link.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
            Place {
                file: Arc::from(path.as_str()),
                line: text[..line_start].matches('\n').count() + 1,
                column: text[line_start..link.bytes.start].chars().count() + 1,
                bytes: link.bytes.clone(),
            }
        };
        let mut error = |message: String, help: String| {
            if !artifact.is_secret() {
                report.add_source(path.as_str(), text);
            }
            report.push(Finding::error(path.as_str(), message).help(help).at(Some(place())));
        };
        let Some(found) = self.catalogue.get(target) else {
            match self.image(target) {
                Some(image) => {
                    if self.site.static_files.as_ref().is_some_and(|files| !files.contains(&image)) {
                        missing_images.insert(image);
                    }
                }
                None if self.static_file(target) => {}
                None => {
                    let known: Vec<&str> = self.catalogue.iter().map(|(path, _)| path.as_str()).collect();
                    let help = crate::document::suggest(target, &known)
                        .unwrap_or_else(|| "name a path that `pxe-serve render` writes, or put the file into the --static folder".into());
                    error(format!("names {target}, which nobody serves"), help);
                }
            }
            return;
        };
        if let Some(hex) = query.strip_prefix("sha256=")
            && hex.parse::<Sha256>() != Ok(found.digest().sha256)
        {
            let help = "use the `url` that the template is given".to_owned();
            error(format!("names {target} with another digest than it has"), help);
        }
    }

    /// Every `source` below the base URL has `verification.hash` beside it, and it is right.
    fn check_verification(&self, path: &ArtifactPath, text: &str, report: &mut Report) {
        let Ok(config) = serde_json::from_str(text) else { return };
        let base = format!("{}/", self.site.inventory.router.base_url);
        each_object(&config, &mut |object| {
            let Some(rest) = object
                .get("source")
                .and_then(|source| source.as_str())
                .and_then(|source| source.strip_prefix(&base))
            else {
                return;
            };
            let target = rest.split('?').next().unwrap_or(rest);
            let Some(found) = self.catalogue.get(target) else { return };
            let written = object
                .get("verification")
                .and_then(|verification| verification.get("hash"))
                .and_then(|hash| hash.as_str());
            let finding = match written {
                None => Finding::warning(path.as_str(), format!("{target} is installed without verification.hash"))
                    .help("write the `hash` that the template is given, so that a node notices a file of another generation"),
                Some(hash) if !hash.eq_ignore_ascii_case(&expected(hash, found)) => {
                    Finding::error(path.as_str(), format!("{target} has another digest than verification.hash says"))
                        .help("write the `hash` that the template is given; Ignition would stop the boot")
                }
                Some(_) => return,
            };
            report.push(finding);
        });
    }

    /// One of the images of `fcos:`, which may be served by somebody else.
    fn image(&self, target: &str) -> Option<ArtifactPath> {
        let fcos = &self.site.inventory.fcos;
        let images =
            [Some(&fcos.kernel), Some(&fcos.initramfs), Some(&fcos.rootfs), fcos.metal_image.as_ref()];
        images.into_iter().flatten().find(|image| image.as_str() == target).cloned()
    }

    fn static_file(&self, target: &str) -> bool {
        self.site.static_files.as_ref().is_some_and(|files| files.contains(target))
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
