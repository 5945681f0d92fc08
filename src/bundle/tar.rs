//! The same tree as one tar: equal catalogues give equal bytes, on every machine and at any time.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use crate::catalogue::{Artifact, Catalogue, MANIFEST_PATH, is_our_manifest};

use super::place::Place;
use super::{Error, FOLDER_MODE, PUBLIC_MODE, SECRET_MODE, Written, mode_of};

/// 2001-09-09 01:46:40 UTC: any time in the past does, but Go and others take the very first second for "unknown".
const FIRST_SECOND: u64 = 1_000_000_000;

/// Writes the tar beside its place and renames it there. Its mode is that of its most secret content.
pub fn write_tar(catalogue: &Catalogue, path: &Path) -> Result<Written, Error> {
    let place = Place::take(path)?;
    refuse_anybody_elses(&place.target)?;
    place.put(|new| write_file(catalogue, new))?;
    Ok(Written::all_of(catalogue))
}

/// `--tar inventory.yaml` must not cost anybody the inventory.
fn refuse_anybody_elses(target: &Path) -> Result<(), Error> {
    match File::open(target) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::io("read", target)(cause)),
        // What cannot be read as a tar is not ours either.
        Ok(file) => match is_our_tar(file) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Error::NotOurTar(target.to_owned())),
        },
    }
}

fn is_our_tar(file: File) -> io::Result<bool> {
    for entry in Archive::new(io::BufReader::new(file)).entries()? {
        let mut entry = entry?;
        if entry.path_bytes().as_ref() == MANIFEST_PATH.as_bytes() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(is_our_manifest(&bytes));
        }
    }
    Ok(false)
}

fn write_file(catalogue: &Catalogue, path: &Path) -> io::Result<()> {
    let any_secret = catalogue.iter().any(|(_, artifact)| artifact.is_secret());
    let mode = if any_secret { SECRET_MODE } else { PUBLIC_MODE };
    let file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    pack(catalogue, BufWriter::new(file))?.flush()
}

/// In path order, each folder before what lies in it.
fn pack<W: Write>(catalogue: &Catalogue, out: W) -> io::Result<W> {
    let mut builder = Builder::new(out);
    let mut folders = BTreeSet::new();
    for (path, artifact) in catalogue.iter() {
        let path = path.as_str();
        for (end, _) in path.match_indices('/') {
            let folder = &path[..=end];
            if folders.insert(folder) {
                append(&mut builder, EntryType::Directory, folder, FOLDER_MODE, FIRST_SECOND, &[])?;
            }
        }
        append(
            &mut builder,
            EntryType::Regular,
            path,
            mode_of(artifact),
            modified(artifact),
            artifact.bytes(),
        )?;
    }
    builder.into_inner()
}

/// A second that only the content decides, since the clock would make every tar another one. A constant would do for
/// that, but a server that makes its ETag of time and size, as nginx does, would not notice an edit that keeps the
/// size. (`tar -xm` gives the time of unpacking instead, which also suits servers that only ask "newer than?".)
fn modified(artifact: &Artifact) -> u64 {
    let number = artifact.digest().sha256.as_bytes()[..4]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    // 28 bits are 8.5 years: never in the future.
    FIRST_SECOND + (number >> 4)
}

fn append<W: Write>(
    builder: &mut Builder<W>,
    kind: EntryType,
    path: &str,
    mode: u32,
    modified: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, path, bytes)
}
