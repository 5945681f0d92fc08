//! Rules about images: every architecture that a host has needs its own, and one place says how they are called.

use std::collections::BTreeMap;

use crate::catalogue::ArtifactPath;
use crate::document::At;
use crate::inventory::images::{ImageNames, Images, Stream};
use crate::inventory::model::{Arch, Fcos, InstallForm};
use crate::inventory::raw::{self, Settings};

use super::Checker;

/// Where the shipped layout of `static/` has the kernel, initramfs and root file system of x86_64.
const USUAL: [&str; 3] = ["pxe/fcos/kernel", "pxe/fcos/initramfs.img", "pxe/fcos/rootfs.img"];

/// `None` with an error in the report.
pub fn build(raw: &raw::Inventory, settings: &[Settings], checker: &Checker<'_>) -> Option<Fcos> {
    let images = match &raw.fcos.stream {
        Some(file) => ImageNames::Stream(stream(&raw.fcos, file.as_ref()?, checker)),
        None => ImageNames::Written(written(&raw.fcos, settings, checker)?),
    };
    let install = raw.fcos.install.as_ref().map_or(InstallForm::Verified, |install| install.value);
    Some(Fcos { install, images })
}

fn written(fcos: &raw::Fcos, settings: &[Settings], checker: &Checker<'_>) -> Option<BTreeMap<Arch, Images>> {
    let mut images = BTreeMap::from([(Arch::X86_64, complete(&fcos.x86_64, USUAL.map(Some))?)]);
    let mut arches = settings.iter().filter_map(|settings| settings.arch.as_ref());
    match (&fcos.aarch64, arches.find(|arch| arch.value == Arch::Aarch64)) {
        (Some(written), _) => {
            images.insert(Arch::Aarch64, complete(written, [None; 3])?);
        }
        (None, Some(arch)) => {
            let help = "add `fcos.aarch64:` with `kernel`, `initramfs` and `rootfs`, or `fcos.stream`; those of x86_64 do not start there";
            checker.push(arch.error("there are no images for aarch64").help(help));
            return None;
        }
        (None, None) => {}
    }
    Some(images)
}

/// What is written besides has an error in the report.
fn stream(fcos: &raw::Fcos, file: &At<ArtifactPath>, checker: &Checker<'_>) -> Stream {
    let mut metal_images = BTreeMap::new();
    for (arch, images) in [(Arch::X86_64, Some(&fcos.x86_64)), (Arch::Aarch64, fcos.aarch64.as_ref())] {
        let Some(raw::Images { kernel, initramfs, rootfs, metal_image }) = images else { continue };
        for path in [kernel, initramfs, rootfs].into_iter().flatten() {
            let help = "leave it out, or leave `stream` out and name all three";
            checker.push(path.error("fcos.stream names this file already").help(help));
        }
        metal_images.extend(metal_image.as_ref().map(|path| (arch, path.value.clone())));
    }
    Stream { file: file.clone(), metal_images }
}

/// As written, else as usual.
fn complete(written: &raw::Images, usual: [Option<&str>; 3]) -> Option<Images> {
    let path = |written: &Option<At<ArtifactPath>>, usual: Option<&str>| match written {
        Some(path) => Some(path.value.clone()),
        None => usual?.parse().ok(),
    };
    Some(Images {
        kernel: path(&written.kernel, usual[0])?,
        initramfs: path(&written.initramfs, usual[1])?,
        rootfs: path(&written.rootfs, usual[2])?,
        metal_image: path(&written.metal_image, None),
    })
}
