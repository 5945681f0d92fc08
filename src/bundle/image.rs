//! One artifact as a file of its own, such as an initrd for a stick or another boot loader.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::catalogue::Artifact;

use super::place::Place;
use super::{Error, mode_of};

/// The first bytes of RFC 1952: an image is gzipped.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Writes the image beside its place and renames it there; mode 0600 if it holds a secret.
pub fn write_image(artifact: &Artifact, path: &Path) -> Result<(), Error> {
    let place = Place::take(path)?;
    refuse_anybody_elses(&place.target)?;
    place.put(|new| {
        let mode = mode_of(artifact);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(new)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(artifact.bytes())
    })
}

/// `--out inventory.yaml` must not cost anybody the inventory.
fn refuse_anybody_elses(target: &Path) -> Result<(), Error> {
    let mut begin = Vec::new();
    match File::open(target).and_then(|file| file.take(GZIP.len() as u64).read_to_end(&mut begin)) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::io("read", target)(cause)),
        // An empty file is nothing to lose: `mktemp` makes one.
        Ok(_) if begin == GZIP || fs::metadata(target).is_ok_and(|metadata| metadata.len() == 0) => Ok(()),
        Ok(_) => Err(Error::NotAnImage(target.to_owned())),
    }
}
