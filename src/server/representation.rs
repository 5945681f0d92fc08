//! What goes over the wire for an artifact: its own bytes, its lower Ignition form, or those of an earlier generation.

use bytes::Bytes;

use crate::catalogue::{Artifact, ArtifactPath, Digest, MediaType, Sensitivity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    pub path: ArtifactPath,
    pub bytes: Bytes,
    pub digest: Digest,
    pub media_type: MediaType,
    pub sensitivity: Sensitivity,
    /// The choice fell by the `Accept` header, so a cache must ask again for another one.
    pub varies_by_accept: bool,
}

impl Representation {
    pub fn of(path: &ArtifactPath, artifact: &Artifact) -> Self {
        Representation {
            path: path.clone(),
            bytes: artifact.bytes().clone(),
            digest: *artifact.digest(),
            media_type: artifact.media_type,
            sensitivity: artifact.sensitivity,
            varies_by_accept: artifact.ignition_version.is_some(),
        }
    }

    /// The same content in a lower Ignition version, if the artifact has one.
    pub fn lower_form_of(path: &ArtifactPath, artifact: &Artifact) -> Option<Self> {
        let lower = artifact.alternative.as_ref()?;
        Some(Representation {
            bytes: lower.bytes.clone(),
            digest: lower.digest,
            ..Representation::of(path, artifact)
        })
    }

    /// Bytes that were the artifact at `path` once.
    pub fn retired(path: &ArtifactPath, bytes: Bytes, digest: Digest, sensitivity: Sensitivity) -> Self {
        Representation {
            path: path.clone(),
            media_type: MediaType::of_path(path.as_str()),
            // The digest in the query chose it, nothing else.
            varies_by_accept: false,
            bytes,
            digest,
            sensitivity,
        }
    }
}
