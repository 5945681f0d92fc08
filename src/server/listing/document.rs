//! A folder as JSON: everything below it, with both digests.

use serde::Serialize;

use crate::catalogue::{Artifact, ArtifactPath, Sensitivity, StaticEntry};

use super::super::refusal::Refusal;
use super::Folder;

#[derive(Serialize)]
struct Document<'a> {
    generation: String,
    folder: &'a str,
    artifacts: Vec<Item<'a>>,
    static_files: Vec<StaticEntry<'a>>,
}

/// One artifact, to the outside. Its digests are given to everybody: `SHA256SUMS` and Ignition name them, too.
#[derive(Serialize)]
struct Item<'a> {
    path: &'a ArtifactPath,
    media_type: &'static str,
    size: usize,
    sha256: String,
    sha512: String,
    sensitivity: Sensitivity,
}

pub fn render(folder: &Folder) -> Result<String, Refusal> {
    let generation = &folder.served.generation;
    let artifacts = generation.catalogue.iter().filter(|(path, _)| folder.rest(path).is_some());
    let static_files =
        generation.catalogue.static_files.iter().filter(|(path, _)| folder.rest(path).is_some());
    let document = Document {
        generation: folder.served.id.to_string(),
        folder: &folder.path,
        artifacts: artifacts.map(|(path, artifact)| item(path, artifact)).collect(),
        static_files: static_files.map(|(path, file)| StaticEntry::of(path, file)).collect(),
    };
    // Strings and numbers only: there is nothing to refuse.
    let text =
        serde_json::to_string_pretty(&document).map_err(|_| Refusal::Ours("the listing cannot be made"))?;
    Ok(text + "\n")
}

fn item<'a>(path: &'a ArtifactPath, artifact: &Artifact) -> Item<'a> {
    Item {
        path,
        media_type: artifact.media_type.as_str(),
        size: artifact.bytes().len(),
        sha256: artifact.digest().sha256.to_string(),
        sha512: artifact.digest().sha512.to_string(),
        sensitivity: artifact.sensitivity,
    }
}
