//! The folder of `--state-dir`: one process at a time, and files that are old or new, never half.
//!
//! ```text
//! DIR/lock                held while a process uses DIR
//! DIR/index.json, blobs/  earlier generations, see `archive`
//! DIR/journal             what happened to the hosts, see `journal`
//! DIR/journal.head        how far it went, for sure
//! DIR/operator.sock       who may open it is the operator, see `operator`
//! DIR/snapshots/          of the cluster's etcd, see `snapshots`
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Error;

#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked until dropped.
    lock: File,
}

impl Drop for StateDir {
    /// Closing the file is not enough: a child that another thread is just starting holds a copy of it until it execs,
    /// and a flock(2) lasts as long as any copy.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl StateDir {
    /// Made if need be, for its owner only.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::StateDir { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = path.join("lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(StateDir { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(Error::StateDirInUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder in it, for its owner only.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let failed = |source| Error::StateDir { path: self.path.clone(), source };
        let folder = self.path.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        // It may have been there before, with whatever mode.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(folder)
    }

    pub fn failed(&self, source: io::Error) -> Error {
        Error::StateDir { path: self.path.clone(), source }
    }
}

pub const TEMPORARY: &str = ".new";

pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes)?;
    sync_name(path)
}

/// Old or new, never half: rename(2) replaces in one step, and fsync before it keeps a power cut from leaving an empty
/// file. What is written to the file that is given is appended. Which of both a power cut leaves, [`sync_name`] decides.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.custom_flags(OFlags::APPEND.bits().cast_signed()).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(file)
}

/// That the name leads to the file it leads to now, also after a power cut.
pub fn sync_name(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// An error if the file is longer: then it is not what we wrote.
pub fn read_at_most(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes as u64 + 1).read_to_end(&mut content)?;
    match content.len() <= bytes {
        true => Ok(content),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "longer than what was written")),
    }
}
