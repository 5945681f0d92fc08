//! The state directory: one file an artifact, named by its SHA-256, and an index.
//!
//! It is gentle to flash: a file that is there is not written again, nor an index that says the same. What is foreign
//! or damaged is left alone and logged; the server then only keeps less. Files are 0600 in a folder 0700, since they
//! hold secrets.
//!
//! ```text
//! DIR/index.json          which path had which digest, for whom, until when
//! DIR/blobs/HEX           the bytes
//! DIR/lock                held while a process uses DIR
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::catalogue::Sha256;

use super::super::Error;
use super::index;
use super::kept::Kept;

/// An index this big would name a hundred thousand artifacts; what is bigger is not ours.
const INDEX_BYTES_MAX: usize = 32 * 1024 * 1024;

#[derive(Debug)]
pub struct Store {
    index: PathBuf,
    blobs: PathBuf,
    /// What the index says on disk, so that it is not written again.
    written: Mutex<Vec<u8>>,
    /// Locked until dropped.
    lock: File,
}

impl Drop for Store {
    /// Closing the file is not enough: a child that another thread is just starting holds a copy of it until it execs,
    /// and a flock(2) lasts as long as any copy.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Store {
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let failed = |source| Error::StateDir { path: dir.to_owned(), source };
        let blobs = dir.join("blobs");
        DirBuilder::new().recursive(true).mode(0o700).create(&blobs).map_err(failed)?;
        // It may have been there before, with whatever mode.
        fs::set_permissions(&blobs, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(dir.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::StateDirInUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Store { index: dir.join("index.json"), blobs, written: Mutex::default(), lock })
    }

    /// Everything a former process left that is still of use.
    pub fn read_index(&self, keep_for: Duration) -> Vec<Kept> {
        let text = match read_at_most(&self.index, INDEX_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::error!(file = %self.index.display(), %error, "cannot read the index of --state-dir; starting without");
                return Vec::new();
            }
        };
        match index::parse(&text, keep_for) {
            Ok(entries) => {
                *self.written.lock().unwrap_or_else(PoisonError::into_inner) = text;
                entries
            }
            Err(error) => {
                tracing::error!(file = %self.index.display(), %error, "the index of --state-dir is damaged; starting without");
                Vec::new()
            }
        }
    }

    /// Failing to is logged, and never keeps the server from serving.
    pub fn write_index<'a>(&self, entries: impl Iterator<Item = &'a Kept>) {
        let entries: Vec<&Kept> = entries.collect();
        let text = index::to_json(&entries);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == text {
            return;
        }
        match write_atomically(&self.index, &text) {
            Ok(()) => {
                *written = text;
                self.remove_others(&entries.iter().map(|kept| kept.sha256).collect());
            }
            Err(error) => tracing::error!(file = %self.index.display(), %error, "cannot write --state-dir"),
        }
    }

    /// Whether the blob is there afterwards.
    pub fn write_blob(&self, name: &Sha256, bytes: &Bytes) -> bool {
        let file = self.blobs.join(name.to_string());
        // A file that was cut short by a power cut is written again.
        if read_at_most(&file, bytes.len()).is_ok_and(|there| there == *bytes) {
            return true;
        }
        let written = write_atomically(&file, bytes);
        if let Err(error) = &written {
            tracing::error!(file = %file.display(), %error, "cannot write --state-dir; kept in memory instead");
        }
        written.is_ok()
    }

    /// Not verified: the caller compares the digest.
    pub fn read_blob(&self, name: &Sha256, size: usize) -> Option<Bytes> {
        let file = self.blobs.join(name.to_string());
        match read_at_most(&file, size) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "cannot read --state-dir");
                None
            }
        }
    }

    /// Only what is named like a blob or like a half-written one: a user's own file stays.
    fn remove_others(&self, wanted: &BTreeSet<Sha256>) {
        let Ok(files) = fs::read_dir(&self.blobs) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let digest = name.strip_suffix(TEMPORARY).unwrap_or(&name).parse::<Sha256>();
            if digest.is_ok_and(|digest| name.ends_with(TEMPORARY) || !wanted.contains(&digest)) {
                // What cannot be removed now will be tried again with the next index.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

const TEMPORARY: &str = ".new";

/// Old or new, never half: rename(2) replaces in one step, and fsync before it keeps a power cut from leaving an empty file.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// An error if the file is longer: then it is not what we wrote.
fn read_at_most(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes as u64 + 1).read_to_end(&mut content)?;
    match content.len() <= bytes {
        true => Ok(content),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "longer than what was written")),
    }
}
