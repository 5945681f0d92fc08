//! `fcos:` as written.

use crate::catalogue::ArtifactPath;
use crate::document::{At, Fields, Item};
use crate::inventory::model::InstallForm;

#[derive(Debug, Default)]
pub struct Fcos {
    pub install: Option<At<InstallForm>>,
    /// `Some(None)`: what is written is no path, and in the report.
    pub stream: Option<Option<At<ArtifactPath>>>,
    pub x86_64: Images,
    pub aarch64: Option<Images>,
}

#[derive(Debug, Clone, Default)]
pub struct Images {
    pub kernel: Option<At<ArtifactPath>>,
    pub initramfs: Option<At<ArtifactPath>>,
    pub rootfs: Option<At<ArtifactPath>>,
    pub metal_image: Option<At<ArtifactPath>>,
}

pub fn read_fcos(item: &Item<'_>) -> Fcos {
    let Some(mut fields) = Fields::of(item) else { return Fcos::default() };
    let stream =
        fields.get("stream").map(|item| item.parse_as("a path below base_url", "pxe/fcos/stable.json"));
    let fcos = Fcos {
        install: fields.get("install").and_then(|item| {
            item.choice(&[
                ("verified", InstallForm::Verified),
                ("kernel_arguments", InstallForm::KernelArguments),
            ])
        }),
        x86_64: read_images(&mut fields, Fields::get),
        // Nothing is usual here: whoever has two architectures names the files of the second, or has a stream do it.
        aarch64: fields.get("aarch64").and_then(|item| {
            let mut fields = Fields::of(&item)?;
            let help = "name the file, such as pxe/fcos/aarch64/rootfs.img";
            let images = read_images(&mut fields, |fields, name| match &stream {
                Some(_) => fields.get(name),
                None => fields.require(name, help),
            });
            fields.finish();
            Some(images)
        }),
        stream,
    };
    fields.finish();
    fcos
}

fn read_images<'d>(
    fields: &mut Fields<'d>,
    boot_file: impl Fn(&mut Fields<'d>, &'static str) -> Option<Item<'d>>,
) -> Images {
    let path = |item: Item<'d>| item.parse_as("a path below base_url", "pxe/fcos/rootfs.img");
    Images {
        kernel: boot_file(fields, "kernel").and_then(path),
        initramfs: boot_file(fields, "initramfs").and_then(path),
        rootfs: boot_file(fields, "rootfs").and_then(path),
        metal_image: fields.get("metal_image").and_then(path),
    }
}
