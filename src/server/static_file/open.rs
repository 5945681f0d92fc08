//! Opens a file below the folder of `--static`, and below nothing else, and notices when somebody writes into it.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::catalogue::{Stamp, nanoseconds};

/// NONBLOCK: opening a FIFO must not wait for a writer; on a regular file it changes nothing.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A regular file, and what it looked like when it was opened.
#[derive(Debug)]
pub struct Opened {
    file: File,
    pub stamp: Stamp,
    links: u64,
}

/// `name` is a path of plain segments below `folder`; no link in it is followed.
pub fn open(folder: &Path, name: &str) -> io::Result<Opened> {
    // How the user names the folder is the user's affair: it may be a link, or lead through one.
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(&folder, name, FLAGS, Mode::empty(), beneath) {
        // Linux before 5.6; or a seccomp filter that does not know the call (containers with an old libseccomp).
        Err(Errno::NOSYS | Errno::PERM) => open_by_segments(folder, name)?,
        opened => opened?,
    };
    Opened::settled(File::from(file))
}

/// The same without openat2(2): a folder that is swapped for a link meanwhile is refused by O_NOFOLLOW.
fn open_by_segments(folder: OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let (folders, file) = name.rsplit_once('/').map_or((None, name), |(folders, file)| (Some(folders), file));
    let segments = folders.into_iter().flat_map(|folders| folders.split('/')).chain([file]);
    if segments.clone().any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Errno::XDEV.into());
    }
    let mut here = folder;
    for segment in folders.into_iter().flat_map(|folders| folders.split('/')) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = rustix::fs::openat(&here, segment, flags, Mode::empty())?;
    }
    Ok(rustix::fs::openat(&here, file, FLAGS | OFlags::NOFOLLOW, Mode::empty())?)
}

impl Opened {
    /// Waits out the tick in which it was written: after it, each write changes the stamp.
    fn settled(file: File) -> io::Result<Self> {
        let (mut stamp, mut links) = look(&file)?;
        if stamp.is_fresh(now_ns()) {
            std::thread::sleep(2 * Duration::from_nanos(Stamp::GRANULARITY_NS.unsigned_abs()));
            (stamp, links) = look(&file)?;
            if stamp.is_fresh(now_ns()) {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody is writing it"));
            }
        }
        Ok(Opened { file, stamp, links })
    }

    /// All `length` bytes at `offset`, of the file as it was opened; an error if it is not that file any more.
    ///
    /// One look after reading is enough: the kernel stamps a file before it changes its bytes.
    pub fn read(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        let (stamp, links) = look(&self.file)?;
        // The time of change tells a write whose author put the time of modification back. It also moves when the name is
        // taken away, as by a rename of another file over it; then what is open here stays what it was.
        let lost_a_name =
            links < self.links && Stamp { changed_ns: self.stamp.changed_ns, ..stamp } == self.stamp;
        if stamp != self.stamp && !lost_a_name {
            return Err(io::Error::other("it was written while it was read"));
        }
        (self.stamp, self.links) = (stamp, links);
        Ok(Bytes::from(bytes))
    }
}

fn look(file: &File) -> io::Result<(Stamp, u64)> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok((stamp(&meta), meta.nlink()))
}

pub fn stamp(meta: &Metadata) -> Stamp {
    Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What openat2(2) and its stand-in make of `name`.
    fn both(folder: &Path, name: &str) -> [bool; 2] {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let by_segments = || {
            let file = open_by_segments(rustix::fs::open(folder, flags, Mode::empty())?, name)?;
            Opened::settled(File::from(file))
        };
        [open(folder, name).is_ok(), by_segments().is_ok()]
    }

    #[test]
    fn only_regular_files_below_the_folder_can_be_opened() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("static");
        std::fs::create_dir_all(folder.join("fcos/deep")).unwrap();
        for file in ["static/top", "static/fcos/kernel", "static/fcos/deep/rootfs", "secret"] {
            std::fs::write(root.path().join(file), "bytes").unwrap();
        }
        symlink("../secret", folder.join("out")).unwrap();
        symlink("top", folder.join("inside")).unwrap();
        symlink("fcos", folder.join("linked")).unwrap();
        symlink("/", folder.join("root")).unwrap();
        symlink("/proc/self/fd", folder.join("magic")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo"), fifo, Mode::RUSR, 0).unwrap();
        for name in ["top", "fcos/kernel", "fcos/deep/rootfs"] {
            assert_eq!(both(&folder, name), [true, true], "{name}");
        }
        for name in [
            "out",
            "inside",
            "linked/kernel",
            "root/etc/passwd",
            "magic/0",
            "fifo",
            "fcos",
            "..",
            "../secret",
            "fcos/../../secret",
            "./../secret",
            "/etc/passwd",
            "",
            "top/",
            "fcos//../../secret",
            "nothing",
        ] {
            assert_eq!(both(&folder, name), [false, false], "{name}");
        }
    }

    #[test]
    fn the_folder_itself_may_be_a_link() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("usb")).unwrap();
        std::fs::write(root.path().join("usb/kernel"), "bytes").unwrap();
        symlink("usb", root.path().join("static")).unwrap();
        assert_eq!(both(&root.path().join("static"), "kernel"), [true, true]);
    }

    #[test]
    fn a_file_replaced_by_another_stays_what_it_was_and_one_written_in_place_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (image, new) = (folder.path().join("image"), folder.path().join("new"));
        let opened = || {
            std::fs::write(&image, "0123456789").unwrap();
            open(folder.path(), "image").unwrap()
        };
        let mut replaced = opened();
        assert_eq!(replaced.read(0, 5).unwrap(), "01234");
        std::fs::write(&new, "abcdefghij").unwrap();
        std::fs::rename(&new, &image).unwrap();
        assert_eq!(replaced.read(5, 5).unwrap(), "56789");

        let mut removed = opened();
        std::fs::remove_file(&image).unwrap();
        assert_eq!(removed.read(0, 10).unwrap(), "0123456789");

        let mut overwritten = opened();
        let time = std::fs::metadata(&image).unwrap().modified().unwrap();
        let file = File::options().write(true).open(&image).unwrap();
        file.write_all_at(b"x", 9).unwrap();
        file.set_modified(time).unwrap();
        assert!(overwritten.read(0, 5).is_err(), "the author put the time of modification back");

        let mut cut = opened();
        File::options().write(true).open(&image).unwrap().set_len(7).unwrap();
        assert!(cut.read(0, 5).is_err());
        assert!(cut.read(5, 5).is_err());
    }
}
