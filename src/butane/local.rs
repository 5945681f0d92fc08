//! How a compile reaches the files next to a config, without reading a disk itself.

use std::fmt;

/// The files `local:` and `trees` may name. Paths are as written in the config, relative, `/`-separated.
///
/// An implementation decides what is inside; [`stays_inside`] is the lexical half of that decision, and is not
/// enough for a real filesystem, where a symbolic link can lead anywhere.
pub trait LocalFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, LocalError>;

    /// The directory `path` and everything below it: parents before children, names in byte order.
    fn walk(&self, path: &str) -> Result<Vec<TreeEntry>, LocalError>;
}

/// One thing in a tree, named relative to the tree's root; the root itself is "".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub path: String,
    pub kind: TreeKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    Directory,
    File {
        executable: bool,
    },
    Link {
        target: String,
    },
    /// A socket, a device, a pipe.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalError {
    /// There is no directory to read from.
    NoDirectory,
    /// The path leaves the directory.
    Outside,
    /// The root of a tree is something else.
    NotDirectory,
    /// The system's answer, such as `open PATH: no such file or directory`.
    Failed(String),
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocalError::NoDirectory => {
                "local file paths are relative to a files directory that must be specified with -d/--files-dir"
            }
            LocalError::Outside => "local file path traverses outside the files directory",
            LocalError::NotDirectory => "root of tree must be a directory",
            LocalError::Failed(message) => message,
        })
    }
}

/// For a config that has no files next to it.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl LocalFiles for NoFiles {
    fn read(&self, _path: &str) -> Result<Vec<u8>, LocalError> {
        Err(LocalError::NoDirectory)
    }

    fn walk(&self, _path: &str) -> Result<Vec<TreeEntry>, LocalError> {
        Err(LocalError::NoDirectory)
    }
}

/// Whether `..` never climbs above where the path starts.
pub fn stays_inside(path: &str) -> bool {
    let mut depth = 0i64;
    path.split('/').all(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth >= 0
    })
}
