//! The live system that installs a host: its image under real cpio, its config under real Ignition, its reports by a
//! real shell and curl.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ignition::{IGNITION, apply, data_url};
use crate::scripts::{root_with_units, with_keepalived};
use crate::server::Server;
use crate::site::{LIMIT, Site, files, pxe_serve};
use crate::tools::{command, have, run, said};

/// `pxe-serve image`, and the file it wrote.
fn image(site: &Site, arguments: &[&str]) -> PathBuf {
    let out = site.path("host.img");
    let mut image = command(pxe_serve().to_str().unwrap());
    image.current_dir(&site.folder).arg("image").args(arguments).arg("--out").arg(&out);
    let output = run(&image, LIMIT);
    assert!(output.status.success(), "{}", said(&output));
    out
}

#[test]
fn cpio_finds_the_ignition_config_in_an_image_and_nothing_else() {
    if !have(&["cpio", "gzip"], false) {
        return;
    }
    let site = Site::seed();
    let bundle = site.render();
    for (arguments, ignition) in [
        (&["lenovo1-bootstrap"][..], "lenovo1-bootstrap"),
        (&["lenovo1"], "lenovo1-reinstall"),
        (&["--install", "lenovo2"], "install/lenovo2"),
    ] {
        let image = image(&site, arguments);
        let rendered = bundle.join(format!("pxe/initrd/{ignition}.img"));
        assert_eq!(std::fs::read(&image).unwrap(), std::fs::read(rendered).unwrap(), "{arguments:?}");
        let to = tempfile::tempdir().unwrap();
        let script = format!("gzip -dc {} | cpio -i --verbose", image.display());
        let output = run(command("sh").current_dir(&to).args(["-c", &script]), LIMIT);
        // It would complain about an archive that is cut short or not padded.
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).lines().next(),
            Some("config.ign"),
            "{}",
            said(&output)
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 2, "{}", said(&output));
        let config = to.path().join("config.ign");
        let expected = std::fs::read(bundle.join(format!("pxe/ignition/{ignition}.ign"))).unwrap();
        assert_eq!(std::fs::read(&config).unwrap(), expected, "{arguments:?}");
        assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}

#[test]
fn coreos_installer_finds_the_rendered_config_in_every_initrd() {
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/live/coreos-installer");
    let installer = installer.to_str().unwrap();
    if !have(&[installer], false) {
        return;
    }
    let site = Site::seed();
    let bundle = site.render();
    let mut read = 0;
    for folder in ["pxe/initrd", "pxe/initrd/install"] {
        for image in files(&bundle.join(folder)).into_iter().filter(|file| file.is_file()) {
            let output = run(command(installer).args(["pxe", "ignition", "unwrap"]).arg(&image), LIMIT);
            assert!(output.status.success(), "{}: {}", image.display(), said(&output));
            let config =
                image.display().to_string().replace("/initrd/", "/ignition/").replace(".img", ".ign");
            assert!(output.stdout == std::fs::read(&config).unwrap(), "{config}");
            read += 1;
        }
    }
    assert_eq!(read, 10);
}

#[test]
fn an_image_with_a_secret_is_for_its_owner_and_replaces_no_other_file() {
    let site = Site::seed();
    let butane = site.path("mine/butane");
    std::fs::create_dir_all(&butane).unwrap();
    let text = "variant: fcos\nversion: 1.0.0\nstorage:\n  files:\n    - {path: /etc/t, mode: 0600, contents: {inline: {{ secrets.k3s_token }}}}\n";
    std::fs::write(butane.join("lenovo3.bu.j2"), text).unwrap();
    let mode = |name: &str| {
        let image = image(&site, &["--templates", "mine", name]);
        std::fs::metadata(image).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(mode("lenovo2"), 0o644);
    assert_eq!(mode("lenovo3"), 0o600);
    let inventory = std::fs::read(site.path("inventory.yaml")).unwrap();
    let mut over = command(pxe_serve().to_str().unwrap());
    over.current_dir(&site.folder).args(["image", "lenovo2", "--out", "inventory.yaml"]);
    let output = run(&over, LIMIT);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("inventory.yaml is no image, so it stays as it is"), "{}", said(&output));
    assert_eq!(std::fs::read(site.path("inventory.yaml")).unwrap(), inventory);
}

fn ignition(site: &Site, name: &str) -> Value {
    let file = site.render().join(format!("pxe/ignition/{name}.ign"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A script that a config carries, as a file.
fn script(site: &Site, config: &str, path: &str) -> PathBuf {
    let config = ignition(site, config);
    let files = config["storage"]["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == path).unwrap();
    let script = site.path(Path::new(path).file_name().unwrap().to_str().unwrap());
    std::fs::write(&script, data_url(file["contents"]["source"].as_str().unwrap())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// What the live system runs when coreos-installer has ended.
fn report_script(site: &Site) -> PathBuf {
    script(site, "install/lenovo2", "/usr/local/bin/pxe-serve-report")
}

/// What the live system runs before coreos-installer.
fn verify_script(site: &Site) -> PathBuf {
    script(site, "install/lenovo2", "/usr/local/bin/pxe-serve-verify")
}

/// Runs `reporter` with a server where the inventory says that one is, which gives this answer; the exit status, and
/// path and body of what came.
pub fn reported(site: &Site, answer: &str, reporter: &Command) -> (Option<i32>, String, Value) {
    let listener = TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                if count == 0 || body.len() >= length.parse().unwrap() {
                    stream.write_all(answer.as_bytes()).unwrap();
                    assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
                    return (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap());
                }
            }
        }
    });
    let output = run(reporter, Duration::from_secs(30));
    let (request, body) = server.join().unwrap();
    (output.status.code(), request, body)
}

#[test]
fn the_live_system_reports_how_the_installation_ended() {
    if !have(&["curl"], false) {
        return;
    }
    let site = Site::seed();
    let script = report_script(&site);
    let sums = std::fs::read_to_string(site.path("bundle/pxe/SHA256SUMS")).unwrap();
    let digest = sums.lines().find(|line| line.ends_with("  ignition/lenovo2.ign")).unwrap()[..64].to_owned();
    for (result, code, status, event) in
        [("success", "exited", "0", "installed"), ("exit-code", "exited", "1", "install_failed")]
    {
        let mut report = command(script.to_str().unwrap());
        report.env("SERVICE_RESULT", result).env("EXIT_CODE", code).env("EXIT_STATUS", status);
        let (exit, request, body) = reported(&site, "204 No Content", &report);
        assert_eq!((exit, request.as_str()), (Some(0), "POST /pxe/events/lenovo2 HTTP/1.1"));
        let message = format!("coreos-installer: {result} ({code} {status})");
        let expected = json!({"event": event, "config": "lenovo2", "ignition": digest, "message": message});
        assert_eq!(body, expected);
    }
    // The installer's own words, less what would break out of the JSON.
    let journal = "#!/bin/sh\nprintf 'Downloading\\nError: no \\\"such\\\\ disk\\n\\nCaused by:\\n    0: /dev/sdz\\033[1m\\n'\n";
    let journalctl = site.path("journalctl");
    std::fs::write(&journalctl, journal).unwrap();
    std::fs::set_permissions(&journalctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut report = command(script.to_str().unwrap());
    report.env("SERVICE_RESULT", "exit-code").env("EXIT_CODE", "exited").env("EXIT_STATUS", "1");
    let path = format!("{}:{}", site.folder.path().display(), std::env::var("PATH").unwrap());
    let (_, _, body) = reported(&site, "204 No Content", report.env("PATH", path));
    let said = "coreos-installer: exit-code (exited 1): Error: no such disk Caused by: 0: /dev/sdz1m";
    assert_eq!(body["message"], said);
}

/// The folder of a web server that knows nothing of digests, with what was rendered and the images, and the site.
fn published() -> (Site, PathBuf) {
    let site = Site::edited(|text| text + "\nfcos:\n  metal_image: pxe/fcos/metal.raw\n");
    for file in ["fcos/kernel", "fcos/initramfs.img", "fcos/rootfs.img", "fcos/metal.raw", "tftp/ipxe.efi"] {
        let file = site.path("static").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, file.to_str().unwrap()).unwrap();
    }
    let mut publish = command("sh");
    publish.current_dir(&site.folder).arg("-ec").arg(format!(
        "{} render --static static --out bundle && cp -r bundle published && cp -r static/. published/pxe",
        pxe_serve().display()
    ));
    let output = run(&publish, LIMIT);
    assert!(output.status.success(), "{}", said(&output));
    let published = site.path("published");
    (site, published)
}

/// `busybox httpd`, ended by its pid.
struct StaticServer(std::process::Child);

impl StaticServer {
    fn start(site: &Site, folder: &Path) -> StaticServer {
        let address = format!("127.0.0.1:{}", site.port);
        let child = command("busybox").args(["httpd", "-f", "-p", &address, "-h"]).arg(folder).spawn();
        StaticServer(child.unwrap())
    }
}

impl Drop for StaticServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_installed_unless_config_and_image_are_what_was_rendered() {
    if !have(&["curl", "busybox"], false) {
        return;
    }
    let (site, published) = published();
    let config = std::fs::read(site.path("bundle/pxe/ignition/install/lenovo2.ign")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let files = config["storage"]["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == "/usr/local/bin/pxe-serve-verify").unwrap();
    let script = site.path("pxe-serve-verify");
    std::fs::write(&script, data_url(file["contents"]["source"].as_str().unwrap())).unwrap();
    let mut verify = command("sh");
    verify.arg(&script);
    // It begins before its server does.
    let (early, server) = std::thread::scope(|scope| {
        let early = scope.spawn(|| run(&verify, LIMIT));
        std::thread::sleep(Duration::from_secs(1));
        let server = StaticServer::start(&site, &published);
        (early.join().unwrap(), server)
    });
    assert_eq!(early.status.code(), Some(0), "{}", said(&early));
    let url = |path: &str| format!("http://127.0.0.1:{}/pxe/{path}", site.port);
    let both = [("ignition/lenovo2.ign", "sha512sum"), ("fcos/metal.raw", "sha256sum")];
    let verified =
        both.map(|(path, program)| format!("pxe-serve: verified {} by its {program}\n", url(path)));
    assert_eq!(String::from_utf8_lossy(&early.stdout), verified.concat());
    for (path, program) in both {
        let file = published.join("pxe").join(path);
        let right = std::fs::read(&file).unwrap();
        let wrong = [&right[..], b"x"].concat();
        std::fs::write(&file, wrong).unwrap();
        let output = run(&verify, LIMIT);
        assert_eq!(output.status.code(), Some(1), "{path}: {}", said(&output));
        let refusal = format!("Error: {} is not what was rendered: {program} ", url(path));
        assert!(said(&output).contains(&refusal), "{}", said(&output));
        assert!(said(&output).ends_with("; nothing was written to /dev/nvme0n1\n"), "{}", said(&output));
        // The server has it no more, as ours has no bytes any more that an edit replaced and that were not promised.
        std::fs::remove_file(&file).unwrap();
        let output = run(&verify, LIMIT);
        assert_eq!(output.status.code(), Some(1), "{path}: {}", said(&output));
        let refusal = format!("Error: {} is refused: curl: (22) ", url(path));
        assert!(said(&output).contains(&refusal), "{}", said(&output));
        std::fs::write(&file, right).unwrap();
    }
    drop(server);
}

#[test]
fn shellcheck_finds_nothing_in_what_reports() {
    if !have(&["shellcheck"], false) {
        return;
    }
    let site = Site::seed();
    for script in [report_script(&site), verify_script(&site)] {
        let output = run(command("shellcheck").arg(script), LIMIT);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn systemd_finds_nothing_in_what_is_added_to_coreos_installer() {
    if !have(&["systemd-analyze"], false) {
        return;
    }
    let site = with_keepalived("health_check: {run_on: host}");
    let root = root_with_units(&site.render());
    for script in [report_script(&site), verify_script(&site)] {
        let name = script.file_name().unwrap();
        std::fs::copy(&script, root.path().join("usr/local/bin").join(name)).unwrap();
    }
    let units = root.path().join("etc/systemd/system");
    let stand_in = "[Unit]\nDescription=CoreOS Installer\n[Service]\nType=oneshot\nExecStart=/usr/bin/sh\n";
    std::fs::write(units.join("coreos-installer.service"), stand_in).unwrap();
    let config = ignition(&site, "install/lenovo2");
    let dropin = &config["systemd"]["units"][0]["dropins"][0];
    let folder = units.join("coreos-installer.service.d");
    std::fs::create_dir(&folder).unwrap();
    let verify = |text: &str| {
        std::fs::write(folder.join(dropin["name"].as_str().unwrap()), text).unwrap();
        let mut analyze = command("systemd-analyze");
        analyze.arg("verify").arg(format!("--root={}", root.path().display()));
        run(analyze.args(["--man=no", "coreos-installer.service"]), LIMIT)
    };
    let text = dropin["contents"].as_str().unwrap();
    let output = verify(text);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    let line = "ExecStartPre=/usr/local/bin/pxe-serve-verify";
    assert!(text.lines().any(|other| other == line), "{text}");
    let broken = verify(&text.replace("ExecStopPost", "ExecStopAfter"));
    assert!(!broken.stderr.is_empty(), "this check cannot fail");
}

#[test]
fn ignition_sets_up_the_live_system_that_installs() {
    if !have(&[IGNITION, "unshare", "curl", "useradd"], true) {
        return;
    }
    let site = Site::seed();
    let server = Server::start(&site);
    let applied = apply(&server.url("/pxe/ignition/install/lenovo2.ign"));
    assert!(applied.good, "{}", applied.log);
    let read = |path: &str| std::fs::read_to_string(applied.root.join(path)).unwrap();
    let mode = |path: &str| std::fs::metadata(applied.root.join(path)).unwrap().permissions().mode() & 0o7777;
    let installer = read("etc/coreos/installer.d/50-pxe-serve.yaml");
    let value = |key: &str| installer.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    // What the live system would fetch has the hash that it would demand.
    let url = value("ignition-url: ");
    let path = url.strip_prefix(&server.url("")).unwrap();
    let fetched = site.path("fetched.ign");
    std::fs::write(&fetched, server.get(path).1).unwrap();
    let output = run(command("sha512sum").arg(&fetched), LIMIT);
    let sum = String::from_utf8_lossy(&output.stdout)[..128].to_owned();
    assert_eq!(value("ignition-hash: "), format!("sha512-{sum}"));
    assert_eq!(mode("etc/coreos/installer.d/50-pxe-serve.yaml"), 0o600);
    assert_eq!(mode("usr/local/bin/pxe-serve-report"), 0o755);
    assert_eq!(mode("usr/local/bin/pxe-serve-verify"), 0o755);
    let dropin = read("etc/systemd/system/coreos-installer.service.d/50-pxe-serve.conf");
    assert!(dropin.contains("ExecStopPost=-/usr/local/bin/pxe-serve-report"), "{dropin}");
    assert!(Path::new(&applied.root).join("home/core/.ssh/authorized_keys.d/ignition").exists());
}
