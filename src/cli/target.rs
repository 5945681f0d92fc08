//! The file that a kubeconfig or a token goes to: replaced in one step, for its owner alone, never over somebody else's edit.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A file that is edited by others in the same moment, so many times in a row, is edited by a program gone wild.
const ATTEMPTS: usize = 5;
const OWNER_ONLY: u32 = 0o600;
/// Real ones have some 10 KiB for a dozen of clusters.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where `--out` leads. A link stays, and what it leads to is replaced: dotfiles often live elsewhere.
pub struct Target {
    real: PathBuf,
}

impl Target {
    pub fn at(path: &Path) -> anyhow::Result<Target> {
        if path.as_os_str() == "-" {
            bail!("it is written to a file, in one step; for a file that is called - say ./-");
        }
        let real = if path.is_symlink() {
            fs::canonicalize(path)
                .with_context(|| format!("{} is a link that leads nowhere; remove it", path.display()))?
        } else {
            path.to_owned()
        };
        // /dev/null would be replaced by a file, and a pipe that nobody writes to never ends.
        match fs::metadata(&real) {
            Ok(found) if !found.is_file() => bail!("{} is no file; name another one", path.display()),
            _ => Ok(Target { real }),
        }
    }

    /// Gives `edit` what is there, `None` if nothing is, and puts its result in the place. Says whether that differs.
    pub fn replace(&self, edit: impl Fn(Option<&[u8]>) -> anyhow::Result<String>) -> anyhow::Result<bool> {
        for _ in 0..ATTEMPTS {
            let old = self.read()?;
            let new = edit(old.as_deref())?;
            if old.as_deref() == Some(new.as_bytes()) && mode(&self.real)? == OWNER_ONLY {
                return Ok(false);
            }
            let beside = Beside::write(&self.real, new.as_bytes())?;
            // kubectl and others edit this file as well; what they wrote meanwhile is taken up.
            if self.read()? == old {
                beside.put_in_place(&self.real)?;
                return Ok(true);
            }
        }
        bail!("{} is being changed by another program all the time; stop that one first", self.real.display())
    }

    pub fn is_gone(&self) -> bool {
        !self.real.exists()
    }

    fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match read_at_most(&self.real, BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.real.display())),
        }
    }
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

/// The new file, not yet in its place; dropped before, it is gone.
struct Beside(PathBuf);

impl Beside {
    fn write(target: &Path, bytes: &[u8]) -> anyhow::Result<Beside> {
        let folder = folder(target);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let Some(name) = target.file_name() else { bail!("{} has no file name", target.display()) };
        let beside = folder.join(format!(".{}.pxe-serve-{}", name.display(), std::process::id()));
        let write = || {
            // Left by a process of the same number that was killed.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&beside)?;
            let guard = Beside(beside.clone());
            // Whatever the umask is.
            file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
            keep_owner(target, &file)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok(guard)
        };
        write().with_context(|| format!("cannot write {}", beside.display()))
    }

    fn put_in_place(self, target: &Path) -> anyhow::Result<()> {
        fs::rename(&self.0, target).with_context(|| format!("cannot replace {}", target.display()))?;
        // The rename itself outlasts a power cut only with its folder flushed.
        File::open(folder(target)).and_then(|folder| folder.sync_all()).context("cannot flush the folder")
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// With `sudo` it is root who writes, and the user's own file is to stay the user's. In a folder of somebody else's it is
/// not: whoever may write to /tmp could have put it there to be given the key.
fn keep_owner(target: &Path, file: &File) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let before = match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        before => before?,
    };
    if before.uid() == fs::metadata(folder(target))?.uid() {
        fchown(file, Some(before.uid()), Some(before.gid()))
    } else {
        Ok(())
    }
}

fn folder(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file of at most so many bytes.
pub fn read_at_most(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let message = format!("it is longer than the {limit} bytes that are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_wrote_in_between_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "old").unwrap();
        let target = Target::at(&path).unwrap();
        let changed = target.replace(|old| {
            if old == Some(b"old") {
                fs::write(&path, "theirs").unwrap();
            }
            Ok(format!("{} and ours", String::from_utf8_lossy(old.unwrap())))
        });
        assert!(changed.unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs and ours");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // One that never rests is left alone.
        let count = std::cell::Cell::new(0);
        let unquiet = target.replace(|_| {
            count.set(count.get() + 1);
            fs::write(&path, count.get().to_string()).unwrap();
            Ok("ours".to_owned())
        });
        assert!(unquiet.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), ATTEMPTS.to_string());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Only root can give a file away; `./check` runs as root.
    #[test]
    fn what_belongs_to_a_user_in_a_folder_of_theirs_still_does_when_root_has_written_it() {
        if !rustix::process::geteuid().is_root() {
            assert_ne!(std::env::var("PXE_SERVE_E2E").as_deref(), Ok("required"), "needs root");
            eprintln!("SKIPPED: needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for (owner_of_folder, expected) in [(1234, (1234, 1235)), (0, (0, 0))] {
            fs::write(&path, "old").unwrap();
            std::os::unix::fs::chown(&path, Some(1234), Some(1235)).unwrap();
            std::os::unix::fs::chown(folder.path(), Some(owner_of_folder), None).unwrap();
            assert!(Target::at(&path).unwrap().replace(|_| Ok("new".to_owned())).unwrap());
            let now = fs::metadata(&path).unwrap();
            assert_eq!((now.uid(), now.gid()), expected);
            assert_eq!(mode(&path).unwrap(), OWNER_ONLY);
        }
    }

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Never reads it: that would wait for somebody who writes.
        for path in [&pipe, Path::new("/dev/null"), folder.path(), Path::new("-")] {
            assert!(Target::at(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_mode_that_is_too_open_is_set_right_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "same").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Target::at(&path).unwrap().replace(|_| Ok("same".to_owned())).unwrap());
        assert_eq!(mode(&path).unwrap(), OWNER_ONLY);
    }
}
