//! The archive's part of the state directory: one file an artifact, named by its SHA-256, and an index.
//!
//! It is gentle to flash: a file that is there is not written again, nor an index that says the same. What is foreign
//! or damaged is left alone and logged; the server then only keeps less. Files are 0600 in a folder 0700, since they
//! hold secrets.
//!
//! ```text
//! DIR/index.json          which path had which digest, for whom, until when
//! DIR/blobs/HEX           the bytes
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::catalogue::Sha256;

use super::super::Error;
use super::super::state_dir::{StateDir, TEMPORARY, read_at_most, write_atomically};
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
    /// Locked as long as this lives.
    _dir: Arc<StateDir>,
}

impl Store {
    pub fn open(dir: Arc<StateDir>) -> Result<Self, Error> {
        let blobs = dir.folder("blobs")?;
        Ok(Store { index: dir.join("index.json"), blobs, written: Mutex::default(), _dir: dir })
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
