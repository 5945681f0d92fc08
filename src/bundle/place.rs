//! Where a tree or tar goes, the names beside it that are ours, and the lock that keeps two runs apart.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::Error;

/// A target with everything that is needed to replace it. As long as it lives, no other run writes there.
pub(super) struct Place {
    /// The target itself, links resolved: replacing a link would leave the folder behind it unused.
    pub target: PathBuf,
    /// The folder it lies in.
    pub parent: PathBuf,
    /// Where the new one is built: a sibling, since a rename does not cross file systems. What lies there when a run
    /// begins is left from one that was killed.
    pub new: PathBuf,
    lock: File,
}

impl Place {
    /// Creates the folders above the target if they are missing, and takes the lock.
    pub fn take(target: &Path) -> Result<Place, Error> {
        // Without a final slash, which would hide that the target is a link.
        let target: PathBuf = target.components().collect();
        let target = if target.is_symlink() {
            fs::canonicalize(&target).map_err(Error::io("follow", &target))?
        } else {
            std::path::absolute(&target).map_err(Error::io("find", &target))?
        };
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Error::NoName(target));
        };
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        let beside = |ending: &str| {
            let mut sibling = std::ffi::OsString::from(".");
            sibling.push(name);
            sibling.push(ending);
            parent.join(sibling)
        };
        // The lock file stays: removing it would let a third run lock a new one while a second still holds the old.
        let lock_path = beside(".pxe-serve-lock");
        // Opened for reading if it is there: another user's lock can be taken as well, flock(2) asks for no more.
        let lock = match File::open(&lock_path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => File::create(&lock_path),
            other => other,
        };
        let lock = lock.map_err(Error::io("open", &lock_path))?;
        // Not waiting: who waited would put the older of two renderings in the place of the newer one.
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(target)),
            Err(TryLockError::Error(cause)) => return Err(Error::io("lock", &lock_path)(cause)),
        }
        Ok(Place { new: beside(".pxe-serve-new"), parent: parent.to_owned(), target, lock })
    }

    /// Removes what lies where the new one is built, if anything.
    pub fn clear(&self) -> Result<(), Error> {
        let removed = match fs::symlink_metadata(&self.new) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&self.new),
            Ok(_) => fs::remove_file(&self.new),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(cause),
        };
        removed.map_err(Error::io("remove", &self.new))
    }

    /// Puts a file there: written beside it, flushed, renamed.
    pub fn put(&self, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
        self.clear()?;
        let put = write(&self.new).map_err(Error::io("write", &self.new)).and_then(|()| {
            sync(&self.new)?;
            fs::rename(&self.new, &self.target).map_err(Error::io("replace", &self.target))
        });
        if put.is_err() {
            // The reason why it failed matters more than whether the half-written file could be removed.
            let _ = self.clear();
        }
        put?;
        self.sync_parent()
    }

    /// Makes renames in the parent outlast a power cut.
    pub fn sync_parent(&self) -> Result<(), Error> {
        sync(&self.parent)
    }
}

impl Drop for Place {
    /// Closing the file is not enough: a child that another thread is just starting holds a copy of it until it execs,
    /// and a flock(2) lasts as long as any copy.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Flushes a file, or the entries of a folder, to the disk.
pub(super) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("flush", path))
}
