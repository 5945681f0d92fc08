//! The rendered `keepalived-image.sh`: the image comes from a registry or, checked, from the real server, and then keepalived
//! is started. podman and systemd are stubs that write down how they are called; `podman load` prints what podman 5 does.

use std::process::Output;
use std::time::Duration;

use crate::server::Server;
use crate::site::Site;
use crate::tools::{command, have, run, said};

const ARCHIVE: &str = "what podman save wrote";

fn needs() -> bool {
    have(&["unshare", "mount", "curl", "sha256sum"], true)
}

/// Runs it where `podman` ends as `podman` says (a shell command that knows "$@"); the calls come out, one a line.
fn get_image(script: &std::path::Path, podman: &str) -> Output {
    let commands = format!(
        "mount -t tmpfs none /mnt || exit 99\n\
         printf '%s\\n' '#!/bin/sh' 'echo \"systemctl $*\"' >/mnt/systemctl\n\
         cat >/mnt/podman <<'STUB'\n#!/bin/sh\necho \"podman $*\" >&2\n{podman}\nSTUB\n\
         chmod 755 /mnt/*; PATH=/mnt:$PATH exec sh {}",
        script.display()
    );
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &commands]).env("no_proxy", "*");
    run(&unshare, Duration::from_secs(60))
}

const STARTED: &str = "systemctl start --no-block keepalived.service";

#[test]
fn an_image_that_is_there_is_not_fetched_and_one_of_a_registry_is_pulled() {
    if !needs() {
        return;
    }
    let site = Site::seed();
    let script = site.render().join("pxe/scripts/keepalived-image.sh");
    let pull = "podman pull --quiet docker.io/osixia/keepalived:2.0.20";
    // What podman does; the exit status, whether it pulls, and whether keepalived is started, which has started by itself
    // where the image was there.
    let cases = [
        ("exit 0", true, false, false),
        ("[ $1 != image ]", true, true, true),
        ("exit 1", false, true, false),
    ];
    for (podman, good, pulls, starts) in cases {
        let output = get_image(&script, podman);
        let said = said(&output);
        assert_eq!(output.status.success(), good, "{podman}: {said}");
        assert_eq!(said.contains(pull), pulls, "{podman}: {said}");
        assert_eq!(said.contains(STARTED), starts, "{podman}: {said}");
    }
}

#[test]
fn an_image_of_the_router_is_checked_loaded_and_run_by_a_name_that_no_registry_has() {
    if !needs() {
        return;
    }
    let site = Site::edited(|text| {
        text.replace(
            "  virtual_router_id: 26 ",
            "  image_archive: pxe/keepalived.tar\n  virtual_router_id: 26 ",
        )
    });
    std::fs::create_dir(site.path("static")).unwrap();
    std::fs::write(site.path("static/keepalived.tar"), ARCHIVE).unwrap();
    let server = Server::start_with(&site, &["--static", "static"]);
    let get = |path: &str| {
        let (status, bytes) = server.get(path);
        assert_eq!(status, 200, "{path}");
        String::from_utf8(bytes).unwrap()
    };
    let script = get("/pxe/scripts/keepalived-image.sh");
    let local = script.lines().find_map(|line| line.strip_prefix("image='")).unwrap().trim_end_matches('\'');
    assert!(local.starts_with("localhost/pxe-serve/keepalived:"), "{local}");
    for unit in ["keepalived.service", "keepalived.container"] {
        let unit = get(&format!("/pxe/configs/{unit}"));
        assert!(unit.contains(&format!("image exists {local}")) && !unit.contains("docker.io"), "{unit}");
    }
    let file = site.path("keepalived-image.sh");
    std::fs::write(&file, &script).unwrap();
    let podman = format!(
        "case $1 in image) exit 1 ;; load) [ \"$(cat \"$4\")\" = '{ARCHIVE}' ] || exit 7; echo 'Loaded image: docker.io/osixia/keepalived:2.0.20' ;; esac"
    );
    let output = get_image(&file, &podman);
    assert!(output.status.success(), "{}", said(&output));
    let tagged = format!("podman tag docker.io/osixia/keepalived:2.0.20 {local}\n");
    assert!(said(&output).contains(&tagged) && said(&output).contains(STARTED), "{}", said(&output));
    // What podman does not take is not started, and what is not the archive is not given to podman.
    let refused = get_image(&file, "case $1 in image) exit 1 ;; load) exit 125 ;; esac");
    assert!(!refused.status.success() && !said(&refused).contains(STARTED), "{}", said(&refused));
    let (begin, _) = script.split_once("echo \"").unwrap();
    let other =
        script.replacen(&script[begin.len()..begin.len() + 70], &format!("echo \"{}", "0".repeat(64)), 1);
    assert_ne!(other, script);
    std::fs::write(&file, other).unwrap();
    let tampered = get_image(&file, &podman);
    assert!(said(&tampered).contains("FAILED"), "{}", said(&tampered));
    assert!(!tampered.status.success() && !said(&tampered).contains("podman load"), "{}", said(&tampered));
}
