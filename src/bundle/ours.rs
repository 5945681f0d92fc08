//! Whether a folder holds only what pxe-serve wrote there, unchanged: the condition for replacing it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use crate::catalogue::{Artifact, MANIFEST_PATH, SHA256SUMS_PATH, Sha256, is_our_manifest, parse_sum_line};

use super::error::Strangers;
use super::{Error, mode_of};

/// A file of the tree that is about to be replaced.
pub(super) struct OldFile {
    pub digest: Sha256,
    pub mode: u32,
    pub modified: SystemTime,
}

impl OldFile {
    pub fn is_the_same_as(&self, artifact: &Artifact) -> bool {
        self.digest == artifact.digest().sha256 && self.mode == mode_of(artifact)
    }
}

/// The old tree by path from its root; empty when there is none.
pub(super) type OldTree = BTreeMap<String, OldFile>;

/// Reads the folder and compares it with its own `SHA256SUMS`. A listed file that is missing is nothing to lose.
pub(super) fn old_tree(dir: &Path) -> Result<OldTree, Error> {
    let mut strangers = Vec::new();
    let sums = match recorded_sums(dir)? {
        Ok(sums) => sums,
        Err(why) => {
            strangers.push(why.to_owned());
            BTreeMap::new()
        }
    };
    let mut walk = Walk { root: dir, sums, files: OldTree::new(), strangers: Vec::new() };
    match walk.folder("") {
        // Nothing there, or an empty folder, is nobody's.
        Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => return Ok(OldTree::new()),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    if walk.strangers.is_empty() {
        return Ok(walk.files);
    }
    strangers.extend(walk.strangers);
    Err(Error::NotOurs { dir: dir.to_owned(), strangers: Strangers(strangers) })
}

/// What the tree says about itself; the inner error is why that cannot be believed.
fn recorded_sums(dir: &Path) -> Result<Result<BTreeMap<String, Sha256>, &'static str>, Error> {
    let read = |path: &str| {
        let path = dir.join(path);
        match fs::read(&path) {
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            other => other.map(Some).map_err(Error::io("read", &path)),
        }
    };
    if !read(MANIFEST_PATH)?.is_some_and(|bytes| is_our_manifest(&bytes)) {
        return Ok(Err("pxe/manifest.json: missing, or not by pxe-serve"));
    }
    let Some(bytes) = read(SHA256SUMS_PATH)? else { return Ok(Err("pxe/SHA256SUMS: missing")) };
    let sums: Option<_> = String::from_utf8_lossy(&bytes).lines().map(parse_sum_line).collect();
    Ok(sums.ok_or("pxe/SHA256SUMS: not as pxe-serve writes it"))
}

struct Walk<'a> {
    root: &'a Path,
    sums: BTreeMap<String, Sha256>,
    files: OldTree,
    strangers: Vec<String>,
}

impl Walk<'_> {
    /// `prefix` is empty or ends in a slash.
    fn folder(&mut self, prefix: &str) -> Result<(), Error> {
        let dir = self.root.join(prefix);
        let mut entries = fs::read_dir(&dir)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(Error::io("read", &dir))?;
        // In one order everywhere, so that a refusal names the same files each time.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let metadata = entry.metadata().map_err(Error::io("read", &entry.path()))?;
            if metadata.is_dir() {
                let below = format!("{path}/");
                if self.sums.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below)) {
                    self.folder(&below)?;
                } else {
                    self.strangers.push(format!("{below}: a folder with nothing of ours"));
                }
            } else if metadata.is_file() {
                self.file(path, &entry.path(), &metadata)?;
            } else {
                self.strangers.push(format!("{path}: neither a file nor a folder"));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, on_disk: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
        let recorded = self.sums.get(&path).copied();
        if recorded.is_none() && path != SHA256SUMS_PATH {
            self.strangers.push(format!("{path}: not listed in pxe/SHA256SUMS"));
            return Ok(());
        }
        let digest = Sha256::of(&fs::read(on_disk).map_err(Error::io("read", on_disk))?);
        // A power cut leaves empty what was not yet written; nobody's work is in it.
        let is_empty = metadata.len() == 0;
        if !is_empty && recorded.is_some_and(|recorded| recorded != digest) {
            self.strangers.push(format!("{path}: changed since it was written"));
        }
        let modified = metadata.modified().map_err(Error::io("read", on_disk))?;
        let mode = metadata.permissions().mode() & 0o7777;
        self.files.insert(path, OldFile { digest, mode, modified });
        Ok(())
    }
}
