//! SHA-256 of the files of `--static`: 1.4 GB are read once, not at each load.
//!
//! What was read is remembered by what the file looked like, here and, where that can be written, in a hidden file of the
//! folder, for the next process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::catalogue::{Sha256, Stamp, nanoseconds};

/// Hidden files are not served.
const CACHE: &str = ".pxe-serve-digests.json";
/// Some 200 bytes a file: more than a folder of images ever holds.
const CACHE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Shared by the loads of one process.
#[derive(Debug, Default)]
pub struct Digests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By name below the folder.
    files: BTreeMap<String, Entry>,
    cache_was_read: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    stamp: Stamp,
    /// Why it cannot be read is remembered as well, so that nobody tries again before the file changes.
    sha256: Result<Sha256, String>,
}

/// The hidden file; one that cannot be read as this is none.
#[derive(Default, Serialize, Deserialize)]
struct Cache {
    files: BTreeMap<String, CacheEntry>,
}

#[derive(Serialize, Deserialize)]
struct CacheEntry {
    #[serde(flatten)]
    stamp: Stamp,
    sha256: String,
}

impl Digests {
    /// Forgets what is not among `names`, and reads what an earlier process has left.
    pub fn attend<'n>(&self, folder: &Path, names: impl Iterator<Item = &'n str>) {
        let mut known = self.lock();
        if !known.cache_was_read {
            known.cache_was_read = true;
            known.files = read_cache(folder);
        }
        let mut old = std::mem::take(&mut known.files);
        known.files = names.filter_map(|name| old.remove_entry(name)).collect();
    }

    /// None: nobody has read it, as it is now.
    pub fn get(&self, name: &str, stamp: &Stamp) -> Option<Result<Sha256, String>> {
        let known = self.lock();
        let entry = known.files.get(name).filter(|entry| entry.stamp == *stamp)?;
        Some(entry.sha256.clone())
    }

    /// Reads the file to its end, telling how many bytes at a time. One that changes meanwhile stays unknown.
    pub fn compute(&self, folder: &Path, name: &str, stamp: Stamp, progress: &mut dyn FnMut(u64)) {
        let sha256 = match digest(&folder.join(name), stamp, progress) {
            Ok(Some(sha256)) => Ok(sha256),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let mut known = self.lock();
        known.files.insert(name.to_owned(), Entry { stamp, sha256 });
        // Where the folder cannot be written, the next process reads the images once more.
        let _ = write_cache(folder, &known.files);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(path: &Path, stamp: Stamp, progress: &mut dyn FnMut(u64)) -> io::Result<Option<Sha256>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if stamp.is_fresh(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)) {
        std::thread::sleep(2 * Duration::from_nanos(Stamp::GRANULARITY_NS.unsigned_abs()));
    }
    let mut file = File::open(path)?;
    // By the inode: whatever lies in the way of the path, it is the file that was found.
    if stamp_of(&file.metadata()?) != stamp {
        return Ok(None);
    }
    let sha256 = Sha256::of_reader(&mut file, progress)?;
    Ok((stamp_of(&file.metadata()?) == stamp).then_some(sha256))
}

pub fn stamp_of(meta: &std::fs::Metadata) -> Stamp {
    Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    }
}

fn read_cache(folder: &Path) -> BTreeMap<String, Entry> {
    let mut text = Vec::new();
    let read =
        File::open(folder.join(CACHE)).and_then(|file| file.take(CACHE_BYTES_MAX).read_to_end(&mut text));
    let cache: Cache = read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let entries = cache.files.into_iter();
    entries
        .filter_map(|(name, entry)| {
            let sha256 = Ok(entry.sha256.parse().ok()?);
            Some((name, Entry { stamp: entry.stamp, sha256 }))
        })
        .collect()
}

fn write_cache(folder: &Path, files: &BTreeMap<String, Entry>) -> io::Result<()> {
    let files = files
        .iter()
        .filter_map(|(name, entry)| {
            let sha256 = entry.sha256.as_ref().ok()?.to_string();
            Some((name.clone(), CacheEntry { stamp: entry.stamp, sha256 }))
        })
        .collect();
    let text = serde_json::to_vec_pretty(&Cache { files })?;
    let new = folder.join(format!("{CACHE}.new"));
    // What a killed process has left; made anew, so that no link is written through.
    let _ = std::fs::remove_file(&new);
    File::create_new(&new)?.write_all(&text)?;
    std::fs::rename(&new, folder.join(CACHE)).inspect_err(|_| drop(std::fs::remove_file(&new)))
}
