//! A folder as a page: one level, readable on a phone beside a rack.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::catalogue::{Artifact, ArtifactPath, Audience, StaticFile};

use super::super::log::short;
use super::super::refusal::Refusal;
use super::Folder;

/// The ending makes minijinja escape for HTML.
const TEMPLATE: &str = "listing.html.j2";

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    // Were it broken, it would be missed at the first look-up, by a test.
    let _ = pages.add_template(TEMPLATE, include_str!("../../../templates/listing.html.j2"));
    pages
});

/// A folder on the way here, or below.
#[derive(Serialize)]
struct Link<'a> {
    name: &'a str,
    path: String,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    path: &'a str,
    size: String,
    sha256: String,
    short_sha256: String,
    /// For whom, when it carries a secret.
    secret_for: Option<String>,
}

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    folder: &'a str,
    crumbs: Vec<Link<'a>>,
    folders: Vec<Link<'a>>,
    files: Vec<File<'a>>,
    static_files: Vec<File<'a>>,
    degraded: bool,
    generation: String,
    loaded_at: String,
}

pub fn render(folder: &Folder) -> Result<String, Refusal> {
    let page = PAGES.get_template(TEMPLATE);
    page.and_then(|page| page.render(Serde(Page::of(folder)))).map_err(|error| {
        tracing::error!(%error, "the listing's template");
        Refusal::Ours("the listing cannot be made")
    })
}

impl<'a> Page<'a> {
    fn of(folder: &'a Folder) -> Self {
        let generation = &folder.served.generation;
        let here = |path: &ArtifactPath| folder.rest(path).is_some_and(|rest| !rest.contains('/'));
        let paths =
            generation.catalogue.iter().map(|(path, _)| path).chain(generation.catalogue.static_files.keys());
        let deeper = paths.filter_map(|path| folder.rest(path)?.split_once('/'));
        let folders: BTreeSet<&str> = deeper.map(|(name, _)| name).collect();
        let artifacts = generation.catalogue.iter().filter(|(path, _)| here(path));
        let static_files = generation.catalogue.static_files.iter().filter(|(path, _)| here(path));
        Page {
            folder: &folder.path,
            crumbs: crumbs(&folder.path),
            folders: folders.into_iter().map(|name| below(&folder.path, name)).collect(),
            files: artifacts.map(|(path, artifact)| file(path, artifact)).collect(),
            static_files: static_files.map(|(path, file)| file_on_disk(path, file)).collect(),
            degraded: folder.degraded,
            generation: short(folder.served.id),
            loaded_at: humantime::format_rfc3339_seconds(folder.served.loaded_at).to_string(),
        }
    }
}

/// The folders from the root to this one, itself included.
fn crumbs(folder: &str) -> Vec<Link<'_>> {
    let mut path = String::new();
    let names = folder.split('/').filter(|name| !name.is_empty());
    names
        .map(|name| {
            let link = below(&path, name);
            path.clone_from(&link.path);
            link
        })
        .collect()
}

fn below<'a>(folder: &str, name: &'a str) -> Link<'a> {
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    Link { name, path }
}

fn file<'a>(path: &'a ArtifactPath, artifact: &Artifact) -> File<'a> {
    let sha256 = artifact.digest().sha256;
    File {
        name: path.file_name(),
        path: path.as_str(),
        size: human_size(artifact.bytes().len() as u64),
        sha256: sha256.to_string(),
        short_sha256: short(sha256),
        secret_for: artifact.is_secret().then(|| names(&artifact.audience)),
    }
}

fn file_on_disk<'a>(path: &'a ArtifactPath, file: &StaticFile) -> File<'a> {
    File {
        name: path.file_name(),
        path: path.as_str(),
        size: human_size(file.stamp.size),
        sha256: file.sha256.map(|digest| digest.to_string()).unwrap_or_default(),
        short_sha256: file.sha256.map(short).unwrap_or_default(),
        secret_for: None,
    }
}

fn names(audience: &Audience) -> String {
    match audience {
        Audience::Everyone => "every host".to_owned(),
        Audience::Hosts(hosts) => hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// `812 B`, `1.4 KiB`, `2.0 MiB`.
fn human_size(bytes: u64) -> String {
    let kibibytes = bytes as f64 / 1024.0;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{kibibytes:.1} KiB"),
        _ => format!("{:.1} MiB", kibibytes / 1024.0),
    }
}
