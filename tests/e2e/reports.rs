//! What an installed node reports: the rendered scripts under real shells, with real curl.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::installer::reported;
use crate::site::Site;
use crate::tools::{command, have, run, said};

/// Debian's and FCOS' `sh`, and the smallest one there is.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];

/// A node's scripts, with the node's own files in a folder of the test.
struct Node {
    site: Site,
    bin: PathBuf,
}

impl Node {
    fn new() -> Node {
        let site = Site::seed();
        let scripts = site.render().join("pxe/scripts");
        let bin = site.path("node/usr/local/bin");
        for folder in ["usr/local/bin", "etc/rancher/k3s", "etc/rancher/node", "var/lib/pxe-serve"] {
            std::fs::create_dir_all(site.path("node").join(folder)).unwrap();
        }
        let node = Node { bin, site };
        for (script, name) in [
            ("pxe-serve-report-lenovo1-bootstrap.sh", "pxe-serve-report"),
            ("pxe-serve-failed.sh", "pxe-serve-failed"),
        ] {
            let mut text = std::fs::read_to_string(scripts.join(script)).unwrap();
            for folder in ["/etc/rancher/", "/var/lib/", "/usr/local/bin/"] {
                text = text.replace(folder, &format!("{}{folder}", node.site.path("node").display()));
            }
            node.program(name, &text);
        }
        node
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.bin.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.site.path("node").join(name), text).unwrap();
    }

    /// This script under this shell, with the node's own programs first.
    fn run(&self, shell: &[&str], script: &str, arguments: &[&str]) -> Command {
        let mut run = command(shell[0]);
        run.args(&shell[1..]).arg(self.bin.join(script)).args(arguments);
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap());
        run.env("PATH", path);
        run
    }
}

fn have_shells() -> bool {
    have(&["curl", "dash", "bash", "busybox", "awk"], false)
}

#[test]
fn the_installed_node_reports_its_boot_until_it_is_heard_or_nobody_listens() {
    if !have_shells() {
        return;
    }
    let node = Node::new();
    let report = node.run(SHELLS[0], "pxe-serve-report", &["booted"]);
    let (exit, request, body) = reported(&node.site, "204 No Content", &report);
    assert_eq!((exit, request.as_str()), (Some(0), "POST /pxe/events/lenovo1 HTTP/1.1"));
    assert_eq!(body, json!({"event": "booted", "config": "lenovo1-bootstrap"}));
    for is_final in ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"] {
        assert_eq!(reported(&node.site, is_final, &report).0, Some(0), "{is_final}");
    }
    for comes_again in [
        "503 Service Unavailable",
        "403 Forbidden",
        "408 Request Timeout",
        "400 Bad Request",
        "301 Moved Permanently",
    ] {
        assert_eq!(reported(&node.site, comes_again, &report).0, Some(1), "{comes_again}");
    }
    let nobody = run(&report, Duration::from_secs(30));
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(said(&nobody).contains("booted was not taken (000)"), "{}", said(&nobody));
    // The unit leaves this when the report was taken.
    node.write("var/lib/pxe-serve/booted", "");
    let (_, _, body) = reported(&node.site, "204 No Content", &report);
    assert_eq!(body, json!({"event": "booted", "config": "lenovo1-bootstrap", "again": true}));
    let other = node.run(SHELLS[0], "pxe-serve-report", &["k3s_started"]);
    let (_, _, body) = reported(&node.site, "204 No Content", &other);
    assert_eq!(body, json!({"event": "k3s_started", "config": "lenovo1-bootstrap"}));
}

#[test]
fn a_failed_unit_is_reported_with_its_last_lines_and_without_secrets() {
    if !have_shells() {
        return;
    }
    let node = Node::new();
    let token = "0123456789abcdef0123456789abcdef";
    let hash = "ab".repeat(32);
    node.write("etc/rancher/k3s/cluster-token", &format!("K10{hash}::server:{token}\n"));
    node.write("etc/rancher/node/password", "fedcba9876543210\n");
    let lines = [
        format!("oldest {}", "x".repeat(300)),
        format!("curl -H 'Authorization: {token}' and {token}{token}"),
        "node password fedcba9876543210 \"quoted\" \\back\ttab \u{1b}[1mbold\u{202e}".to_owned(),
        "joins with K10deadbeef::server:somebody-elses now".to_owned(),
        "k3s agent --token its-own-token --debug; token=other-token password=pass-word auth_pass vrrp-word"
            .to_owned(),
        "{\"token\":\"json-token\"} failed to validate token: failed to get CA certs".to_owned(),
        format!("hash {hash} differs"),
    ];
    node.write("journal", &lines.join("\n"));
    let journal = node.site.path("node/journal");
    node.program("journalctl", &format!("#!/bin/sh\necho \"$@\" >&2\ncat {}\n", journal.display()));
    for shell in SHELLS {
        let mut failed = node.run(shell, "pxe-serve-failed", &["k3s-install.service"]);
        failed.env("SERVICE_RESULT", "exit-code").env("EXIT_CODE", "exited").env("EXIT_STATUS", "7");
        // What the script runs is run by this shell's programs, too.
        if shell[0] == "busybox" {
            for applet in ["awk", "sed", "tr", "cut"] {
                node.program(applet, &format!("#!/bin/sh\nexec busybox {applet} \"$@\"\n"));
            }
        }
        let (exit, _, body) = reported(&node.site, "204 No Content", &failed);
        assert_eq!((exit, &body["event"]), (Some(0), &json!("step_failed")), "{shell:?}");
        let message = body["message"].as_str().unwrap();
        let said: Vec<&str> = message.lines().collect();
        assert_eq!(
            said,
            [
                "k3s-install.service: exit-code (exited 7)",
                &format!("oldest {}", "x".repeat(193)),
                "curl -H 'Authorization: [hidden]' and [hidden][hidden]",
                "node password [hidden] \"quoted\" \\back tab [1mbold",
                "joins with [hidden] now",
                "k3s agent [hidden] --debug; [hidden] [hidden] [hidden]",
                "{\"[hidden]\"} failed to validate token: failed to get CA certs",
                &lines[6],
            ],
            "{shell:?}"
        );
        // A unit that ended well has nothing to say, and nobody is asked.
        let quiet = run(&node.run(shell, "pxe-serve-failed", &["a.service"]), Duration::from_secs(30));
        assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", self::said(&quiet));
    }
    // Whatever the journal has, what is sent is what the server takes, and the last lines of it.
    let long: Vec<String> = (0..10).map(|n| format!("{n} {}", "\"\\".repeat(3000))).collect();
    node.write("journal", &long.join("\n"));
    let mut failed = node.run(SHELLS[0], "pxe-serve-failed", &["k3s-install.service"]);
    failed.env("SERVICE_RESULT", "timeout");
    let (exit, _, body) = reported(&node.site, "204 No Content", &failed);
    let message = body["message"].as_str().unwrap();
    assert!(exit == Some(0) && (700..=1001).contains(&message.len()), "{}", message.len());
    assert!(
        message.starts_with("k3s-install.service: timeout ( )\n") && message.contains("\n9 "),
        "{message}"
    );
    // Nobody there is no failure of the unit.
    let nobody = run(&failed, Duration::from_secs(30));
    assert!(nobody.status.success(), "{}", said(&nobody));
}
