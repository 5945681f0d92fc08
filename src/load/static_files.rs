//! The files of `--static`: which there are, what they look like, and their digests as far as they are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::{ArtifactPath, StaticFile};
use crate::generation::{STATIC_PREFIX, Unfinished};
use crate::report::Finding;

use super::digests::{Digests, stamp_of};
use super::{Loader, Progress};

/// When files are read whose digest nobody knows yet.
pub enum Hashing<'p> {
    /// For a verb that ends: before anything else, telling how far it is.
    Now(&'p mut dyn FnMut(&Progress<'_>)),
    /// For a server, which has something to do meanwhile.
    Later,
}

/// Files found below the folder, by path, with what each looks like.
pub struct Found {
    folder: PathBuf,
    pub files: BTreeMap<ArtifactPath, StaticFile>,
}

impl Found {
    /// `None`: there is no such file.
    pub fn place_of(&self, path: &ArtifactPath) -> Option<PathBuf> {
        self.files.contains_key(path).then(|| self.folder.join(name_of(path)))
    }
}

impl Loader {
    /// `DIR/fcos/kernel` is served as `pxe/fcos/kernel`. Names that cannot be a URL path are left out, with a note.
    pub fn static_files(&mut self, folder: &Path) -> Found {
        let mut found = BTreeMap::new();
        self.walk(folder, folder, &mut found);
        let mut files = BTreeMap::new();
        for (name, file) in found {
            // Gone since the folder was read: as if it had never been there.
            let Ok(meta) = std::fs::symlink_metadata(&file) else { continue };
            if meta.is_symlink() {
                let finding = Finding::note(file.display().to_string(), "is a symlink and is not served");
                self.report
                    .push(finding.help("put the file itself there: a link could lead out of the folder"));
                continue;
            }
            match format!("{STATIC_PREFIX}{name}").parse::<ArtifactPath>() {
                Ok(path) => {
                    files.insert(path, StaticFile { stamp: stamp_of(&meta), sha256: None });
                    // Written in place, it changes and its folder does not.
                    self.inputs.insert(file);
                }
                Err(error) => self.report.push(
                    Finding::note(file.display().to_string(), error.to_string())
                        .help("rename it to have it served"),
                ),
            }
        }
        Found { folder: folder.to_owned(), files }
    }

    /// Fills in the digests. Those of `needed` are computed whatever `hashing` says: something that is rendered names them.
    pub fn digests(
        &mut self,
        found: &mut Found,
        needed: &[&ArtifactPath],
        digests: &Arc<Digests>,
        hashing: Hashing<'_>,
    ) -> Option<Unfinished> {
        digests.attend(&found.folder, found.files.keys().map(name_of));
        let unknown =
            |path: &ArtifactPath, file: &StaticFile| digests.get(name_of(path), &file.stamp).is_none();
        let (is_later, progress) = match hashing {
            Hashing::Now(progress) => (false, progress),
            Hashing::Later => (true, &mut (|_: &Progress<'_>| {}) as &mut dyn FnMut(&Progress<'_>)),
        };
        let files = found.files.iter().filter(|(path, file)| unknown(path, file));
        let (now, later): (Vec<_>, Vec<_>) = files
            .map(|(path, file)| (path.clone(), *file))
            .partition(|(path, _)| !is_later || needed.contains(&path));
        compute(digests, &found.folder, &now, progress);
        for (path, file) in &mut found.files {
            match digests.get(name_of(path), &file.stamp) {
                Some(Ok(sha256)) => file.sha256 = Some(sha256),
                Some(Err(why)) => {
                    let file = found.folder.join(name_of(path)).display().to_string();
                    let help = "let the user that runs pxe-serve read it, or look at the disk";
                    self.report.push(Finding::warning(file, format!("cannot be read: {why}")).help(help));
                }
                None => {}
            }
        }
        if later.is_empty() {
            return None;
        }
        let (digests, folder) = (digests.clone(), found.folder.clone());
        Some(Unfinished::new(move || compute(&digests, &folder, &later, &mut |_| {})))
    }
}

/// One file after the other: together they would only make the disk seek.
fn compute(
    digests: &Digests,
    folder: &Path,
    files: &[(ArtifactPath, StaticFile)],
    progress: &mut dyn FnMut(&Progress<'_>),
) {
    let total = files.iter().map(|(_, file)| file.stamp.size).sum();
    let mut done = 0;
    for (path, file) in files {
        digests.compute(folder, name_of(path), file.stamp, &mut |bytes| {
            done += bytes;
            progress(&Progress { path, done, total });
        });
    }
}

fn name_of(path: &ArtifactPath) -> &str {
    path.as_str().strip_prefix(STATIC_PREFIX).unwrap_or(path.as_str())
}
