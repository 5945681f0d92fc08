//! Real Ignition reads every config, and applies one from the running server to a folder, as a first boot would.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use sha2::Digest as _;

use crate::server::Server;
use crate::site::{Site, files};
use crate::tools::{command, have, run, said};

pub const IGNITION: &str = "/usr/lib/dracut/modules.d/30ignition/ignition";

/// What a stage of Ignition said, and whether it went well.
pub struct Applied {
    pub good: bool,
    pub log: String,
    pub root: PathBuf,
    // Every folder above the root must be open: Ignition writes SSH keys as the user they are for.
    _folder: tempfile::TempDir,
}

/// Runs Ignition's stages fetch and files against `root`, with the kernel command line a real boot would have.
pub fn apply(url: &str) -> Applied {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path();
    std::fs::set_permissions(work, std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = work.join("root");
    for directory in ["etc/selinux", "home", "bin"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    // Debian's build always relabels at the end, and runs the real useradd, which wants its files.
    std::fs::write(root.join("etc/selinux/config"), "SELINUXTYPE=targeted\n").unwrap();
    for file in ["passwd", "group", "shadow", "gshadow"] {
        std::fs::write(root.join("etc").join(file), "").unwrap();
    }
    std::fs::create_dir(work.join("bin")).unwrap();
    std::fs::write(work.join("bin/setfiles"), "#!/bin/sh\ncat >/dev/null\n").unwrap();
    std::fs::set_permissions(work.join("bin/setfiles"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = format!("ignition.firstboot ignition.platform.id=metal ignition.config.url={url}\n");
    std::fs::write(work.join("cmdline"), arguments).unwrap();
    let script = format!(
        "PATH={work}/bin:$PATH; mount --bind {work}/cmdline /proc/cmdline || exit 97\n\
         for stage in fetch files; do\n\
           {IGNITION} --root {root} --platform metal --stage $stage --config-cache {work}/ignition.json \
             --state-file {work}/state --neednet {work}/neednet --log-to-stdout || exit 1\n\
         done",
        work = work.display(),
        root = root.display()
    );
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let output = run(&unshare, Duration::from_secs(60));
    Applied { good: output.status.success(), log: said(&output), root, _folder: folder }
}

fn config(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Path on the node → mode and SHA-512, as an Ignition config promises them.
pub fn promised_files(config: &Value) -> BTreeMap<String, (u32, String)> {
    let files = config["storage"]["files"].as_array().unwrap();
    let promise = |file: &Value| {
        let hash = match file["contents"]["verification"]["hash"].as_str() {
            Some(hash) => hash.strip_prefix("sha512-").unwrap().to_owned(),
            None => hex(&sha2::Sha512::digest(data_url(file["contents"]["source"].as_str().unwrap()))),
        };
        (file["path"].as_str().unwrap().to_owned(), (file["mode"].as_u64().unwrap() as u32, hash))
    };
    files.iter().map(promise).collect()
}

pub fn data_url(url: &str) -> Vec<u8> {
    use std::io::Read as _;
    let bytes: Vec<u8> = match url.strip_prefix("data:;base64,") {
        Some(body) => base64::engine::general_purpose::STANDARD.decode(body).unwrap(),
        None => percent_encoding::percent_decode_str(url.strip_prefix("data:,").unwrap()).collect(),
    };
    // Butane compresses where that is shorter; no file of ours begins so.
    if !bytes.starts_with(b"\x1f\x8b") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
    plain
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// That every promised file is on the node as promised.
pub fn assert_applied(config: &Value, root: &Path) {
    let promised = promised_files(config);
    assert!(promised.len() >= 5, "{promised:?}");
    for (path, (mode, hash)) in promised {
        let on_node = root.join(path.trim_start_matches('/'));
        let bytes = std::fs::read(&on_node).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(hex(&sha2::Sha512::digest(&bytes)), hash, "{path}");
        assert_eq!(std::fs::metadata(&on_node).unwrap().permissions().mode() & 0o7777, mode, "{path}");
    }
    let preset = std::fs::read_to_string(root.join("etc/systemd/system-preset/20-ignition.preset")).unwrap();
    for unit in config["systemd"]["units"].as_array().unwrap() {
        if unit["enabled"] == true {
            let line = format!("enable {}", unit["name"].as_str().unwrap());
            assert!(preset.lines().any(|preset| preset == line), "{line} is not in {preset}");
        }
    }
}

#[test]
fn ignition_validates_every_config() {
    if !have(&["ignition-validate"], false) {
        return;
    }
    let site = Site::seed();
    let folder = site.render().join("pxe/ignition");
    let mut configs = files(&folder);
    configs.retain(|path| path.is_file());
    configs.extend(files(&folder.join("install")));
    assert_eq!(configs.len(), 10, "{configs:?}");
    for file in configs {
        let output = run(command("ignition-validate").arg(&file), Duration::from_secs(20));
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", file.display(), said(&output));
    }
}

#[test]
fn ignition_applies_a_reinstall_from_the_running_server() {
    if !have(&[IGNITION, "unshare", "curl", "useradd"], true) {
        return;
    }
    let site = Site::seed();
    let server = Server::start(&site);
    for name in ["lenovo1-reinstall", "lenovo1-bootstrap", "lenovo2"] {
        let (status, body) = server.get(&format!("/pxe/ignition/{name}.ign"));
        assert_eq!(status, 200);
        let applied = apply(&server.url(&format!("/pxe/ignition/{name}.ign")));
        assert!(applied.good, "{name}: {}", applied.log);
        let config = config(&body);
        assert_applied(&config, &applied.root);
        let keys =
            std::fs::read_to_string(applied.root.join("home/core/.ssh/authorized_keys.d/ignition")).unwrap();
        assert!(keys.starts_with("ssh-ed25519 "), "{keys}");
        assert_eq!(std::fs::read_to_string(applied.root.join("etc/hostname")).unwrap().trim(), &name[..7]);
        assert_units_enabled(&applied.root);
    }
}

/// systemd itself turns the presets into links, as on the first boot.
fn assert_units_enabled(root: &Path) {
    if !have(&["systemctl"], false) {
        return;
    }
    for unit in ["keepalived.service", "k3s-install.service", "selinux-context.service"] {
        let output =
            run(command("systemctl").arg("--root").arg(root).args(["preset", unit]), Duration::from_secs(20));
        assert!(output.status.success(), "{unit}: {}", said(&output));
        let link = root.join("etc/systemd/system/multi-user.target.wants").join(unit);
        assert!(std::fs::symlink_metadata(&link).is_ok(), "{unit} is not enabled: {}", said(&output));
    }
}

#[test]
fn ignition_installs_the_quadlet_when_the_inventory_says_so() {
    if !have(&[IGNITION, "unshare", "curl", "useradd"], true) {
        return;
    }
    let site = Site::edited(|text| {
        text.replace("  virtual_router_id: 26 ", "  install: quadlet\n  virtual_router_id: 26 ")
    });
    let server = Server::start(&site);
    let applied = apply(&server.url("/pxe/ignition/lenovo2.ign"));
    assert!(applied.good, "{}", applied.log);
    assert!(applied.root.join("etc/containers/systemd/keepalived.container").exists());
    assert!(!applied.root.join("etc/systemd/system/keepalived.service").exists());
}

#[test]
fn a_wrong_hash_stops_the_boot_and_writes_nothing() {
    if !have(&[IGNITION, "unshare", "curl", "useradd"], true) {
        return;
    }
    let site = Site::seed();
    let server = Server::start(&site);
    let (_, body) = server.get("/pxe/ignition/lenovo2.ign");
    let mut config = config(&body);
    let file = &mut config["storage"]["files"][1];
    let path = file["path"].as_str().unwrap().to_owned();
    file["contents"]["verification"]["hash"] = format!("sha512-{}", "0".repeat(128)).into();
    let tampered = site.path("static");
    std::fs::create_dir(&tampered).unwrap();
    std::fs::write(tampered.join("tampered.ign"), config.to_string()).unwrap();
    let folder = site.path("static");
    let files = crate::static_server::Nginx::start(&folder);
    let applied = apply(&files.url("/tampered.ign"));
    assert!(!applied.good, "{}", applied.log);
    assert!(applied.log.contains("hash verification failed"), "{}", applied.log);
    assert!(!applied.root.join(path.trim_start_matches('/')).exists());
}

#[test]
fn a_boot_keeps_its_generation_when_the_inventory_changes_meanwhile() {
    if !have(&[IGNITION, "unshare", "curl", "useradd"], true) {
        return;
    }
    let site = Site::seed();
    let server = Server::start(&site);
    // What the installer stored: the config of before the edit, with its URLs.
    let (_, stored) = server.get("/pxe/ignition/lenovo2.ign");
    let folder = site.path("static");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("stored.ign"), &stored).unwrap();
    let (_, before) = server.get("/pxe/configs/keepalived-lenovo2.conf");
    let inventory = site.path("inventory.yaml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    std::fs::write(&inventory, text.replace("virtual_router_id: 26 ", "virtual_router_id: 27 ")).unwrap();
    let begin = std::time::Instant::now();
    while server.get("/pxe/configs/keepalived-lenovo2.conf").1 == before {
        assert!(begin.elapsed() < Duration::from_secs(20), "the edit is not served");
        std::thread::sleep(Duration::from_millis(50));
    }
    let files = crate::static_server::Nginx::start(&folder);
    let applied = apply(&files.url("/stored.ign"));
    assert!(applied.good, "{}", applied.log);
    assert_applied(&config(&stored), &applied.root);
    assert_eq!(std::fs::read(applied.root.join("etc/keepalived/keepalived.conf")).unwrap(), before);
}
