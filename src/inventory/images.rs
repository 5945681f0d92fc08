//! The images that hosts boot from: their names as the inventory writes them, or as FCOS stream metadata says them,
//! whose form is <https://github.com/coreos/stream-metadata-go>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalogue::{ArtifactPath, Sha256};
use crate::document::At;
use crate::ids::Invalid;

use super::model::{Arch, Host};

/// Where the Fedora CoreOS images of one architecture are; paths below the base URL.
#[derive(Debug, Clone)]
pub struct Images {
    pub kernel: ArtifactPath,
    pub initramfs: ArtifactPath,
    pub rootfs: ArtifactPath,
    /// What is written to disk; none: the installer's own choice.
    pub metal_image: Option<ArtifactPath>,
}

/// Who says how the images are called.
#[derive(Debug, Clone)]
pub enum ImageNames {
    /// The inventory; x86_64, and each architecture that a host has.
    Written(BTreeMap<Arch, Images>),
    Stream(Stream),
}

/// FCOS stream metadata among the static files; the images lie beside it.
#[derive(Debug, Clone)]
pub struct Stream {
    pub file: At<ArtifactPath>,
    /// The stream does not decide what is written to disk.
    pub metal_images: BTreeMap<Arch, ArtifactPath>,
}

/// All names known.
#[derive(Debug)]
pub struct BootImages {
    by_arch: BTreeMap<Arch, Images>,
    sha256: BTreeMap<ArtifactPath, Sha256>,
}

/// What is read of the metadata: `architectures.ARCH.artifacts.metal.formats`, `pxe` and the two forms of the image that
/// is written to disk.
#[derive(Deserialize)]
struct Metadata {
    architectures: Architectures,
}

#[derive(Deserialize)]
struct Architectures {
    x86_64: Option<Architecture>,
    aarch64: Option<Architecture>,
}

#[derive(Deserialize)]
struct Architecture {
    artifacts: Artifacts,
}

#[derive(Deserialize)]
struct Artifacts {
    metal: Metal,
}

#[derive(Deserialize)]
struct Metal {
    formats: Formats,
}

#[derive(Deserialize)]
struct Formats {
    pxe: Pxe,
    #[serde(rename = "raw.xz")]
    raw: Option<Raw>,
    /// For disks with sectors of 4 KiB.
    #[serde(rename = "4k.raw.xz")]
    raw_4k: Option<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    disk: Download,
}

#[derive(Deserialize)]
struct Pxe {
    kernel: Download,
    initramfs: Download,
    rootfs: Download,
}

#[derive(Deserialize)]
struct Download {
    location: String,
    sha256: String,
}

impl Stream {
    /// The names that `metadata`, the text of the file, gives for every architecture it has; `hosts` need theirs.
    pub fn images(&self, metadata: &[u8], hosts: &[Host]) -> Result<BootImages, Invalid> {
        /// An error of the parser quotes what it found, which may be all of the file.
        const QUOTED_CHARACTERS: usize = 160;
        let file = &self.file.value;
        let fetch = || {
            format!(
                "fetch {file} again, such as from https://builds.coreos.fedoraproject.org/streams/stable.json"
            )
        };
        let Architectures { x86_64, aarch64 } = match serde_json::from_slice::<Metadata>(metadata) {
            Ok(metadata) => metadata.architectures,
            Err(error) => {
                let error: String = error.to_string().chars().take(QUOTED_CHARACTERS).collect();
                return Err(Invalid::new(format!("{file} is no FCOS stream metadata: {error}"), fetch()));
            }
        };
        let mut images = BootImages { by_arch: BTreeMap::new(), sha256: BTreeMap::new() };
        for (arch, found) in [(Arch::X86_64, x86_64), (Arch::Aarch64, aarch64)] {
            let Some(found) = found else {
                if let Some(host) = hosts.iter().find(|host| host.arch == arch) {
                    let message = format!("{file} has no images for {}, which {} is", arch.name(), host.name);
                    let help = "take the metadata of a stream that has them, or leave `stream` out and name kernel, initramfs and rootfs";
                    return Err(Invalid::new(message, help));
                }
                continue;
            };
            let Formats { pxe: Pxe { kernel, initramfs, rootfs }, raw, raw_4k } =
                found.artifacts.metal.formats;
            let metal_image = self.metal_images.get(&arch).cloned();
            let mut add = |download: &Download| {
                let (path, sha256) =
                    self.beside(download).map_err(|message| Invalid::new(message, fetch()))?;
                images.sha256.insert(path.clone(), sha256);
                Ok(path)
            };
            // Which one is written is for the inventory to say; whether it is one of the stream's, its name says.
            for Raw { disk } in [raw, raw_4k].into_iter().flatten() {
                if metal_image.as_ref().is_some_and(|image| image.as_str() == self.name_beside(&disk)) {
                    add(&disk)?;
                }
            }
            let named = Images {
                kernel: add(&kernel)?,
                initramfs: add(&initramfs)?,
                rootfs: add(&rootfs)?,
                metal_image,
            };
            images.by_arch.insert(arch, named);
        }
        Ok(images)
    }

    /// In the folder of the metadata, under the last segment of its URL.
    fn name_beside(&self, download: &Download) -> String {
        let file = self.file.value.as_str();
        let name = download.location.rsplit('/').next().unwrap_or_default();
        format!("{}{name}", &file[..file.rfind('/').map_or(0, |slash| slash + 1)])
    }

    /// Where a file of the stream lies, and its digest; or what is wrong with them.
    fn beside(&self, download: &Download) -> Result<(ArtifactPath, Sha256), String> {
        let file = self.file.value.as_str();
        let path = (self.name_beside(download).parse())
            .map_err(|bad| format!("{file} names a file that cannot be served: {bad}"))?;
        let sha256 = download
            .sha256
            .parse()
            .map_err(|()| format!("{file} has no SHA-256 for {path}: it takes 64 hex digits"))?;
        Ok((path, sha256))
    }
}

impl BootImages {
    pub fn written(by_arch: BTreeMap<Arch, Images>) -> Self {
        BootImages { by_arch, sha256: BTreeMap::new() }
    }

    /// Of an architecture that some host has there are always some.
    pub fn of(&self, arch: Arch) -> Option<&Images> {
        self.by_arch.get(&arch)
    }

    /// Every path there is, of all architectures.
    pub fn paths(&self) -> BTreeSet<&ArtifactPath> {
        let each = self.by_arch.values().flat_map(|images| {
            let Images { kernel, initramfs, rootfs, metal_image } = images;
            [kernel, initramfs, rootfs].into_iter().chain(metal_image)
        });
        each.collect()
    }

    /// What is written to disks, of all architectures.
    pub fn metal_images(&self) -> impl Iterator<Item = &ArtifactPath> {
        self.by_arch.values().filter_map(|images| images.metal_image.as_ref())
    }

    /// What the stream metadata says of its files; empty without one.
    pub fn sha256(&self) -> &BTreeMap<ArtifactPath, Sha256> {
        &self.sha256
    }
}
