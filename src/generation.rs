//! One generation: what a load of all sources gave, and what the server swaps as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::catalogue::{ArtifactPath, Catalogue};
use crate::inventory::Inventory;
use crate::report::Report;

/// A consistent state of the world: the catalogue, the inventory it came from and the big files beside it.
#[derive(Debug)]
pub struct Generation {
    pub inventory: Inventory,
    pub catalogue: Catalogue,
    /// Files of `--static`, by URL path; served from disk, never rendered.
    pub static_files: BTreeMap<ArtifactPath, PathBuf>,
}

/// What a load gave. An error in the report means that there is no generation.
#[derive(Debug)]
pub struct Loaded {
    pub generation: Option<Generation>,
    pub report: Report,
    /// Every file the result depends on, also those that could not be read: what a watcher watches.
    pub inputs: BTreeSet<PathBuf>,
}
