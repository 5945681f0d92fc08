//! Secrets stay in the artifacts that are made to carry them: not in what commands say, listings, health or logs.

use std::process::Command;

use pxe_serve::catalogue::Sensitivity;

use crate::serving::{Served, options};
use crate::site::{CANARY_PASSWORD, CANARY_TOKEN, Site};

#[track_caller]
fn assert_silent(what: &str, text: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(text.as_ref()).into_owned();
    for secret in [CANARY_TOKEN, CANARY_PASSWORD] {
        assert!(!text.contains(secret), "{what} shows {secret}\n{text}");
    }
}

/// A site with a warning, so that findings are drawn.
fn site() -> Site {
    Site::new().changed("configs/keepalived.conf.j2", "state BACKUP\n", "state MASTER\n")
}

#[test]
fn no_command_says_a_secret() {
    for site in [site(), site().artifact("pxe/configs/x", "{{ secrets.k3s_token }} {{ nope }}\n")] {
        let tmp = tempfile::tempdir().unwrap();
        let www = tmp.path().join("www");
        let www = www.to_str().unwrap();
        let commands: [(&str, &[&str]); 6] = [
            ("check", &[]),
            ("check", &["--format", "json"]),
            ("render", &["--out", www]),
            ("render", &["--out", www, "--host", "lenovo1"]),
            ("show", &["pxe/nothing"]),
            ("show", &["pxe/manifest.json"]),
        ];
        for (verb, more) in commands {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
            let output = command.arg(verb).args(options(&site.sources())).args(more).output().unwrap();
            assert_silent(verb, [output.stdout, output.stderr].concat());
        }
    }
}

#[test]
fn only_secret_artifacts_carry_a_secret() {
    let generation = site().load().generation.unwrap();
    let mut carriers = Vec::new();
    for (path, artifact) in generation.catalogue.iter() {
        match artifact.sensitivity {
            Sensitivity::Public => assert_silent(path.as_str(), artifact.bytes()),
            Sensitivity::Secret => carriers.push(path.as_str()),
        }
    }
    assert_eq!(
        carriers,
        [
            "pxe/configs/k3s-token",
            "pxe/configs/keepalived-lenovo1.conf",
            "pxe/configs/keepalived-lenovo2.conf",
            "pxe/configs/keepalived-lenovo3.conf"
        ]
    );
    assert_silent("Debug", format!("{generation:?}"));
}

#[test]
fn the_server_says_no_secret_but_in_the_artifacts_that_carry_one() {
    let site = site();
    let catalogue = site.load().generation.unwrap().catalogue;
    let state = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--state-dir", state.path().to_str().unwrap()]] {
        let served = Served::start(&site.sources(), more);
        for (path, artifact) in catalogue.iter() {
            let mut targets = vec![
                format!("/{path}x"),
                format!("/{path}?sha256={}", "0".repeat(64)),
                format!("/{path}/below"),
            ];
            if artifact.is_secret() {
                let body = String::from_utf8(served.get(&format!("/{path}")).body).unwrap();
                assert!(body.contains(CANARY_TOKEN) || body.contains(CANARY_PASSWORD), "{path}");
            } else {
                targets.push(format!("/{path}"));
            }
            for target in targets {
                let answer = served.get(&target);
                assert_silent(&target, &answer.body);
                assert_silent(&target, format!("{:?}", answer.headers));
            }
        }
        for target in [
            "/",
            "/pxe/",
            "/pxe/configs/",
            "/pxe/ignition/",
            "/healthz",
            "/readyz",
            "/nowhere",
            "/%2e%2e/token",
            "/token",
        ] {
            for accept in ["*/*", "text/html", "application/json"] {
                assert_silent(target, served.ask(target, accept).body);
            }
        }
        // A broken edit is said on /healthz and in the log, with what it quotes.
        let broken = "artifacts:\n  - {path: pxe/configs/x, template: mine.j2}\n";
        std::fs::write(
            site.path().join("templates/mine.j2"),
            "{% include secrets.k3s_token %}{{ secrets.keepalived_auth_pass }}",
        )
        .unwrap();
        std::fs::write(site.path().join("templates/artifacts.yaml"), broken).unwrap();
        let said = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let health = String::from_utf8(served.get("/healthz").body).unwrap();
            assert_silent("/healthz", &health);
            health.contains("mine.j2")
        });
        let log = served.stop();
        assert!(said, "the broken edit was not noticed\n{log}");
        assert!(log.contains("mine.j2") && log.contains("pxe/configs/k3s-token"), "{log}");
        assert_silent("the log", log);
        std::fs::remove_file(site.path().join("templates/artifacts.yaml")).unwrap();
        std::fs::remove_file(site.path().join("templates/mine.j2")).unwrap();
    }
}
