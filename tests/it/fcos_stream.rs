//! FCOS stream metadata names the images: what then stands in the scripts, and what is said when something is wrong.

use pxe_serve::catalogue::Sha256;
use pxe_serve::load::{Hashing, load_with};
use pxe_serve::report::Severity;
use serde_json::{Value, json};

use crate::site::{INVENTORY, Site, text};

const STREAM: &str = "static/fcos/stable.json";
const X86_64: [&str; 3] = [
    "fedora-coreos-42.20250609.3.0-live-kernel.x86_64",
    "fedora-coreos-42.20250609.3.0-live-initramfs.x86_64.img",
    "fedora-coreos-42.20250609.3.0-live-rootfs.x86_64.img",
];
const AARCH64: [&str; 3] = [
    "fedora-coreos-42.20250609.3.0-live-kernel.aarch64",
    "fedora-coreos-42.20250609.3.0-live-initramfs.aarch64.img",
    "fedora-coreos-42.20250609.3.0-live-rootfs.aarch64.img",
];

/// As the stream of FCOS writes it, with more in it than we read.
fn architecture(names: [&str; 3]) -> Value {
    let files = names.map(|name| {
        let location = format!("https://builds.coreos.fedoraproject.org/prod/42/{name}");
        let sha256 = Sha256::of(b"image").to_string();
        json!({"location": location, "signature": format!("{location}.sig"), "sha256": sha256})
    });
    let [kernel, initramfs, rootfs] = files;
    let pxe = json!({"kernel": kernel, "initramfs": initramfs, "rootfs": rootfs});
    let iso = json!({"disk": {"location": "https://example.net/live.iso", "sha256": ""}});
    let metal = json!({"release": "42.20250609.3.0", "formats": {"iso": iso, "pxe": pxe}});
    json!({"artifacts": {"aws": {"formats": {}}, "metal": metal}, "images": {}})
}

fn both() -> Value {
    let architectures = json!({
        "aarch64": architecture(AARCH64), "s390x": {"artifacts": {}}, "x86_64": architecture(X86_64),
    });
    json!({"stream": "stable", "metadata": {"last-modified": "2025-06-25"}, "architectures": architectures})
}

/// Three servers of x86_64 and a worker of aarch64.
fn without_images(fcos: &str) -> Site {
    let inventory = INVENTORY
        .replace("k3s: {version", &format!("fcos: {{{fcos}}}\nk3s: {{version"))
        .replace("role: worker", "role: worker, arch: aarch64");
    let site = Site::new().file("inventory.yaml", &inventory);
    let site = ["tftp/ipxe.efi", "tftp/ipxe-arm64.efi"].into_iter().fold(site, Site::with_static);
    site.file(STREAM, &both().to_string())
}

fn with_images(fcos: &str) -> Site {
    let names = X86_64.into_iter().chain(AARCH64);
    names.fold(without_images(fcos), |site, name| site.with_static(&format!("fcos/{name}")))
}

const BY_STREAM: &str = "stream: pxe/fcos/stable.json";

#[test]
fn boot_scripts_name_the_files_of_the_stream() {
    let catalogue = with_images(BY_STREAM).clean();
    for (host, [kernel, initramfs, rootfs]) in [("lenovo1", X86_64), ("tower1", AARCH64)] {
        for script in ["install", "live"] {
            let name = if (host, script) == ("lenovo1", "install") { "lenovo1-reinstall" } else { host };
            let script = text(&catalogue, &format!("pxe/ipxe/{name}/{script}.ipxe"));
            let folder = "http://192.168.26.1/pxe/fcos";
            assert!(script.contains(&format!("\nkernel {folder}/{kernel} ")), "{script}");
            assert!(script.contains(&format!("\ninitrd --name main {folder}/{initramfs} ")), "{script}");
            assert!(script.contains(&format!(" coreos.live.rootfs_url={folder}/{rootfs} ")), "{script}");
        }
    }
}

#[test]
fn the_image_that_is_written_to_disk_may_still_be_named() {
    let metal = |name: &str| format!("metal_image: pxe/fcos/{name}");
    let fcos = format!("{BY_STREAM}, {}, aarch64: {{{}}}", metal("x86.raw.xz"), metal("arm.raw.xz"));
    let site = with_images(&fcos).with_static("fcos/x86.raw.xz").with_static("fcos/arm.raw.xz");
    let catalogue = site.clean();
    for (host, image) in [("lenovo2", "x86.raw.xz"), ("tower1", "arm.raw.xz")] {
        let butane = text(&catalogue, &format!("pxe/butane/install/{host}.bu"));
        let digest = Sha256::of(b"image");
        let url = format!("http://192.168.26.1/pxe/fcos/{image}?sha256={digest}");
        for line in [format!("image-url: {url}"), format!("verify {url} \\"), format!("{digest} sha256sum")] {
            assert!(butane.lines().any(|other| other.trim() == line), "{line}: {butane}");
        }
    }
}

#[test]
fn an_image_of_the_stream_that_is_written_to_disk_has_to_be_what_the_stream_says() {
    const IMAGE: &str = "fedora-coreos-42.20250609.3.0-metal.x86_64.raw.xz";
    let published = Sha256::of(b"as it was published");
    let mut stream = both();
    let formats = &mut stream["architectures"]["x86_64"]["artifacts"]["metal"]["formats"];
    let location = format!("https://builds.coreos.fedoraproject.org/prod/42/{IMAGE}");
    formats["raw.xz"] = json!({"disk": {"location": location, "sha256": published.to_string()}});
    // Another one, which nobody asks for, counts for nothing.
    formats["4k.raw.xz"] = json!({"disk": {"location": "https://example.net/4k.raw.xz", "sha256": ""}});
    let site = with_images(&format!("{BY_STREAM}, metal_image: pxe/fcos/{IMAGE}"))
        .file(STREAM, &stream.to_string())
        .with_static(&format!("fcos/{IMAGE}"));
    let loaded = site.load();
    let said = loaded.report.to_text(false);
    let finding = format!("pxe/fcos/{IMAGE}: is not the file that pxe/fcos/stable.json names");
    assert!(said.contains(&finding), "{said}");
    let butane = text(&loaded.generation.unwrap().catalogue, "pxe/butane/install/lenovo2.bu");
    assert!(butane.contains(&format!("{published} sha256sum\n")), "{butane}");
}

#[test]
fn what_nobody_knows_the_digest_of_is_said_to_be_unverified() {
    let fcos = "fcos: {metal_image: pxe/fcos/metal.raw}\nk3s: {version";
    let catalogue = Site::new().inventory("k3s: {version", fcos).clean();
    let butane = text(&catalogue, "pxe/butane/install/lenovo2.bu");
    assert!(butane.contains("# Not verified: http://192.168.26.1/pxe/fcos/metal.raw."), "{butane}");
    assert!(butane.contains("image-url: http://192.168.26.1/pxe/fcos/metal.raw\n"), "{butane}");
}

#[test]
fn a_stream_without_x86_64_is_enough_where_no_host_has_it() {
    let inventory = INVENTORY
        .replace("k3s: {version", &format!("fcos: {{{BY_STREAM}}}\nk3s: {{version"))
        .replace("role: control_plane", "role: control_plane, arch: aarch64");
    let stream = json!({"architectures": {"aarch64": architecture(AARCH64)}}).to_string();
    let site = with_images(BY_STREAM).file("inventory.yaml", &inventory).file(STREAM, &stream);
    assert!(text(&site.clean(), "pxe/ipxe/lenovo1/live.ipxe").contains(AARCH64[0]));
    let site = site.artifact("pxe/configs/mine", "{{ fcos.kernel }}");
    site.error(&["mine.j2", "fcos.kernel"]);
}

#[test]
fn metadata_that_is_not_there_is_one_error_with_a_remedy() {
    let without_a_folder = Site::new()
        .inventory("k3s: {version", &format!("fcos: {{{BY_STREAM}}}\nk3s: {{version"))
        .error(&["fcos.stream: nobody says where pxe/fcos/stable.json is", "start with --static DIR"]);
    let missing = with_images("stream: pxe/fcos/testing.json")
        .error(&["fcos.stream: pxe/fcos/testing.json is not in the --static folder", "put it there"]);
    let outside =
        with_images("stream: fcos/stable.json").error(&["fcos/stable.json is not in the --static folder"]);
    for found in [without_a_folder, missing, outside] {
        assert_eq!(found.matches("error: ").count(), 1, "{found}");
    }
}

/// A change of the good metadata, and what is said.
type Broken = (fn(&mut Value), &'static str);

#[test]
fn metadata_that_is_broken_is_one_error_with_a_remedy() {
    const PXE: &str = "/architectures/x86_64/artifacts/metal/formats/pxe";
    fn set(at: &str, value: Value) -> impl Fn(&mut Value) {
        move |stream| *stream.pointer_mut(&format!("{PXE}{at}")).unwrap() = value.clone()
    }
    fn remove(stream: &mut Value, folder: &str, key: &str) {
        stream.pointer_mut(folder).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    }
    let table: &[Broken] = &[
        (|stream| *stream = json!([]), "is no FCOS stream metadata: "),
        (|stream| *stream = json!({"architectures": "x".repeat(100_000)}), "is no FCOS stream metadata: "),
        (|stream| remove(stream, "", "architectures"), "missing field `architectures`"),
        (|stream| remove(stream, "/architectures", "aarch64"), "has no images for aarch64, which tower1 is"),
        (|stream| remove(stream, "/architectures", "x86_64"), "has no images for x86_64, which lenovo1 is"),
        (|stream| remove(stream, "/architectures/x86_64/artifacts", "metal"), "missing field `metal`"),
        (|stream| remove(stream, "/architectures/x86_64/artifacts/metal/formats", "pxe"), "field `pxe`"),
        (|stream| remove(stream, PXE, "initramfs"), "missing field `initramfs`"),
        (|stream| remove(stream, &format!("{PXE}/rootfs"), "location"), "missing field `location`"),
        (|stream| remove(stream, &format!("{PXE}/rootfs"), "sha256"), "missing field `sha256`"),
        (|stream| set("/kernel/location", json!(7))(stream), "expected a string"),
        (|stream| set("/kernel/location", json!(""))(stream), "names a file that cannot be served"),
        (|stream| set("/kernel/location", json!("https://a/b/"))(stream), "cannot be served"),
        (|stream| set("/kernel/location", json!("https://a/.."))(stream), "cannot be served"),
        (|stream| set("/kernel/location", json!("https://a/b?c"))(stream), "cannot be served"),
        (|stream| set("/kernel/location", json!("https://a/b\nboot"))(stream), "cannot be served"),
        (|stream| set("/kernel/location", json!("x".repeat(255)))(stream), "cannot be served"),
        (|stream| set("/rootfs/sha256", json!("abc"))(stream), "it takes 64 hex digits"),
    ];
    let refuse = |metadata: &str, message: &str| {
        let found = with_images(BY_STREAM).file(STREAM, metadata).error(&[
            "fcos.stream: pxe/fcos/stable.json ",
            message,
            "= help: ",
        ]);
        assert_eq!(found.matches("error: ").count(), 1, "{found}");
        assert!(found.len() < 1_000, "{} bytes", found.len());
    };
    for (change, message) in table {
        let mut stream = both();
        change(&mut stream);
        refuse(&stream.to_string(), message);
    }
    for metadata in ["", "{", "<html>", &"[".repeat(100_000)] {
        refuse(metadata, "is no FCOS stream metadata: ");
    }
}

#[test]
fn metadata_of_more_than_4_mib_is_not_read() {
    let text = both().to_string() + &" ".repeat(4 * 1024 * 1024);
    with_images(BY_STREAM).file(STREAM, &text).error(&[
        "stable.json cannot be read: it is longer than the 4194304 bytes that are read",
        "fetch it again",
    ]);
}

#[test]
fn an_image_that_the_stream_names_and_nobody_downloaded_is_a_warning() {
    let found = without_images(BY_STREAM).warning(&[
        &format!("pxe/fcos/{}: is not in the --static folder", X86_64[2]),
        "download it, by its `location` in pxe/fcos/stable.json",
    ]);
    assert_eq!(found.matches("warning: ").count(), 6, "{found}");
}

#[test]
fn an_image_of_other_bytes_than_the_stream_says_is_a_warning() {
    let site = with_images(BY_STREAM).file(&format!("static/fcos/{}", X86_64[2]), "cut off");
    let (found, expected) = (Sha256::of(b"cut off"), Sha256::of(b"image"));
    let said = site.warning(&[
        &format!("pxe/fcos/{}: is not the file that pxe/fcos/stable.json names", X86_64[2]),
        &format!("sha256 {found} instead of {expected}"),
        "download it again, by its `location` in pxe/fcos/stable.json",
    ]);
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
}

#[test]
fn a_server_says_so_once_it_has_read_the_images() {
    let site = with_images(BY_STREAM).file(&format!("static/fcos/{}", X86_64[2]), "cut off");
    let digests = Default::default();
    let load = || load_with(&site.sources(), &digests, Hashing::Later);
    let first = load();
    assert_eq!(first.report.to_text(false), "");
    assert!(first.inputs.contains(&site.path().join(STREAM)), "an edit of it is noticed");
    first.unfinished.expect("there are images to read").finish();
    let second = load();
    assert_eq!(second.report.worst(), Some(Severity::Warning));
    assert!(second.generation.is_some(), "it is served all the same");
}
