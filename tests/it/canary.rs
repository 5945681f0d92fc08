//! Secrets stay in the artifacts that are made to carry them: not in what commands say, listings, health or logs.

use std::process::Command;

use pxe_serve::catalogue::Sensitivity;
use pxe_serve::inventory::{K3sToken, Secrets};

use crate::serving::{Served, options};
use crate::site::{CANARY_AGENT_TOKEN, CANARY_PASSWORD, CANARY_TOKEN, Site};

/// What is derived from the token is as secret as the token.
fn node_password(host: &str) -> String {
    let k3s_token = K3sToken::parse(CANARY_TOKEN).unwrap();
    Secrets { auth_pass: None, auth_hmac: None, k3s_token, k3s_agent_token: None, drain_kubeconfig: None }
        .node_password(host)
}

#[track_caller]
fn assert_silent(what: &str, text: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(text.as_ref()).into_owned();
    let node_passwords = ["lenovo1", "lenovo2", "lenovo3", "tower1"].map(node_password);
    for secret in [CANARY_TOKEN, CANARY_AGENT_TOKEN, CANARY_PASSWORD]
        .into_iter()
        .chain(node_passwords.iter().map(String::as_str))
    {
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
        let commands: [(&str, &[&str]); 7] = [
            ("check", &[]),
            ("check", &["--format", "json"]),
            ("render", &["--out", www]),
            ("render", &["--out", www, "--host", "lenovo1"]),
            ("show", &["pxe/nothing"]),
            ("show", &["lenovo1"]),
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
            "pxe/configs/k3s-agent-password",
            "pxe/configs/k3s-agent-token",
            "pxe/configs/k3s-node-password-lenovo1",
            "pxe/configs/k3s-node-password-lenovo2",
            "pxe/configs/k3s-node-password-lenovo3",
            "pxe/configs/k3s-node-password-tower1",
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
        let served = Served::start(&site.sources(), &[more, &["--secrets", "loopback"]].concat());
        for (path, artifact) in catalogue.iter() {
            let mut targets = vec![
                format!("/{path}x"),
                format!("/{path}?sha256={}", "0".repeat(64)),
                format!("/{path}/below"),
            ];
            if artifact.is_secret() {
                let body = String::from_utf8(served.get(&format!("/{path}")).body).unwrap();
                let own = path.as_str().strip_prefix("pxe/configs/k3s-node-password-").map(node_password);
                let known =
                    [CANARY_TOKEN, CANARY_AGENT_TOKEN, CANARY_PASSWORD].into_iter().chain(own.as_deref());
                assert!(known.into_iter().any(|secret| body.contains(secret)), "{path}");
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
