//! The catalogue: every file that will ever be served, hashed once, in path order.
//!
//! Server, bundle, `show`, listing and diff are views of it: they look up, they never make bytes.

mod artifact;
mod digest;
mod manifest;
mod path;
mod static_file;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

pub use artifact::{Alternative, Artifact, Audience, MediaType, Sensitivity};
pub use digest::{Digest, Sha256};
pub use manifest::{
    MANIFEST_PATH, SHA256SUMS_PATH, StaticEntry, is_our_manifest, manifest, parse_sum_line, sha256sums,
};
pub use path::{ArtifactPath, BadPath};
pub use static_file::{Stamp, StaticFile, nanoseconds};

/// Path → artifact. Two catalogues with equal digests are equal byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    artifacts: BTreeMap<ArtifactPath, Artifact>,
    /// What the server has besides; named in the manifest, never part of a bundle.
    pub static_files: BTreeMap<ArtifactPath, StaticFile>,
}

impl Catalogue {
    /// Adds an artifact; gives it back if the path is taken, since two makers of one path are a mistake. A path is
    /// also taken when it is a folder of another one, or lies below a file: no file system could hold both.
    pub fn insert(&mut self, path: ArtifactPath, artifact: Artifact) -> Result<(), Box<Artifact>> {
        if self.is_taken(path.as_str()) {
            return Err(Box::new(artifact));
        }
        self.artifacts.insert(path, artifact);
        Ok(())
    }

    fn is_taken(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        path.match_indices('/').any(|(end, _)| self.artifacts.contains_key(&path[..end]))
            || self.artifacts.contains_key(path)
            || self
                .artifacts
                .range::<str, _>(from)
                .next()
                .is_some_and(|(next, _)| next.as_str().starts_with(&below))
    }

    /// Looks a path up as it stands in a URL without its leading slash; what is no path is not found.
    pub fn get(&self, path: &str) -> Option<&Artifact> {
        self.artifacts.get(path)
    }

    /// Each content under the first of its paths: for who reads all of it, further names say nothing new.
    pub fn once_each(&self) -> impl Iterator<Item = (&ArtifactPath, &Artifact)> {
        let mut seen = BTreeSet::new();
        self.iter().filter(move |(_, artifact)| seen.insert(artifact.digest().sha256))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ArtifactPath, &Artifact)> {
        self.artifacts.iter()
    }

    pub fn len(&self) -> usize {
        self.artifacts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.artifacts.is_empty()
    }

    /// One digest over all paths and contents: names the generation.
    pub fn generation(&self) -> Sha256 {
        let mut text = String::new();
        for (path, artifact) in &self.artifacts {
            text.push_str(&format!("{}  {path}\n", artifact.digest().sha256));
        }
        Sha256::of(text.as_bytes())
    }
}
