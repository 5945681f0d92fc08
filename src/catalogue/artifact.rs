//! One file: its bytes, their digests, what they are and whom they are for.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::ids::HostName;

use super::Digest;

/// Whether an artifact holds a secret. A secret is `no-store`, mode 0600 in a bundle, and never in a log or a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    Public,
    Secret,
}

/// The hosts an artifact is for. `render --host` filters by it, and a secret goes to nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    Everyone,
    Hosts(BTreeSet<HostName>),
}

impl Audience {
    pub fn host(name: &HostName) -> Self {
        Audience::Hosts(BTreeSet::from([name.clone()]))
    }

    /// None: everyone.
    pub fn hosts(&self) -> Option<&BTreeSet<HostName>> {
        match self {
            Audience::Everyone => None,
            Audience::Hosts(hosts) => Some(hosts),
        }
    }

    pub fn includes(&self, host: &HostName) -> bool {
        match self {
            Audience::Everyone => true,
            Audience::Hosts(hosts) => hosts.contains(host),
        }
    }
}

/// What a `Content-Type` header says; chosen by the path's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MediaType(&'static str);

impl MediaType {
    pub fn of_path(path: &str) -> Self {
        MediaType(match path.rsplit('.').next() {
            Some("ign") => "application/vnd.coreos.ignition+json",
            Some("json") => "application/json",
            Some("yaml" | "yml") => "application/yaml",
            Some("img") => "application/octet-stream",
            Some("html") => "text/html; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        })
    }

    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

/// The same content in a lower Ignition version, for a node whose `Accept` header says it reads no newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// `(major, minor)`, as in `3.3.0`.
    pub ignition_version: (u32, u32),
    pub bytes: Bytes,
    pub digest: Digest,
}

/// One file that will be served, written or shown, unchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct Artifact {
    bytes: Bytes,
    digest: Digest,
    pub media_type: MediaType,
    pub sensitivity: Sensitivity,
    pub audience: Audience,
    /// For Ignition: the version that `bytes` say they are, and at most one lower form.
    pub ignition_version: Option<(u32, u32)>,
    pub alternative: Option<Alternative>,
}

impl Artifact {
    pub fn new(path: &str, bytes: impl Into<Bytes>, sensitivity: Sensitivity, audience: Audience) -> Self {
        let bytes = bytes.into();
        Artifact {
            digest: Digest::of(&bytes),
            bytes,
            media_type: MediaType::of_path(path),
            sensitivity,
            audience,
            ignition_version: None,
            alternative: None,
        }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn is_secret(&self) -> bool {
        self.sensitivity == Sensitivity::Secret
    }
}

/// Without the bytes: they may be a secret.
impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifact")
            .field("media_type", &self.media_type)
            .field("size", &self.bytes.len())
            .field("digest", &self.digest.sha256)
            .field("sensitivity", &self.sensitivity)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
