//! What a generation promises to answer for its term: what one of its artifacts names with `?sha256=`.
//!
//! Nothing else is ever asked for by digest: Butane and listings are for people, files for the router are fetched by
//! hand, and which iPXE script a machine gets is decided when it asks. Of Ignition that is only the form named; the
//! lower one goes to who names no digest.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::{Artifact, ArtifactPath, Sha256};
use crate::generation::Generation;

const PARAMETER: &str = "sha256=";
const HEX_DIGITS: usize = 64;

pub type Promised<'g> = BTreeMap<(ArtifactPath, Sha256), &'g Artifact>;

/// By content, whatever the path beside it: a host's config has several names, and equal bytes are held once.
pub fn promised(generation: &Generation) -> Promised<'_> {
    let catalogue = &generation.catalogue;
    let mut named = BTreeSet::new();
    for (_, artifact) in catalogue.once_each() {
        // An image is not text; the config in it is an artifact as well.
        let text = std::str::from_utf8(artifact.bytes()).unwrap_or_default();
        let values = text.match_indices(PARAMETER).map(|(start, _)| start + PARAMETER.len());
        named.extend(values.filter_map(|start| text.get(start..start + HEX_DIGITS)?.parse::<Sha256>().ok()));
    }
    let promised = catalogue.iter().map(|(path, artifact)| ((path, artifact.digest().sha256), artifact));
    let promised = promised.filter(|((_, digest), _)| named.contains(digest));
    promised.map(|((path, digest), artifact)| ((path.clone(), digest), artifact)).collect()
}

/// Each content counted once.
pub fn bytes_of(promised: &Promised<'_>) -> usize {
    let sizes: BTreeMap<&Sha256, usize> =
        promised.iter().map(|((_, digest), artifact)| (digest, artifact.bytes().len())).collect();
    sizes.values().sum()
}
