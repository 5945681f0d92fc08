//! The two files that say what a catalogue holds: `pxe/manifest.json` for programs, `pxe/SHA256SUMS` for `sha256sum -c`.
//!
//! They are ordinary artifacts, so a static server publishes them and a bundle can later be recognised as ours.
//! A filtered catalogue gets its own pair: whoever copies a bundle for one host can still check all of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::ids::HostName;

use super::{Artifact, ArtifactPath, Audience, Catalogue, MediaType, Sensitivity, StaticFile};

/// Lists every artifact but itself and the sums, and the files of `--static`.
pub const MANIFEST_PATH: &str = "pxe/manifest.json";
/// Lists every artifact but itself.
pub const SHA256SUMS_PATH: &str = "pxe/SHA256SUMS";
/// What [`SHA256SUMS_PATH`] counts its paths from: the folder it lies in, where `sha256sum -c` is run.
const SUMS_FOLDER: &str = "pxe/";

/// Before the version in the manifest's `generator`.
const MAKER: &str = "pxe-serve ";

#[derive(Serialize)]
struct Manifest<'a> {
    generator: String,
    artifacts: Vec<Entry<'a>>,
    static_files: Vec<StaticEntry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    path: &'a ArtifactPath,
    media_type: MediaType,
    size: usize,
    sha256: String,
    sha512: String,
    sensitivity: Sensitivity,
}

/// A file of `--static`. A bundle does not contain it, so the sums leave it out: `sha256sum -c` is to pass.
#[derive(Serialize)]
pub struct StaticEntry<'a> {
    path: &'a ArtifactPath,
    size: u64,
    /// Null as long as nobody has read all of it.
    sha256: Option<String>,
}

impl<'a> StaticEntry<'a> {
    pub fn of(path: &'a ArtifactPath, file: &StaticFile) -> Self {
        StaticEntry { path, size: file.stamp.size, sha256: file.sha256.map(|digest| digest.to_string()) }
    }
}

/// The manifest of everything in the catalogue but the two files made here.
pub fn manifest(catalogue: &Catalogue) -> Vec<u8> {
    let artifacts = catalogue
        .iter()
        .filter(|(path, _)| ![MANIFEST_PATH, SHA256SUMS_PATH].contains(&path.as_str()))
        .map(|(path, artifact)| Entry {
            path,
            media_type: artifact.media_type,
            size: artifact.bytes().len(),
            sha256: artifact.digest().sha256.to_string(),
            sha512: artifact.digest().sha512.to_string(),
            sensitivity: artifact.sensitivity,
        })
        .collect();
    let generator = format!("{MAKER}{}", env!("CARGO_PKG_VERSION"));
    let static_files =
        catalogue.static_files.iter().map(|(path, file)| StaticEntry::of(path, file)).collect();
    let manifest = Manifest { generator, artifacts, static_files };
    let mut text = serde_json::to_vec_pretty(&manifest).expect("text, numbers and lists are always JSON");
    text.push(b'\n');
    text
}

/// Whether these bytes are a manifest that some version of pxe-serve wrote.
pub fn is_our_manifest(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes)
        .is_ok_and(|value| value["generator"].as_str().is_some_and(|generator| generator.starts_with(MAKER)))
}

/// One line per artifact but itself, exactly as `sha256sum` prints it inside `pxe/`.
pub fn sha256sums(catalogue: &Catalogue) -> Vec<u8> {
    let mut text = String::new();
    for (path, artifact) in catalogue.iter().filter(|(path, _)| path.as_str() != SHA256SUMS_PATH) {
        let digest = artifact.digest().sha256;
        match path.as_str().strip_prefix(SUMS_FOLDER) {
            Some(below) => text.push_str(&format!("{digest}  {below}\n")),
            None => text.push_str(&format!("{digest}  ../{path}\n")),
        }
    }
    text.into_bytes()
}

/// Reads one line of [`sha256sums`] back: the path from the document root, and the digest as hex.
pub fn parse_sum_line(line: &str) -> Option<(String, super::Sha256)> {
    let (digest, below) = line.split_once("  ")?;
    let path = match below.strip_prefix("../") {
        Some(beside) => beside.to_owned(),
        None => format!("{SUMS_FOLDER}{below}"),
    };
    Some((path, digest.parse().ok()?))
}

impl Catalogue {
    /// Adds the manifest and the sums, in place of any there were. The last step of rendering.
    pub fn seal(mut self) -> Catalogue {
        self.add_listing(MANIFEST_PATH, manifest);
        self.add_listing(SHA256SUMS_PATH, sha256sums);
        self
    }

    fn add_listing(&mut self, path: &str, make: fn(&Catalogue) -> Vec<u8>) {
        let artifact = Artifact::new(path, make(self), Sensitivity::Public, Audience::Everyone);
        self.artifacts.insert(path.parse().expect("a constant that is an artifact path"), artifact);
    }

    /// What the named hosts may have: everybody's artifacts and theirs, sealed anew.
    pub fn for_hosts(&self, names: &BTreeSet<HostName>) -> Catalogue {
        let artifacts = self
            .iter()
            .filter(|(_, artifact)| match &artifact.audience {
                Audience::Everyone => true,
                Audience::Hosts(hosts) => !hosts.is_disjoint(names),
            })
            .map(|(path, artifact)| (path.clone(), artifact.clone()))
            .collect();
        Catalogue { artifacts, static_files: self.static_files.clone() }.seal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let host = |name: &str| Audience::host(&name.parse().unwrap());
        let mut catalogue = Catalogue::default();
        for (path, sensitivity, audience) in [
            ("boot.ipxe", Sensitivity::Public, Audience::Everyone),
            ("pxe/configs/a.conf", Sensitivity::Secret, host("a")),
            ("pxe/configs/b.conf", Sensitivity::Secret, host("b")),
        ] {
            let artifact = Artifact::new(path, path.as_bytes().to_vec(), sensitivity, audience);
            catalogue.insert(path.parse().unwrap(), artifact).unwrap();
        }
        catalogue
    }

    #[test]
    fn the_sums_list_everything_but_themselves_counted_from_their_own_folder() {
        let sealed = catalogue().seal();
        let text = String::from_utf8(sealed.get(SHA256SUMS_PATH).unwrap().bytes().to_vec()).unwrap();
        let listed: Vec<&str> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert_eq!(listed, ["../boot.ipxe", "configs/a.conf", "configs/b.conf", "manifest.json"]);
        for (line, (path, artifact)) in
            text.lines().zip(sealed.iter().filter(|(path, _)| path.as_str() != SHA256SUMS_PATH))
        {
            assert_eq!(parse_sum_line(line), Some((path.to_string(), artifact.digest().sha256)));
        }
    }

    #[test]
    fn the_manifest_names_its_maker_and_every_rendered_file() {
        let sealed = catalogue().seal();
        let bytes = sealed.get(MANIFEST_PATH).unwrap().bytes();
        assert!(is_our_manifest(bytes));
        assert!(!is_our_manifest(br#"{"generator":"hugo"}"#));
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let paths: Vec<&str> = value["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["path"].as_str().unwrap())
            .collect();
        assert_eq!(paths, ["boot.ipxe", "pxe/configs/a.conf", "pxe/configs/b.conf"]);
        assert_eq!(value["artifacts"][1]["sensitivity"], "secret");
    }

    #[test]
    fn sealing_twice_changes_nothing() {
        let once = catalogue().seal();
        assert_eq!(once.clone().seal(), once);
    }

    #[test]
    fn a_host_gets_everybodys_files_and_its_own_with_sums_that_match() {
        let only_a = catalogue().seal().for_hosts(&BTreeSet::from(["a".parse().unwrap()]));
        let paths: Vec<&str> = only_a.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["boot.ipxe", SHA256SUMS_PATH, "pxe/configs/a.conf", MANIFEST_PATH]);
        let sums = String::from_utf8(only_a.get(SHA256SUMS_PATH).unwrap().bytes().to_vec()).unwrap();
        assert!(!sums.contains("b.conf"));
    }

    #[test]
    fn a_path_cannot_be_both_a_file_and_a_folder() {
        let file = || Artifact::new("x", "x", Sensitivity::Public, Audience::Everyone);
        let mut catalogue = catalogue();
        assert!(catalogue.insert("pxe/configs".parse().unwrap(), file()).is_err());
        assert!(catalogue.insert("boot.ipxe/more".parse().unwrap(), file()).is_err());
        assert!(catalogue.insert("pxe/configs-more".parse().unwrap(), file()).is_ok());
    }
}
