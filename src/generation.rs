//! One generation: what a load of all sources gave, and what the server swaps as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::catalogue::{ArtifactPath, Catalogue};
use crate::inventory::Inventory;
use crate::report::Report;

/// A consistent state of the world: the catalogue, the inventory it came from and the big files beside it.
#[derive(Debug)]
pub struct Generation {
    pub inventory: Inventory,
    pub catalogue: Catalogue,
    /// The folder that the catalogue's static files lie in.
    pub static_dir: Option<PathBuf>,
}

/// Below this every file of `--static` is served: `DIR/fcos/kernel` as `pxe/fcos/kernel`.
pub const STATIC_PREFIX: &str = "pxe/";

impl Generation {
    /// Where a static file lies: the folder, and its path below.
    pub fn place_of_static<'a>(&'a self, path: &'a ArtifactPath) -> Option<(&'a Path, &'a str)> {
        Some((self.static_dir.as_deref()?, path.as_str().strip_prefix(STATIC_PREFIX)?))
    }
}

/// What a load gave. An error in the report means that there is no generation.
#[derive(Debug)]
pub struct Loaded {
    pub generation: Option<Generation>,
    pub report: Report,
    /// Every file the result depends on, also those that could not be read: what a watcher watches.
    pub inputs: BTreeSet<PathBuf>,
    /// What would take too long to wait for. When it is done, the next load gives more.
    pub unfinished: Option<Unfinished>,
}

/// Work that a load has left over, such as reading images for their digests; it blocks.
pub struct Unfinished(Box<dyn FnOnce() + Send>);

impl Unfinished {
    pub fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Unfinished(Box::new(work))
    }

    pub fn finish(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unfinished")
    }
}
