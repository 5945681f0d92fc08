//! What a request asks for: the path, decoded once and parsed, and the generation it is pinned to.
//!
//! Decoded exactly once (RFC 3986 §2.4): what still holds a `%`, a dot segment or an odd byte afterwards is no
//! artifact path, so no encoding of `../` ever reaches a look-up, let alone a file system.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::catalogue::{ArtifactPath, Sha256};

use super::caller::Caller;
use super::refusal::Refusal;

#[derive(Debug)]
pub struct Target {
    pub place: Place,
    /// `?sha256=HEX`: exactly these bytes, whatever the inventory says by now.
    pub pinned: Option<Sha256>,
    pub method: Method,
    pub headers: HeaderMap,
    pub caller: Caller,
}

/// Where a path points by its form alone.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// An artifact, or a folder written without its final slash.
    Path(ArtifactPath),
    /// Written with its final slash.
    Folder(ArtifactPath),
    Root,
}

#[derive(serde::Deserialize)]
struct Pin {
    sha256: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Target::at(parse_place(parts.uri.path())?, parts)
    }
}

impl Target {
    /// A request for `place`, whatever its path says.
    pub fn at(place: Place, parts: &Parts) -> Result<Self, Refusal> {
        // Given twice it is refused as well: which of the two would be meant?
        let Query(pin) = Query::<Pin>::try_from_uri(&parts.uri).map_err(|_| Refusal::BadDigest)?;
        let pinned = pin.sha256.map(|hex| hex.parse()).transpose().map_err(|()| Refusal::BadDigest)?;
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        Ok(Target { place, pinned, method, headers, caller: Caller::of(parts)? })
    }
}

fn parse_place(encoded: &str) -> Result<Place, Refusal> {
    let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| Refusal::NotText)?;
    let path = decoded.strip_prefix('/').unwrap_or(&decoded);
    if path.is_empty() {
        return Ok(Place::Root);
    }
    match path.strip_suffix('/') {
        Some(folder) => Ok(Place::Folder(folder.parse()?)),
        None => Ok(Place::Path(path.parse()?)),
    }
}
