//! The catalogue: every file that will ever be served, hashed once, in path order.
//!
//! Server, bundle, `show`, listing and diff are views of it: they look up, they never make bytes.

mod artifact;
mod digest;
mod path;

use std::collections::BTreeMap;

pub use artifact::{Alternative, Artifact, Audience, MediaType, Sensitivity};
pub use digest::{Digest, Sha256};
pub use path::{ArtifactPath, BadPath};

/// Path → artifact. Two catalogues with equal digests are equal byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    artifacts: BTreeMap<ArtifactPath, Artifact>,
}

impl Catalogue {
    /// Adds an artifact; gives it back if the path is taken, since two makers of one path are a mistake.
    pub fn insert(&mut self, path: ArtifactPath, artifact: Artifact) -> Result<(), Box<Artifact>> {
        match self.artifacts.entry(path) {
            std::collections::btree_map::Entry::Occupied(_) => Err(Box::new(artifact)),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(artifact);
                Ok(())
            }
        }
    }

    /// Looks a path up as it stands in a URL without its leading slash; what is no path is not found.
    pub fn get(&self, path: &str) -> Option<&Artifact> {
        self.artifacts.get(path)
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
