//! FCOS stream metadata: the file of `--static` that says how the images are called.

use crate::catalogue::ArtifactPath;
use crate::ids::Invalid;
use crate::inventory::{BootImages, Fcos, Host, ImageNames};

use super::Loader;
use super::static_files::Found;

/// The metadata of a stream is some 200 KB.
const MAX_STREAM_BYTES: u64 = 4 * 1024 * 1024;

impl Loader {
    /// The images with all their names, or `None` with an error in the report.
    pub fn images(&mut self, fcos: &Fcos, hosts: &[Host], found: Option<&Found>) -> Option<BootImages> {
        let stream = match &fcos.images {
            ImageNames::Written(images) => return Some(BootImages::written(images.clone())),
            ImageNames::Stream(stream) => stream,
        };
        let metadata = self.stream_metadata(&stream.file.value, found);
        match metadata.and_then(|metadata| stream.images(&metadata, hosts)) {
            Ok(images) => Some(images),
            Err(Invalid { message, help }) => {
                self.report.push(stream.file.error(message).help(help));
                None
            }
        }
    }

    fn stream_metadata(&mut self, path: &ArtifactPath, found: Option<&Found>) -> Result<Vec<u8>, Invalid> {
        let help = "start with --static DIR and put it there: DIR/fcos/stable.json is pxe/fcos/stable.json; or leave `stream` out and name kernel, initramfs and rootfs";
        let found = found.ok_or_else(|| Invalid::new(format!("nobody says where {path} is"), help))?;
        let file = found.place_of(path);
        let file = file.ok_or_else(|| Invalid::new(format!("{path} is not in the --static folder"), help))?;
        self.read_or_why(&file, MAX_STREAM_BYTES).map_err(|error| {
            let help = "let the user that runs pxe-serve read it, or fetch it again";
            Invalid::new(format!("{} cannot be read: {error}", file.display()), help)
        })
    }
}
