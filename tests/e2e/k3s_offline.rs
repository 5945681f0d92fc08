//! The rendered `k3s-install.sh` fetches k3s from the real server, with real sh, curl and sha256sum, into a
//! `/usr/local/bin` of its own.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::server::Server;
use crate::site::{LIMIT, Site};
use crate::tools::{command, have, run, said};

const BINARY: &str = "#!/bin/sh\necho k3s stand-in\n";
/// Says what k3s' own script would go by.
const SCRIPT: &str = "#!/bin/sh\n\
    echo \"script: $INSTALL_K3S_SKIP_DOWNLOAD $INSTALL_K3S_BIN_DIR $INSTALL_K3S_EXEC $(stat -c %a /usr/local/bin/k3s)\"\n\
    echo \"policy: $INSTALL_K3S_SKIP_SELINUX_RPM start: $INSTALL_K3S_SKIP_START\"\n\
    exec /usr/local/bin/k3s\n";

fn needs() -> bool {
    have(&["unshare", "mount", "curl", "sha256sum", "install"], true)
}

fn offline(binary: &str) -> Site {
    let site = Site::edited(|text| {
        text.replace(
            "  version: v1.37.0+k3s1",
            &format!("  version: v1.37.0+k3s1\n  binary: {binary}\n  install_script: pxe/k3s/install.sh"),
        )
    });
    std::fs::create_dir_all(site.path("static/k3s")).unwrap();
    std::fs::write(site.path("static/k3s/k3s"), BINARY).unwrap();
    std::fs::write(site.path("static/k3s/install.sh"), SCRIPT).unwrap();
    site
}

fn serve(site: &Site) -> Server {
    Server::start_with(site, &["--static", "static"])
}

/// The script as a node has it, which it got before whatever happens next.
fn script(site: &Site, server: &Server) -> std::path::PathBuf {
    let (status, text) = server.get("/pxe/scripts/k3s-install.sh");
    assert_eq!(status, 200);
    std::fs::write(site.path("k3s-install.sh"), text).unwrap();
    site.path("k3s-install.sh")
}

/// Runs it where /usr/local/bin is empty and every unit is active, then lists that folder.
fn install(script: &Path) -> Output {
    let commands = format!(
        "mount -t tmpfs none /usr/local/bin && mount -t tmpfs none /mnt || exit 99\n\
         printf '#!/bin/sh\\necho \"systemctl $*\"\\n' >/mnt/systemctl && chmod 755 /mnt/systemctl\n\
         PATH=/mnt:$PATH sh {} server; status=$?; echo \"installed: $(ls -A /usr/local/bin)\"; exit $status",
        script.display()
    );
    let mut unshare = command("unshare");
    unshare.args(["--mount", "sh", "-c", &commands]).env("no_proxy", "*");
    run(&unshare, Duration::from_secs(60))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn k3s_comes_from_the_router_and_its_own_script_runs_without_downloading() {
    if !needs() {
        return;
    }
    for binary in ["pxe/k3s/k3s", "{x86_64: pxe/k3s/k3s, aarch64: pxe/k3s/k3s-arm64}"] {
        let site = offline(binary);
        let server = serve(&site);
        let output = install(&script(&site, &server));
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        let text = stdout(&output);
        assert!(
            text.contains("script: true /usr/local/bin server 755\npolicy: true start: true\nk3s stand-in\n"),
            "{said}"
        );
        assert!(text.contains("k3s stand-in\nsystemctl start --no-block k3s.service\n"), "{said}");
        assert!(text.ends_with("installed: k3s\n"), "{said}");
    }
}

#[test]
fn a_binary_or_script_other_than_the_one_rendered_is_refused_and_nothing_is_installed() {
    if !needs() {
        return;
    }
    for tampered in ["static/k3s/k3s", "static/k3s/install.sh"] {
        let site = offline("pxe/k3s/k3s");
        let server = serve(&site);
        let script = script(&site, &server);
        std::fs::write(site.path(tampered), "#!/bin/sh\necho tampered\n").unwrap();
        // A static server ignores the query: there only the script's own check is left.
        let text = std::fs::read_to_string(&script).unwrap();
        let unpinned: String = text
            .split("?sha256=")
            .enumerate()
            .map(|(index, part)| if index == 0 { part } else { &part[64..] })
            .collect();
        assert_ne!(text, unpinned);
        std::fs::write(site.path("unpinned.sh"), unpinned).unwrap();
        let output = install(&site.path("unpinned.sh"));
        let said = said(&output);
        assert!(!output.status.success(), "{said}");
        assert!(stdout(&output).contains("FAILED") && !stdout(&output).contains("tampered\n"), "{said}");
        assert!(stdout(&output).ends_with("installed: \n"), "{said}");
        // Ours does not even send it.
        let begin = std::time::Instant::now();
        let output = loop {
            // 503 until it has noticed, and curl tries again for a minute: ask for the answer that stays.
            let url = text.split('\'').find(|part| part.contains(&tampered["static".len()..])).unwrap();
            let path = url.split_once("/pxe/").unwrap().1;
            match server.get(&format!("/pxe/{path}")).0 {
                404 => break install(&script),
                status => assert_eq!(status, 503),
            }
            assert!(begin.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(!output.status.success());
        assert!(stdout(&output).ends_with("installed: \n"), "{}", crate::tools::said(&output));
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_script() {
    if !have(&["shellcheck"], false) {
        return;
    }
    let site = offline("pxe/k3s/k3s");
    let server = serve(&site);
    let output = run(command("shellcheck").arg(script(&site, &server)), Duration::from_secs(30));
    assert!(output.status.success(), "{}", said(&output));
}
