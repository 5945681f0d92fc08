//! What the files a load depended on looked like, to tell later whether one has changed.
//!
//! Looked at with stat(2), never read: it costs a system call a file. inotify only says when to look. So a change is
//! the same thing whether a watch or the clock noticed, and a folder's busy neighbours never cause a load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalogue::{Stamp, nanoseconds};

/// By path, as they were when a load read them or just before.
#[derive(Debug, Clone, Default)]
pub struct Inputs(BTreeMap<PathBuf, Seen>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Missing,
    As(Stamp),
    /// It changed while it was read for the first time; nobody can say which state was read.
    Unsure,
}

/// Where a symbolic link leads, not the link: swapping one is a change of what is read.
fn stamp_of(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    })
}

impl Seen {
    fn now(path: &Path) -> Self {
        stamp_of(path).map_or(Seen::Missing, Seen::As)
    }
}

impl Inputs {
    /// The same files as they are now: taken before a load, so that what changes while it reads counts as changed.
    pub fn look_again(&self) -> Self {
        Inputs(self.0.keys().map(|path| (path.clone(), Seen::now(path))).collect())
    }

    /// The files that a load which began at `began` depended on. Those known before it are as they were then.
    pub fn after_load(paths: BTreeSet<PathBuf>, before: &Inputs, began: SystemTime) -> Self {
        let since_epoch = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_ns = since_epoch.as_nanos() as i64 - Stamp::GRANULARITY_NS;
        let seen = |path: PathBuf| {
            let first_look = || match Seen::now(&path) {
                Seen::As(stamp) if stamp.changed_ns >= began_ns => Seen::Unsure,
                seen => seen,
            };
            let seen = before.0.get(&path).copied().unwrap_or_else(first_look);
            (path, seen)
        };
        Inputs(paths.into_iter().map(seen).collect())
    }

    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, seen)| *seen == Seen::Unsure || Seen::now(path) != *seen)
    }

    /// Where to be told of changes. Folders and not files: an editor replaces a file by another one, and Kubernetes
    /// swaps a link beside it. For what is missing, the nearest folder that is there.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for path in self.0.keys() {
            let target = path.canonicalize().ok();
            if target.as_ref().is_some_and(|target| target.is_dir()) {
                folders.insert(path.clone());
            }
            let parents = [Some(path.as_path()), target.as_deref()];
            folders.extend(parents.into_iter().flatten().filter_map(nearest_folder));
        }
        folders
    }
}

fn nearest_folder(path: &Path) -> Option<PathBuf> {
    // The parent of "inventory.yaml" is "", which no system call takes.
    let here =
        |folder: &Path| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() };
    path.ancestors().skip(1).map(here).find(|folder| folder.is_dir())
}
