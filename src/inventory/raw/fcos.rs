//! `fcos:` as written.

use crate::catalogue::ArtifactPath;
use crate::document::{At, Fields, Item};

#[derive(Debug, Default)]
pub struct Fcos {
    pub kernel: Option<At<ArtifactPath>>,
    pub initramfs: Option<At<ArtifactPath>>,
    pub rootfs: Option<At<ArtifactPath>>,
    pub metal_image: Option<At<ArtifactPath>>,
}

pub fn read_fcos(item: &Item<'_>) -> Fcos {
    let Some(mut fields) = Fields::of(item) else { return Fcos::default() };
    let mut path = |name| {
        fields.get(name).and_then(|item| item.parse_as("a path below base_url", "pxe/fcos/rootfs.img"))
    };
    let fcos = Fcos {
        kernel: path("kernel"),
        initramfs: path("initramfs"),
        rootfs: path("rootfs"),
        metal_image: path("metal_image"),
    };
    fields.finish();
    fcos
}
