//! The folder: built beside its place, and put there in one step.
//!
//! It is not flushed: that waits for whatever other programs are writing, 10 to 160 ms on a busy disk where all else takes
//! 6 ms. A kill cannot harm it, and after a power cut `render` runs again: what was cut short is nothing to lose.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::catalogue::{Artifact, ArtifactPath, Catalogue};

use super::ours::{OldFile, OldTree, old_tree};
use super::place::Place;
use super::{Error, FOLDER_MODE, Written, mode_of};

/// Makes `dir` hold the catalogue and nothing else. The catalogue must be sealed, or the next run would not
/// recognise the tree.
pub fn write_tree(catalogue: &Catalogue, dir: &Path) -> Result<Written, Error> {
    let place = Place::take(dir)?;
    let old = old_tree(&place.target)?;
    place.clear()?;
    if is_current(catalogue, &old) {
        return Ok(Written::all_of(catalogue));
    }
    let put =
        build(catalogue, &place.new, &place.target, &old).and_then(|()| put_in_place(&place, old.is_empty()));
    if put.is_err() {
        // The reason why it failed matters more than whether the half-built tree could be removed.
        let _ = place.clear();
    }
    put?;
    // After an exchange, the old tree lies where the new one was built.
    place.clear()?;
    Ok(Written::all_of(catalogue))
}

/// Whether the old tree is the new one already, modes included: then nothing is written, which is kind to flash.
fn is_current(catalogue: &Catalogue, old: &OldTree) -> bool {
    let is_there = |(path, artifact): (&ArtifactPath, &Artifact)| {
        old.get(path.as_str()).is_some_and(|file| file.is_the_same_as(artifact))
    };
    old.len() == catalogue.len() && catalogue.iter().all(is_there)
}

fn build(catalogue: &Catalogue, root: &Path, old_root: &Path, old: &OldTree) -> Result<(), Error> {
    let mut folders = BTreeSet::new();
    make_folder(root, root, &mut folders)?;
    for (path, artifact) in catalogue.iter() {
        let on_disk = root.join(path.as_str());
        make_folder(root, on_disk.parent().unwrap_or(root), &mut folders)?;
        let old = old.get(path.as_str());
        // What did not change is linked: no new inode, nothing for the flash to write. Not every file system can.
        let is_linked = old.is_some_and(|old| old.is_the_same_as(artifact))
            && fs::hard_link(old_root.join(path.as_str()), &on_disk).is_ok();
        if !is_linked {
            write_file(artifact, &on_disk, old).map_err(Error::io("write", &on_disk))?;
        }
    }
    Ok(())
}

fn make_folder(root: &Path, folder: &Path, made: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    if made.contains(folder) {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|_| folder != root) {
        make_folder(root, parent, made)?;
    }
    fs::create_dir(folder)
        // Whatever the umask: a folder that nginx cannot enter serves nothing.
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)))
        .map_err(Error::io("create", folder))?;
    made.insert(folder.to_owned());
    Ok(())
}

fn write_file(artifact: &Artifact, path: &Path, old: Option<&OldFile>) -> std::io::Result<()> {
    let mode = mode_of(artifact);
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(artifact.bytes())?;
    match old {
        Some(old) => file.set_modified(modified(old, artifact, SystemTime::now())),
        None => Ok(()),
    }
}

/// When a static server should say that a file was modified. nginx makes its ETag of this second and the size, others
/// compare `If-Modified-Since` only, so a constant would hide every edit that keeps the size (one digit of an
/// address), while the time of writing would make clients fetch again what did not change. Hence: unchanged bytes
/// keep their time, changed ones get a later second than before, even on a router whose clock starts in the past.
fn modified(old: &OldFile, artifact: &Artifact, now: SystemTime) -> SystemTime {
    if old.digest == artifact.digest().sha256 {
        old.modified
    } else {
        now.max(old.modified + Duration::from_secs(1))
    }
}

fn put_in_place(place: &Place, target_is_free: bool) -> Result<(), Error> {
    if target_is_free {
        // rename(2) also replaces an empty folder in one step, on every file system, and refuses one that is not.
        return match fs::rename(&place.new, &place.target) {
            Err(cause) if is_pinned(&cause) => Err(Error::Pinned { dir: place.target.clone(), cause }),
            other => other.map_err(Error::io("replace", &place.target)),
        };
    }
    let exchanged = renameat_with(CWD, &place.new, CWD, &place.target, RenameFlags::EXCHANGE);
    exchanged.map_err(|errno| {
        let (dir, cause) = (place.target.clone(), std::io::Error::from(errno));
        match errno {
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => Error::CannotExchange { dir, cause },
            _ if is_pinned(&cause) => Error::Pinned { dir, cause },
            _ => Error::io("replace", &place.target)(cause),
        }
    })
}

/// rename(2): EBUSY for a mount point, EXDEV for a folder that overlayfs has from a lower layer.
fn is_pinned(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::ResourceBusy | std::io::ErrorKind::CrossesDevices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Audience, Sensitivity};

    #[test]
    fn a_change_moves_the_time_by_a_whole_second_even_when_the_clock_stands_still_or_goes_back() {
        let artifact =
            |text: &str| Artifact::new("a", text.to_owned(), Sensitivity::Public, Audience::Everyone);
        let old = OldFile { digest: artifact("5").digest().sha256, mode: 0o644, modified: SystemTime::now() };
        let long_ago = SystemTime::UNIX_EPOCH;
        assert_eq!(modified(&old, &artifact("5"), SystemTime::now()), old.modified);
        assert_eq!(modified(&old, &artifact("6"), long_ago), old.modified + Duration::from_secs(1));
        let later = old.modified + Duration::from_secs(60);
        assert_eq!(modified(&old, &artifact("6"), later), later);
    }
}
