//! The files of `--static` in a load: their digests, computed once, and what is said about them.

use std::fs;

use pxe_serve::catalogue::{SHA256SUMS_PATH, Sha256};
use pxe_serve::load::{Hashing, load_with};
use serde_json::{Value, json};

use crate::serving::Served;
use crate::site::{Site, text};

const CACHE: &str = "static/.pxe-serve-digests.json";

/// printf image | sha256sum
const IMAGE: &str = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d";

fn with_images() -> Site {
    images(Site::new())
}

fn images(site: Site) -> Site {
    ["fcos/kernel", "fcos/initramfs.img", "fcos/rootfs.img", "tftp/ipxe.efi"]
        .into_iter()
        .fold(site, Site::with_static)
}

fn static_files(manifest: &str) -> Value {
    serde_json::from_str::<Value>(manifest).unwrap()["static_files"].take()
}

fn manifest(site: &Site) -> Value {
    static_files(&text(&site.clean(), "pxe/manifest.json"))
}

#[test]
fn the_manifest_lists_them_with_size_and_digest_and_the_sums_leave_them_out() {
    let site = with_images();
    let entry = |name: &str| json!({"path": format!("pxe/{name}"), "size": 5, "sha256": IMAGE});
    let names = ["fcos/initramfs.img", "fcos/kernel", "fcos/rootfs.img", "tftp/ipxe.efi"];
    assert_eq!(manifest(&site), json!(names.map(entry)));
    assert!(!text(&site.clean(), SHA256SUMS_PATH).contains("fcos"), "a bundle does not have them");
}

#[test]
fn what_was_read_once_is_not_read_again_until_the_file_changes() {
    let site = with_images();
    manifest(&site);
    // A digest that nobody would compute shows that it was taken from there.
    let cache = site.path().join(CACHE);
    let marked = fs::read_to_string(&cache).unwrap().replace(IMAGE, &"5".repeat(64));
    fs::write(&cache, marked).unwrap();
    let digests = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|entry| entry["sha256"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(digests(&manifest(&site)), vec!["5".repeat(64); 4]);
    // In place, of the same size; and replaced, with the time of modification of the old one.
    fs::write(site.path().join("static/fcos/kernel"), "IMAGE").unwrap();
    let rootfs = site.path().join("static/fcos/rootfs.img");
    let modified = fs::metadata(&rootfs).unwrap().modified().unwrap();
    fs::write(site.path().join("new"), "Image").unwrap();
    fs::File::options().write(true).open(site.path().join("new")).unwrap().set_modified(modified).unwrap();
    fs::rename(site.path().join("new"), &rootfs).unwrap();
    let expected = [Sha256::of(b"IMAGE").to_string(), Sha256::of(b"Image").to_string()];
    assert_eq!(digests(&manifest(&site))[0], "5".repeat(64));
    assert_eq!(digests(&manifest(&site))[1..3], expected);
}

#[test]
fn a_cache_that_is_damaged_or_cannot_be_written_changes_nothing_but_the_time() {
    let site = with_images();
    for text in ["", "{", "[]", "{\"files\":{\"fcos/kernel\":{\"sha256\":\"5\"}}}"] {
        fs::write(site.path().join(CACHE), text).unwrap();
        assert_eq!(manifest(&site)[1]["sha256"], IMAGE, "{text}");
    }
    fs::remove_file(site.path().join(CACHE)).unwrap();
    // A folder in its place: not even root can write it.
    fs::create_dir(site.path().join(CACHE)).unwrap();
    assert_eq!(manifest(&site)[1]["sha256"], IMAGE);
}

#[test]
fn a_server_begins_with_what_is_known_and_has_the_rest_when_that_is_read() {
    let site = with_images();
    let digests = Default::default();
    let load = || load_with(&site.sources(), &digests, Hashing::Later);
    let first = load();
    let catalogue = first.generation.unwrap().catalogue;
    assert_eq!(static_files(&text(&catalogue, "pxe/manifest.json"))[0]["sha256"], Value::Null);
    first.unfinished.expect("there is something to read").finish();
    let second = load();
    assert!(second.unfinished.is_none());
    let catalogue = second.generation.unwrap().catalogue;
    assert_eq!(static_files(&text(&catalogue, "pxe/manifest.json"))[0]["sha256"], IMAGE);
}

#[test]
fn serve_reads_the_images_beside_and_loads_again_by_itself() {
    let site = with_images();
    // Nothing is written to the folder that inotify could tell of.
    fs::create_dir(site.path().join(CACHE)).unwrap();
    let served = Served::start(&site.sources(), &[]);
    let begin = std::time::Instant::now();
    loop {
        let answer = served.get("/pxe/manifest.json");
        let files = static_files(std::str::from_utf8(&answer.body).unwrap());
        if files.as_array().unwrap().iter().all(|file| file["sha256"] == IMAGE) {
            break;
        }
        assert!(begin.elapsed().as_secs() < 20, "{files}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pinned = served.get(&format!("/pxe/fcos/rootfs.img?sha256={IMAGE}"));
    assert_eq!((pinned.status, pinned.body.as_slice()), (200, b"image".as_slice()));
    assert_eq!(served.get("/pxe/.pxe-serve-digests.json").status, 400, "hidden files are no paths");
}

/// The site with `keys` in `k3s:`.
fn with_k3s(keys: &str) -> Site {
    Site::new().inventory("k3s: {version", &format!("k3s: {{{keys}, version"))
}

const OFFLINE: &str = "binary: pxe/k3s/k3s, install_script: pxe/k3s/install.sh";

#[test]
fn k3s_from_the_router_needs_both_files_and_their_digests() {
    with_k3s("binary: pxe/k3s/k3s").error(&["k3s.binary: comes without k3s.install_script", "get.k3s.io"]);
    with_k3s("install_script: pxe/k3s/install.sh").error(&["k3s.install_script: comes without k3s.binary"]);
    with_k3s(OFFLINE).error(&["k3s.binary: nobody says where this file is", "--static DIR"]);
    let missing = with_k3s(OFFLINE).with_static("k3s/k3s");
    missing
        .error(&["k3s.install_script: is not in the --static folder", "leave binary and install_script out"]);
    with_k3s("binary: {aarch64: pxe/k3s/k3s}, install_script: pxe/k3s/install.sh")
        .error(&["k3s.binary: there is none for lenovo1, which is x86_64"]);
    with_k3s("binary: {amd64: pxe/k3s/k3s}, install_script: pxe/k3s/install.sh").error(&["k3s.binary.amd64"]);
    let catalogue = images(with_k3s(OFFLINE)).with_static("k3s/k3s").with_static("k3s/install.sh").clean();
    let script = text(&catalogue, "pxe/scripts/k3s-install.sh");
    assert!(script.contains(&format!("http://192.168.26.1/pxe/k3s/k3s?sha256={IMAGE}")), "{script}");
    assert!(!script.contains("get.k3s.io"), "{script}");
}

#[test]
fn keepaliveds_image_from_the_router_needs_its_digest() {
    let with = |archive: &str| {
        let from = "keepalived: {";
        assert!(crate::site::INVENTORY.contains(from));
        let inventory = crate::site::INVENTORY.replace(from, &format!("{from}image_archive: {archive}, "));
        images(Site::new().file("inventory.yaml", &inventory))
    };
    with("pxe/keepalived.tar").error(&[
        "keepalived.image_archive: is not in the --static folder",
        "podman save",
        "leave image_archive out",
    ]);
    let catalogue = with("pxe/keepalived.tar").with_static("keepalived.tar").clean();
    let script = text(&catalogue, "pxe/scripts/keepalived-image.sh");
    assert!(script.contains(&format!("http://192.168.26.1/pxe/keepalived.tar?sha256={IMAGE}")), "{script}");
    assert!(!script.contains("podman pull"), "{script}");
    for unit in ["pxe/configs/keepalived.service", "pxe/configs/keepalived.container"] {
        let name = format!("localhost/pxe-serve/keepalived:{}", &IMAGE[..16]);
        assert!(text(&catalogue, unit).contains(&name), "{unit}");
    }
}

#[test]
fn two_architectures_need_two_binaries() {
    let both = |binary: &str| {
        let from = "mac: 52:54:00:aa:00:04, role: worker";
        let inventory = crate::site::INVENTORY
            .replace(from, &format!("{from}, arch: aarch64"))
            .replace("k3s: {version", &format!("k3s: {{binary: {binary}, install_script: pxe/k3s/i.sh, version"))
            // Files that are there; nobody starts them.
            .replace("hosts:", "fcos: {aarch64: {kernel: pxe/fcos/kernel, initramfs: pxe/fcos/initramfs.img, rootfs: pxe/fcos/rootfs.img}}\nhosts:");
        let site = images(Site::new().file("inventory.yaml", &inventory)).with_static("tftp/ipxe-arm64.efi");
        ["k3s", "k3s-arm64", "i.sh"]
            .into_iter()
            .fold(site, |site, name| site.with_static(&format!("k3s/{name}")))
    };
    both("pxe/k3s/k3s").error(&["k3s.binary: there is none for tower1, which is aarch64"]);
    let catalogue = both("{x86_64: pxe/k3s/k3s, aarch64: pxe/k3s/k3s-arm64}").clean();
    let script = text(&catalogue, "pxe/scripts/k3s-install.sh");
    assert!(script.contains("x86_64)\n") && script.contains("aarch64)\n"), "{script}");
}

#[test]
fn a_server_reads_k3s_before_it_begins() {
    let site = images(with_k3s(OFFLINE)).with_static("k3s/k3s").with_static("k3s/install.sh");
    let first = load_with(&site.sources(), &Default::default(), Hashing::Later);
    assert_eq!(first.report.to_text(false), "");
    assert!(first.unfinished.is_some(), "the image is for later");
}
