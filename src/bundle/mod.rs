//! A catalogue as files: a folder that any static server can serve unchanged, or a tar of it.
//!
//! Owns: that a reader, or a kill at any moment, sees the whole old or the whole new tree, never a mixture; and that
//! nothing is overwritten that pxe-serve did not write. Refuses: folders with anybody else's files, file systems that
//! cannot exchange two folders. Costs: while it works, the disk holds both trees.
#![expect(clippy::disallowed_methods, reason = "writing files is what this module is for")]

mod error;
mod image;
mod ours;
mod place;
mod tar;
mod tree;

use crate::catalogue::{Artifact, Catalogue, Sha256};

pub use error::Error;
pub use image::write_image;
pub use tar::write_tar;
pub use tree::write_tree;

/// What was written, for the line that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub files: usize,
    pub bytes: u64,
    pub generation: Sha256,
}

impl Written {
    fn all_of(catalogue: &Catalogue) -> Self {
        Written {
            files: catalogue.len(),
            bytes: catalogue.iter().map(|(_, artifact)| artifact.bytes().len() as u64).sum(),
            generation: catalogue.generation(),
        }
    }
}

/// Folders are open: what is secret lies in files of mode [`SECRET_MODE`], and a server must be able to walk down.
const FOLDER_MODE: u32 = 0o755;
const PUBLIC_MODE: u32 = 0o644;
/// A static server that runs as another user answers 403 for these, which is right: it cannot know who may have them.
const SECRET_MODE: u32 = 0o600;

fn mode_of(artifact: &Artifact) -> u32 {
    if artifact.is_secret() { SECRET_MODE } else { PUBLIC_MODE }
}
