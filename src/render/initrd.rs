//! A further initrd that carries one file to the live system: `/config.ign`, which Ignition's dracut module
//! (`ignition-setup-user`) takes for the user's config, as `coreos-installer pxe ignition wrap` makes it.
//!
//! cpio "newc" as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst), equal bytes for
//! equal configs, and gzipped: UEFI puts initrds end to end, and the kernel skips an uncompressed archive that does
//! not begin at a multiple of four bytes, so that the machine would come up without its config.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

/// Where the live system looks.
const CONFIG_NAME: &str = "config.ign";
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// A regular file that only root reads: the config may hold a secret.
const CONFIG_MODE: u32 = 0o100_600;
/// cpio's block; what is shorter makes tools warn.
const BLOCK: usize = 512;

/// The image with this Ignition config.
pub fn image(config: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    push_entry(&mut archive, CONFIG_NAME, CONFIG_MODE, config);
    push_entry(&mut archive, TRAILER, 0, b"");
    pad(&mut archive, BLOCK);
    // No name, no time, and an operating system that is always the same: whatever differs would change the digest.
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::fast());
    gzip.write_all(&archive).and_then(|()| gzip.finish()).expect("writing to memory does not fail")
}

/// Owned by root, made at the epoch, on no device: a machine has no use for more.
fn push_entry(archive: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    let size = u32::try_from(data.len()).expect("an Ignition config is far below 4 GiB");
    let name_size = name.len() as u32 + 1;
    let (inode, owner, group, links, time) = (u32::from(mode != 0), 0, 0, 1, 0);
    archive.extend_from_slice(b"070701");
    let devices = [0; 4];
    let checksum = 0;
    let head = [inode, mode, owner, group, links, time, size];
    for field in head.into_iter().chain(devices).chain([name_size, checksum]) {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive, 4);
    archive.extend_from_slice(data);
    pad(archive, 4);
}

fn pad(archive: &mut Vec<u8>, to: usize) {
    archive.resize(archive.len().next_multiple_of(to), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_image_is_an_archive_of_the_config_and_its_end_in_whole_blocks() {
        let mut archive = Vec::new();
        flate2::read::GzDecoder::new(image(b"{\"ignition\":{}}").as_slice())
            .read_to_end(&mut archive)
            .unwrap();
        let text = String::from_utf8(archive.clone()).unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        // Mode, then owner and group; size 15; name of 11 bytes with its NUL; the data begins at a multiple of four.
        assert!(text.starts_with("07070100000001000081800000000000000000"), "{text:?}");
        assert_eq!(&text[54..62], "0000000f");
        assert_eq!(&text[94..102], "0000000b");
        assert_eq!(&text[110..139], "config.ign\0\0\0\0{\"ignition\":{}}");
        assert_eq!(text[140..].find(TRAILER), Some(110));
    }

    #[test]
    fn equal_configs_give_equal_images_and_others_do_not() {
        assert_eq!(image(b"{}"), image(b"{}"));
        assert_ne!(image(b"{}"), image(b"{ }"));
    }
}
