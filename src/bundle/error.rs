//! Why nothing was written, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// In every case the old tree or tar stands as it was, unless the text says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Not called `source`: the message names it already, and a printed chain would say it twice.
    #[error("cannot {doing} {}: {cause}{}", path.display(), remedy(cause.kind()))]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },

    #[error("{} names no file or folder; give it a name of its own", .0.display())]
    NoName(PathBuf),

    #[error("another pxe-serve is writing {} right now; start again when it is done", .0.display())]
    Busy(PathBuf),

    #[error(
        "{} holds what pxe-serve did not write, so it stays as it is:{strangers}\nmove that away, or name a folder that is empty or does not exist yet", dir.display()
    )]
    NotOurs { dir: PathBuf, strangers: Strangers },

    #[error(
        "{} is not a tar that pxe-serve wrote, so it stays as it is; remove it, or choose another name", .0.display()
    )]
    NotOurTar(PathBuf),

    #[error("{} is no image, so it stays as it is; remove it, or choose another name", .0.display())]
    NotAnImage(PathBuf),

    #[error(
        "the file system of {} cannot exchange two folders in one step ({cause}); remove the folder first, name one that does not exist yet, or write a --tar", dir.display()
    )]
    CannotExchange { dir: PathBuf, cause: io::Error },

    #[error(
        "{} cannot be exchanged for another folder ({cause}): it is a mount point, or belongs to a container's image; name a folder inside it", dir.display()
    )]
    Pinned { dir: PathBuf, cause: io::Error },
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::Io { doing, path: path.to_owned(), cause }
    }
}

/// What lies in the way, as `path: why`.
#[derive(Debug, Default)]
pub struct Strangers(pub(super) Vec<String>);

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to recognise a folder by, few enough to read.
        const SHOWN: usize = 10;
        for stranger in self.0.iter().take(SHOWN) {
            write!(f, "\n  {stranger}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "; run as a user who may write there, or choose another place",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space: the old and the new files lie side by side for a moment"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose a place on a writable file system",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => "; choose another name",
        io::ErrorKind::NotFound => {
            "; make sure that nobody else removes it meanwhile, and that links lead somewhere"
        }
        _ => "",
    }
}
