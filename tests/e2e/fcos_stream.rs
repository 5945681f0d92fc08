//! static/fetch-fcos.sh fetches a stream, and its images are what the boot scripts name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::site::{Site, pxe_serve};
use crate::tools::{command, have, run, said};

const LIMIT: Duration = Duration::from_secs(30);
const NAMES: [(&str, &str); 3] = [
    ("kernel", "fedora-coreos-42.1-live-kernel.x86_64"),
    ("initramfs", "fedora-coreos-42.1-live-initramfs.x86_64.img"),
    ("rootfs", "fedora-coreos-42.1-live-rootfs.x86_64.img"),
];

/// A stream and its images, each as big as its name; their SHA-256 as sha256sum(1) says it.
fn publish(origin: &Path) {
    let files = NAMES.map(|(kind, name)| {
        let file = origin.join(name);
        fs::write(&file, name).unwrap();
        let output = run(command("sha256sum").arg(&file), LIMIT);
        let sha256 = String::from_utf8(output.stdout).unwrap()[..64].to_owned();
        format!("\"{kind}\": {{\"location\": \"file://{}\", \"sha256\": \"{sha256}\"}}", file.display())
    });
    let stream = format!(
        "{{\"architectures\": {{\"x86_64\": {{\"artifacts\": {{\"metal\": {{\"formats\": {{\"pxe\": {{{}}}}}}}}}}}}}}}",
        files.join(", ")
    );
    fs::write(origin.join("stable.json"), stream).unwrap();
}

#[test]
fn what_the_shipped_script_fetches_is_what_the_boot_scripts_name() {
    if !have(&["curl", "jq", "sha256sum"], false) {
        return;
    }
    let site = Site::edited(|text| format!("{text}\nfcos: {{stream: pxe/fcos/stable.json}}\n"));
    let origin = tempfile::tempdir().unwrap();
    publish(origin.path());
    let fetch = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/fetch-fcos.sh");
        let mut sh = command("sh");
        sh.env("STREAMS", format!("file://{}", origin.path().display()));
        run(sh.arg(script).arg(site.path("static/fcos")), LIMIT)
    };
    let ask = |arguments: &[&str]| {
        let mut program = command(pxe_serve().to_str().unwrap());
        run(program.current_dir(&site.folder).args(arguments).args(["--static", "static"]), LIMIT)
    };

    let output = fetch();
    assert!(output.status.success(), "{}", said(&output));
    fs::create_dir(site.path("static/tftp")).unwrap();
    fs::write(site.path("static/tftp/ipxe.efi"), "iPXE").unwrap();
    let output = ask(&["check"]);
    assert!(output.status.success(), "{}", said(&output));
    let script = said(&ask(&["show", "pxe/ipxe/lenovo2/install.ipxe"]));
    for (_, name) in NAMES {
        assert!(script.contains(&format!("/pxe/fcos/{name} ")), "{name}: {script}");
    }

    // Other bytes than the stream says: the script stops at them, and so does `check`.
    fs::write(origin.path().join(NAMES[2].1), "cut off").unwrap();
    fs::remove_file(site.path("static/fcos/stable.json")).unwrap();
    let output = fetch();
    assert!(!output.status.success(), "{}", said(&output));
    assert!(!site.path("static/fcos/stable.json").exists(), "metadata in place without its images");
    fs::copy(origin.path().join("stable.json"), site.path("static/fcos/stable.json")).unwrap();
    let output = ask(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let expected = format!("pxe/fcos/{}: is not the file that pxe/fcos/stable.json names", NAMES[2].1);
    assert!(said(&output).contains(&expected), "{}", said(&output));
}
