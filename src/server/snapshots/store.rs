//! The snapshots on disk: whole or not there, of each host the newest few.
//!
//! ```text
//! DIR/snapshots/HOST/NAME.SHA256   a snapshot; its digest is in its name, so that one rename makes both true
//! DIR/snapshots/HOST/upload.new    one that is being received; what a crash leaves of it goes with the next start
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::boot::Moment;
use crate::catalogue::{Sha256, StaticFile};
use crate::ids::{HostName, SnapshotName};

use super::super::Error;
use super::super::state_dir::{StateDir, sync_name};
use super::super::static_file::stamp;
use super::refusal::SnapshotRefusal;

/// etcd's database grows to 2 GiB unless its quota is raised (etcd, "Storage size limit"); a home's has some ten MiB. Half a
/// GiB is what the disk of a router may spare for one file.
pub const SNAPSHOT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Of all hosts together, also of those that the inventory has no more.
const TOTAL_MAX: usize = 64;

/// Left free on the disk: 16 MiB for what the archive holds of a small site, and as much for the journal and the file that
/// replaces it.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// While it is received.
const UPLOAD: &str = "upload.new";

/// A snapshot that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub host: HostName,
    pub name: SnapshotName,
    pub sha256: Sha256,
    pub bytes: u64,
    /// By its name, as k3s itself sees it; without a time there, when it was received.
    pub taken: Moment,
}

/// What is announced of a snapshot before it arrives.
#[derive(Debug, Clone)]
pub struct Announced {
    pub host: HostName,
    pub name: SnapshotName,
    pub sha256: Sha256,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Locked as long as this lives.
    _dir: Arc<StateDir>,
}

impl Store {
    pub fn open(dir: Arc<StateDir>) -> Result<Self, Error> {
        let folder = dir.folder("snapshots")?;
        let hosts = fs::read_dir(&folder).map_err(|source| dir.failed(source))?;
        for host in hosts.flatten() {
            // What is not there needs not go, and what cannot go now is written over by the next one.
            let _ = fs::remove_file(host.path().join(UPLOAD));
        }
        Ok(Store { folder, _dir: dir })
    }

    /// The newest first. What is not named as ours is left alone.
    pub fn list(&self) -> io::Result<Vec<Kept>> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            let Some(host) = folder.file_name().to_str().and_then(|name| name.parse::<HostName>().ok())
            else {
                continue;
            };
            let files = fs::read_dir(folder.path())?;
            all.extend(files.flatten().filter_map(|file| kept(&host, &file)));
        }
        all.sort_by(|one, other| (other.taken, &other.name).cmp(&(one.taken, &one.name)));
        Ok(all)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As [`super::super::static_file`] knows its files.
    pub fn as_static(&self, kept: &Kept) -> io::Result<StaticFile> {
        let meta = fs::metadata(self.folder.join(kept.file()))?;
        Ok(StaticFile { stamp: stamp(&meta), sha256: Some(kept.sha256) })
    }

    /// What the disk has lost of one is seen here, and one before it is taken.
    pub fn newest_whole(&self) -> io::Result<Option<Kept>> {
        for kept in self.list()? {
            let is_whole = File::open(self.folder.join(kept.file()))
                .and_then(|mut file| Sha256::of_reader(&mut file, &mut |_| {}))
                .is_ok_and(|digest| digest == kept.sha256);
            if is_whole {
                return Ok(Some(kept));
            }
            tracing::error!(
                host = kept.host.as_str(),
                "the snapshot {} is not what its name says",
                kept.name
            );
        }
        Ok(None)
    }

    /// Whether there is room for it, and it is news. What is more than `keep` already, goes before.
    pub fn prepare(&self, announced: &Announced, keep: usize) -> Result<(), SnapshotRefusal> {
        let all = self.list().map_err(|error| SnapshotRefusal::disk(&error))?;
        let same = all.iter().find(|kept| (&kept.host, &kept.name) == (&announced.host, &announced.name));
        match same {
            Some(kept) if kept.sha256 == announced.sha256 => return Err(SnapshotRefusal::Known),
            Some(kept) => return Err(SnapshotRefusal::Taken(kept.name.clone())),
            None => {}
        }
        self.remove(surplus(&all, keep, None));
        let needed = announced.bytes.saturating_add(RESERVE_BYTES);
        match rustix::fs::statvfs(&self.folder) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                if free < needed { Err(SnapshotRefusal::NoRoom { free, needed }) } else { Ok(()) }
            }
            Err(error) => Err(SnapshotRefusal::disk(&error.into())),
        }
    }

    /// Writes what `body` gives. When this returns well it outlives a power cut, and what is surplus by then is deleted.
    pub fn write(&self, announced: &Announced, body: impl Read, keep: usize) -> Result<(), SnapshotRefusal> {
        let folder = self.folder.join(announced.host.as_str());
        let upload = folder.join(UPLOAD);
        let written = self.write_to(&folder, &upload, announced, body);
        if written.is_err() {
            let _ = fs::remove_file(&upload);
        }
        written?;
        match self.list() {
            Ok(all) => self.remove(surplus(&all, keep, Some(announced))),
            Err(error) => tracing::error!(%error, "cannot see which snapshots are surplus"),
        }
        Ok(())
    }

    fn write_to(
        &self,
        folder: &Path,
        upload: &Path,
        announced: &Announced,
        body: impl Read,
    ) -> Result<(), SnapshotRefusal> {
        let on_disk = |error: io::Error| SnapshotRefusal::disk(&error);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(on_disk)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(upload).map_err(on_disk)?;
        let mut incoming = Incoming { body, file: &file, bytes: 0 };
        let received = Sha256::of_reader(&mut incoming, &mut |_| {}).map_err(on_disk)?;
        if incoming.bytes != announced.bytes {
            let announced = announced.bytes;
            return Err(SnapshotRefusal::BrokeOff { received: incoming.bytes, announced });
        }
        if received != announced.sha256 {
            return Err(SnapshotRefusal::WrongHash { received, announced: announced.sha256 });
        }
        file.sync_all().map_err(on_disk)?;
        let name = folder.join(format!("{}.{}", announced.name, announced.sha256));
        fs::rename(upload, &name).map_err(on_disk)?;
        // And that of the folder, which may be new.
        sync_name(&name).and_then(|()| sync_name(folder)).map_err(on_disk)
    }

    fn remove<'k>(&self, surplus: impl IntoIterator<Item = &'k Kept>) {
        for kept in surplus {
            match fs::remove_file(self.folder.join(kept.file())) {
                Ok(()) => {
                    tracing::info!(host = kept.host.as_str(), "deleted the surplus snapshot {}", kept.name);
                }
                Err(error) => tracing::error!(%error, "cannot delete the surplus snapshot {}", kept.name),
            }
        }
    }
}

impl Kept {
    /// Below the folder of all.
    pub fn file(&self) -> String {
        format!("{}/{}.{}", self.host, self.name, self.sha256)
    }
}

/// The body of a request as it goes through the hash, written on the way.
struct Incoming<'f, R> {
    body: R,
    file: &'f File,
    bytes: u64,
}

impl<R: Read> Read for Incoming<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.body.read(buffer)?;
        self.file.write_all(&buffer[..length])?;
        self.bytes += length as u64;
        Ok(length)
    }
}

fn kept(host: &HostName, file: &fs::DirEntry) -> Option<Kept> {
    let written = file.file_name();
    let (name, digest) = written.to_str()?.rsplit_once('.')?;
    let (name, sha256): (SnapshotName, Sha256) = (name.parse().ok()?, digest.parse().ok()?);
    let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
    let received = || meta.modified().ok()?.duration_since(UNIX_EPOCH).ok();
    let taken = name.taken_unix().or_else(|| Some(received()?.as_secs())).unwrap_or_default();
    Some(Kept { host: host.clone(), name, sha256, bytes: meta.len(), taken: Moment::from_unix(taken) })
}

/// What is more than `keep` of a host, or than there may be in all; never the one that was just received. `all` has the
/// newest first.
fn surplus<'k>(all: &'k [Kept], keep: usize, just_received: Option<&Announced>) -> Vec<&'k Kept> {
    let is_new =
        |kept: &Kept| just_received.is_some_and(|new| (&new.host, &new.name) == (&kept.host, &kept.name));
    let mut of_host: BTreeMap<&HostName, usize> = BTreeMap::new();
    if let Some(new) = just_received {
        of_host.insert(&new.host, 1);
    }
    let mut in_all: usize = of_host.len();
    let mut surplus = Vec::new();
    for kept in all.iter().filter(|kept| !is_new(kept)) {
        let count = of_host.entry(&kept.host).or_default();
        if *count < keep && in_all < TOTAL_MAX {
            *count += 1;
            in_all += 1;
        } else {
            surplus.push(kept);
        }
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr>(text: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        text.parse().unwrap()
    }

    fn announced(host: &str, taken: u64) -> Announced {
        let name = id(&format!("etcd-snapshot-{host}-{taken}"));
        Announced { host: id(host), name, sha256: Sha256::of(b"etcd"), bytes: 4 }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(StateDir::open(folder.path()).unwrap())).unwrap();
        (folder, store)
    }

    fn names(store: &Store) -> Vec<String> {
        store.list().unwrap().iter().map(|kept| kept.name.to_string()).collect()
    }

    #[test]
    fn a_thousand_snapshots_leave_as_many_as_are_to_be_kept() {
        // In memory: four thousand fsyncs are not what is tried here.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let store = Store::open(Arc::new(StateDir::open(folder.path()).unwrap())).unwrap();
        for taken in 1..=1000 {
            let announced = announced(["lenovo1", "lenovo2"][taken as usize % 2], taken);
            store.prepare(&announced, 3).unwrap();
            store.write(&announced, &b"etcd"[..], 3).unwrap();
            assert!(store.list().unwrap().len() <= 6);
        }
        let kept =
            ["lenovo1-1000", "lenovo2-999", "lenovo1-998", "lenovo2-997", "lenovo1-996", "lenovo2-995"];
        assert_eq!(names(&store), kept.map(|name| format!("etcd-snapshot-{name}")));
        let files = fs::read_dir(folder.path().join("snapshots/lenovo1")).unwrap();
        assert_eq!(files.count(), 3, "nothing else lies there");
    }

    #[test]
    fn of_all_hosts_that_ever_were_no_more_are_kept_than_the_total() {
        let (_folder, store) = store();
        for taken in 0..100 {
            store.write(&announced(&format!("host{taken}"), taken), &b"etcd"[..], 3).unwrap();
        }
        assert_eq!(store.list().unwrap().len(), TOTAL_MAX);
        assert_eq!(names(&store)[0], "etcd-snapshot-host99-99");
    }

    /// A server whose clock went back: what it sends is older by its name than what is there.
    #[test]
    fn the_one_that_was_just_received_is_never_surplus() {
        let (_folder, store) = store();
        store.write(&announced("lenovo1", 2000), &b"etcd"[..], 1).unwrap();
        store.write(&announced("lenovo1", 1000), &b"etcd"[..], 1).unwrap();
        assert_eq!(names(&store), ["etcd-snapshot-lenovo1-1000"]);
    }

    #[test]
    fn what_is_not_what_was_announced_leaves_nothing_and_deletes_nothing() {
        let (folder, store) = store();
        store.write(&announced("lenovo1", 1), &b"etcd"[..], 1).unwrap();
        for body in [&b"etc"[..], b"etcd!", b"ETCD"] {
            let error = store.write(&announced("lenovo1", 2), body, 1).unwrap_err();
            assert_eq!(error.status(), 400, "{error}");
            assert_eq!(names(&store), ["etcd-snapshot-lenovo1-1"]);
        }
        assert!(!folder.path().join("snapshots/lenovo1").join(UPLOAD).exists());
    }

    #[test]
    fn one_that_is_there_is_not_received_again_and_another_of_its_name_never() {
        let (_folder, store) = store();
        let one = announced("lenovo1", 1);
        store.write(&one, &b"etcd"[..], 1).unwrap();
        assert_eq!(store.prepare(&one, 1), Err(SnapshotRefusal::Known));
        let other = Announced { sha256: Sha256::of(b"other"), ..one };
        assert_eq!(store.prepare(&other, 1).unwrap_err().status(), 422);
    }

    #[test]
    fn what_would_fill_the_disk_is_refused_before_it_is_received() {
        let (_folder, store) = store();
        let error = store.prepare(&Announced { bytes: u64::MAX, ..announced("lenovo1", 1) }, 1).unwrap_err();
        assert_eq!(error.status(), 507, "{error}");
    }

    #[test]
    fn fewer_to_keep_makes_room_before_the_next_is_received() {
        let (_folder, store) = store();
        (1..=5).for_each(|taken| store.write(&announced("lenovo1", taken), &b"etcd"[..], 5).unwrap());
        store.prepare(&announced("lenovo1", 6), 2).unwrap();
        assert_eq!(names(&store), ["etcd-snapshot-lenovo1-5", "etcd-snapshot-lenovo1-4"]);
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_foreign_stays() {
        let (folder, store) = store();
        store.write(&announced("lenovo1", 1), &b"etcd"[..], 1).unwrap();
        let host = folder.path().join("snapshots/lenovo1");
        fs::write(host.join(UPLOAD), "half").unwrap();
        fs::write(host.join("README"), "mine").unwrap();
        drop(store);
        let store = Store::open(Arc::new(StateDir::open(folder.path()).unwrap())).unwrap();
        assert_eq!(names(&store), ["etcd-snapshot-lenovo1-1"]);
        assert!(host.join("README").exists() && !host.join(UPLOAD).exists());
    }
}
