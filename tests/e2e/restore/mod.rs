//! A cluster that was lost comes back: the rendered scripts and the real server, with a k3s that stands in. What the stand-in
//! claims of k3s stands in `k3s.sh`, with its sources; a real k3s has not run this.

mod lab;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::namespace::Process;
use crate::scripts::root_with_units;
use crate::site::{LIMIT, Site};
use crate::tools::{command, have, run, said};
use lab::{Lab, Node};

fn content(lab: &Lab, data: &str) -> String {
    let token = std::fs::read_to_string(lab.site.path("secrets/k3s-token")).unwrap();
    format!("encrypted with {}\n{data}\nend\n", token.trim())
}

/// A server that puts its snapshots on the router, freshly installed.
fn server(lab: &Lab, number: u8) -> Node {
    let node = lab.node(number);
    node.fetch(
        &format!("pxe/scripts/pxe-serve-snapshot-lenovo{number}.sh"),
        "usr/local/bin/pxe-serve-snapshot",
    );
    node
}

/// The bootstrap host, installed to be restored.
fn restored(lab: &Lab) -> Node {
    let node = lab.node(1);
    node.fetch("pxe/configs/k3s-config-lenovo1-restore.yaml", "etc/rancher/k3s/config.yaml");
    node.fetch("pxe/scripts/pxe-serve-restore.sh", "usr/local/bin/pxe-serve-restore");
    node.reports("installed", "lenovo1-restore");
    node
}

#[test]
fn three_servers_are_lost_and_their_cluster_comes_back_from_the_newest_snapshot() {
    let Some(lab) = Lab::new("  phase: reinstall\n  snapshots: router") else { return };
    for (number, taken) in [(1, 1_764_028_800), (2, 1_764_072_000), (3, 1_764_028_801)] {
        let node = server(&lab, number);
        let none = node.run("pxe-serve-snapshot", &[]);
        assert!(none.status.success() && said(&none).contains("no finished snapshot yet"), "{}", said(&none));
        let name = format!("etcd-snapshot-lenovo{number}-{taken}");
        node.takes_snapshot(&name, &content(&lab, &format!("as of {taken}")));
        // What k3s is at: a download, and a zip beside what it is made of, with a name that sorts last.
        node.takes_snapshot(&format!("{name}9.part"), "half");
        node.takes_snapshot(&format!("{name}.zip"), "half");
        for words in ["is on the router\n", "is on the router already\n"] {
            let output = node.run("pxe-serve-snapshot", &[]);
            assert!(output.status.success() && said(&output).contains(words), "{}", said(&output));
        }
        let kept = lab.kept(&format!("lenovo{number}"));
        assert!(
            kept.len() == 1 && kept[0].starts_with(&format!("{name}.")) && kept[0].len() == name.len() + 65
        );
    }
    let list = said(&lab.operator(&["snapshots"]));
    assert!(
        list.contains("etcd-snapshot-lenovo2-1764072000") && list.contains("Snapshots: the newest"),
        "{list}"
    );

    // All three are lost.
    lab.edit("  phase: restore\n  snapshots: router");
    let armed = lab.operator(&["arm", "lenovo1"]);
    assert!(said(&armed).contains("install lenovo1-restore"), "{}", said(&armed));
    let first = restored(&lab);
    let output = first.run("pxe-serve-restore", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("restored from lenovo2/etcd-snapshot-lenovo2-1764072000"));
    assert!(first.path("var/lib/pxe-serve/k3s-restored").exists());
    assert!(!first.path("var/lib/pxe-serve/restore").exists(), "no copy of all secrets stays");
    let before = first.said_to_k3s();
    // Again before each start, and nothing to do.
    assert!(first.run("pxe-serve-restore", &[]).status.success());
    assert_eq!(first.said_to_k3s(), before);
    assert_eq!(first.run("k3s", &["server"]).status.code(), Some(0));
    assert_eq!(first.data().unwrap(), content(&lab, "as of 1764072000"));
    first.reports("joined", "lenovo1-restore");
    let (status, why) = first.ask(&["http://192.168.26.1/pxe/snapshots/newest"]);
    assert_eq!(status, 403, "{why}");

    for number in [2, 3] {
        let node = lab.node(number);
        node.fetch(&format!("pxe/configs/k3s-config-lenovo{number}.yaml"), "etc/rancher/k3s/config.yaml");
        assert_eq!(node.run("k3s", &["server"]).status.code(), Some(0));
        assert_eq!(node.data(), first.data(), "it joins the first by its address");
    }
    let armed = said(&lab.operator(&["arm", "lenovo1"]));
    assert!(armed.contains("install lenovo1-reinstall") && armed.contains("restored before"), "{armed}");
}

#[test]
fn a_snapshot_that_is_not_what_it_should_be_is_not_restored_and_nothing_starts_empty() {
    let Some(lab) = Lab::new("  phase: reinstall\n  snapshots: router") else { return };
    let name = "etcd-snapshot-lenovo2-1764072000";
    let node = server(&lab, 2);
    node.takes_snapshot(name, &content(&lab, "data"));
    assert!(node.run("pxe-serve-snapshot", &[]).status.success());
    let file = lab.kept("lenovo2").remove(0);
    let sha256 = file.rsplit('.').next().unwrap();
    let kept = lab.site.path("state/snapshots/lenovo2").join(&file);

    lab.edit(&format!("  phase: restore\n  restore: {{snapshot: lenovo2/{name}, sha256: {sha256}}}"));
    let first = restored(&lab);
    let good = std::fs::read(&kept).unwrap();
    let fails = |why: &str| {
        let output = first.run("pxe-serve-restore", &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
        assert!(!first.path("var/lib/pxe-serve/k3s-restored").exists());
        let reports = std::fs::read_to_string(first.path("reports")).unwrap();
        assert!(reports.contains("step_failed restore: ") && reports.contains(why), "{reports}");
    };
    std::fs::write(&kept, "tampered").unwrap();
    fails("is not what its SHA-256");
    assert_eq!(first.said_to_k3s(), "", "k3s has not seen it");
    std::fs::write(&kept, good).unwrap();
    // Whose token is another one than the cluster's was.
    let token = first.path("etc/rancher/k3s/cluster-token");
    let right = std::fs::read(&token).unwrap();
    std::fs::write(&token, "another-token-of-16-characters").unwrap();
    fails("k3s could not restore");
    assert_eq!(first.data(), None);
    std::fs::write(&token, right).unwrap();
    let output = first.run("pxe-serve-restore", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(first.data().unwrap(), content(&lab, "data"));
}

#[test]
fn shellcheck_and_systemd_find_nothing_in_what_keeps_and_restores_snapshots() {
    use std::os::unix::fs::PermissionsExt as _;
    if !have(&["shellcheck", "systemd-analyze"], false) {
        return;
    }
    let site = Site::edited(|text| {
        // What the root of the other units needs.
        let host = "  health_check: {run_on: host}\n  virtual_router_id: 26 ";
        let text = text.replace("  virtual_router_id: 26 ", host);
        lab::with(&text, "  phase: restore\n  snapshots: router")
    });
    let bundle = site.render();
    for script in ["pxe-serve-snapshot-lenovo1.sh", "pxe-serve-restore.sh"] {
        let output = run(command("shellcheck").arg(bundle.join("pxe/scripts").join(script)), LIMIT);
        assert!(output.status.success(), "{}", said(&output));
    }
    let root = root_with_units(&bundle);
    let units = root.path().join("etc/systemd/system");
    for program in ["pxe-serve-snapshot", "pxe-serve-restore", "k3s"] {
        let file = root.path().join("usr/local/bin").join(program);
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::create_dir(units.join("k3s.service.d")).unwrap();
    std::fs::write(units.join("k3s.service"), "[Service]\nExecStart=/usr/local/bin/k3s server\n").unwrap();
    for (file, place) in [
        ("pxe-serve-snapshot.service", "pxe-serve-snapshot.service"),
        ("pxe-serve-snapshot.timer", "pxe-serve-snapshot.timer"),
        ("k3s-restore.conf", "k3s.service.d/50-pxe-serve-restore.conf"),
    ] {
        std::fs::copy(bundle.join("pxe/configs").join(file), units.join(place)).unwrap();
    }
    let verify = |unit: &str| {
        let mut analyze = command("systemd-analyze");
        analyze.arg("verify").arg(format!("--root={}", root.path().display())).args(["--man=no", unit]);
        run(&analyze, LIMIT)
    };
    for unit in ["pxe-serve-snapshot.service", "pxe-serve-snapshot.timer", "k3s.service"] {
        let output = verify(unit);
        assert!(output.status.success() && output.stderr.is_empty(), "{unit}: {}", said(&output));
    }
    std::fs::remove_file(root.path().join("usr/local/bin/pxe-serve-restore")).unwrap();
    assert!(!verify("k3s.service").status.success(), "the drop-in is not read");
}

#[test]
fn a_host_that_is_not_to_be_restored_is_given_no_snapshot() {
    let Some(lab) = Lab::new("  phase: reinstall\n  snapshots: router") else { return };
    let node = server(&lab, 2);
    node.takes_snapshot("etcd-snapshot-lenovo2-1764072000", &content(&lab, "data"));
    assert!(node.run("pxe-serve-snapshot", &[]).status.success());
    lab.edit("  phase: restore");
    let first = lab.node(1);
    let file = "http://192.168.26.1/pxe/snapshots/lenovo2/etcd-snapshot-lenovo2-1764072000".to_owned();
    for node in [&first, &node] {
        for url in ["http://192.168.26.1/pxe/snapshots/newest", "http://192.168.26.1/pxe/snapshots", &file] {
            let (status, body) = node.ask(&[url]);
            assert_eq!(status, 403, "{url}: {body}");
        }
    }
    first.reports("installed", "lenovo1-restore");
    assert_eq!(first.ask(&[&file]).0, 200);
    assert_eq!(node.ask(&[&file]).0, 403, "its own is none of its business any more");
}

/// A snapshot of 8 MiB takes two thirds of a second at this rate; the server dies somewhere in it, or just after.
#[test]
fn whenever_the_server_is_killed_a_snapshot_is_whole_or_not_there() {
    let Some(mut lab) = Lab::new("  phase: reinstall\n  snapshots: {to: router, keep: 1}") else { return };
    let node = server(&lab, 1);
    let first = "etcd-snapshot-lenovo1-1000";
    node.takes_snapshot(first, &content(&lab, "first"));
    assert!(node.run("pxe-serve-snapshot", &[]).status.success());
    let (mut old, mut new) = (0, 0);
    for round in 1..=12_u32 {
        let name = format!("etcd-snapshot-lenovo1-{}", 1000 + round);
        let before = lab.kept("lenovo1");
        node.takes_snapshot(&name, &format!("{round}{}", "x".repeat(8 << 20)));
        let mut put = node.inside("curl");
        let file = node.path("var/lib/rancher/k3s/server/db/snapshots").join(&name);
        let sha256 = pxe_serve::catalogue::Sha256::of(&std::fs::read(&file).unwrap());
        put.args(["--silent", "--max-time", "20", "--limit-rate", "12M", "--upload-file"]).arg(&file);
        put.arg(format!("http://192.168.26.1/pxe/snapshots/lenovo1/{name}?sha256={sha256}"));
        let mut put = Process::start(&mut put, &lab.site.path("curl.log"));
        std::thread::sleep(Duration::from_millis(u64::from(round) * 80));
        lab.kill();
        put.end(Duration::from_secs(20));
        lab.start();
        let kept = lab.kept("lenovo1");
        assert!(!kept.contains(&"upload.new".to_owned()), "{kept:?}");
        for kept in &kept {
            let bytes = std::fs::read(lab.site.path("state/snapshots/lenovo1").join(kept)).unwrap();
            assert!(kept.ends_with(&format!(".{}", pxe_serve::catalogue::Sha256::of(&bytes))), "{kept}");
        }
        // Between the new one's rename and the old one's end there are both.
        match kept.iter().any(|kept| kept.starts_with(&format!("{name}."))) {
            true => new += 1,
            false => {
                assert_eq!(kept, before);
                old += 1;
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new: the kills hit neither");
}

#[test]
fn a_client_that_leaves_leaves_nothing_and_the_next_is_received() {
    let Some(lab) = Lab::new("  phase: reinstall\n  snapshots: router") else { return };
    let node = server(&lab, 1);
    let name = "etcd-snapshot-lenovo1-1000";
    node.takes_snapshot(name, &"x".repeat(8 << 20));
    let file = node.path("var/lib/rancher/k3s/server/db/snapshots").join(name);
    let sha256 = pxe_serve::catalogue::Sha256::of(&std::fs::read(&file).unwrap());
    let mut put = node.inside("curl");
    put.args(["--silent", "--limit-rate", "1M", "--upload-file"]).arg(&file);
    put.arg(format!("http://192.168.26.1/pxe/snapshots/lenovo1/{name}?sha256={sha256}"));
    let mut put = Process::start(&mut put, &lab.site.path("curl.log"));
    let begin = Instant::now();
    while lab.kept("lenovo1") != ["upload.new"] {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", lab.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    put.signal(Signal::KILL);
    put.end(Duration::from_secs(5));
    while !lab.kept("lenovo1").is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", lab.kept("lenovo1"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = node.run("pxe-serve-snapshot", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(lab.kept("lenovo1").len(), 1);
}
