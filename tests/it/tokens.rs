//! Who gets which token of k3s, and which tokens are refused before a node has them.

use pxe_serve::catalogue::Audience;

use crate::site::{CANARY_AGENT_TOKEN, CANARY_TOKEN, Site, artifact, installed, text};

const HASH: &str = "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126";
const TOKEN_FILE: &str = "/etc/rancher/k3s/cluster-token";
const AGENT_TOKEN_FILE: &str = "/etc/rancher/k3s/agent-token";

fn config(site: &Site, name: &str) -> serde_json::Value {
    let text = text(&site.clean(), &format!("pxe/configs/k3s-config-{name}.yaml"));
    serde_yaml::from_str(&text).unwrap()
}

#[test]
fn a_worker_gets_the_agent_token_and_never_the_servers_token() {
    let site = Site::new();
    let catalogue = site.clean();
    let source = |ignition: &str, path| {
        let file = installed(&catalogue, &format!("pxe/ignition/{ignition}.ign"), path)?;
        let url = file["contents"]["source"].as_str().unwrap().split('?').next().unwrap().to_owned();
        assert_eq!(file["mode"], 0o600, "{path}");
        Some(url.rsplit('/').next().unwrap().to_owned())
    };
    for server in ["lenovo1-bootstrap", "lenovo1-reinstall", "lenovo2", "lenovo3"] {
        assert_eq!(source(server, TOKEN_FILE).as_deref(), Some("k3s-token"));
        assert_eq!(source(server, AGENT_TOKEN_FILE).as_deref(), Some("k3s-agent-password"));
    }
    assert_eq!(source("tower1", TOKEN_FILE).as_deref(), Some("k3s-agent-token"));
    assert_eq!(source("tower1", AGENT_TOKEN_FILE), None);
    let worker = Audience::host(&"tower1".parse().unwrap());
    assert_eq!(artifact(&catalogue, "pxe/configs/k3s-agent-token").audience, worker);
    for (path, value) in [
        ("pxe/configs/k3s-token", CANARY_TOKEN),
        ("pxe/configs/k3s-agent-password", CANARY_AGENT_TOKEN),
        ("pxe/configs/k3s-agent-token", CANARY_AGENT_TOKEN),
    ] {
        assert_eq!(text(&catalogue, path), format!("{value}\n"));
    }
    // What a worker may fetch: nothing of it has the servers' token.
    for (path, artifact) in catalogue.iter().filter(|(_, artifact)| artifact.audience == worker) {
        let bytes = String::from_utf8_lossy(artifact.bytes()).into_owned();
        assert!(!bytes.contains(CANARY_TOKEN), "{path}");
    }
    assert_eq!(config(&site, "lenovo2")["agent-token-file"], AGENT_TOKEN_FILE);
    assert_eq!(config(&site, "tower1")["token-file"], TOKEN_FILE);
    assert_eq!(config(&site, "tower1").get("agent-token-file"), None);
}

#[test]
fn servers_compare_the_agent_tokens_password_and_know_no_bootstrap_token() {
    let full = format!("K10{HASH}::node:{CANARY_AGENT_TOKEN}");
    let site = Site::new().file("agent-token", &full);
    let catalogue = site.clean();
    assert_eq!(text(&catalogue, "pxe/configs/k3s-agent-token"), format!("{full}\n"));
    assert_eq!(text(&catalogue, "pxe/configs/k3s-agent-password"), format!("{CANARY_AGENT_TOKEN}\n"));
    let bootstrap = Site::new().file("agent-token", "abcdef.0123456789abcdef");
    assert!(bootstrap.clean().get("pxe/configs/k3s-agent-password").is_none());
    assert_eq!(config(&bootstrap, "lenovo2").get("agent-token-file"), None);
}

#[test]
fn a_token_that_no_node_could_use_is_refused_and_not_shown() {
    let full = format!("K10{HASH}::server:{CANARY_TOKEN}");
    let begins = || Site::new().inventory("token: {file: token}", "phase: bootstrap, token: {file: token}");
    for (site, message) in [
        (begins().file("token", &full), "starts a new one, whose CA nobody knows yet"),
        (Site::new().file("token", "abcdef.0123456789abcdef"), "joins workers alone"),
        (Site::new().file("agent-token", CANARY_TOKEN), "makes every worker an administrator"),
        (Site::new().file("token", "canary"), "the token is too short: 6 characters, at least 16"),
    ] {
        let said = site.error(&[message]);
        assert!(said.contains("help:") && !said.contains("canary") && !said.contains("abcdef."), "{said}");
    }
    assert!(begins().clean_but_for_notes().get("pxe/configs/k3s-token").is_some());
    // In a cluster that is there it is as good as the short form.
    assert_eq!(text(&Site::new().file("token", &full).clean(), "pxe/configs/k3s-token"), format!("{full}\n"));
}

#[test]
fn a_secret_in_the_place_of_its_name_is_not_said_to_everybody() {
    for reference in ["env", "file"] {
        let to = format!("{{{reference}: {CANARY_TOKEN}}}");
        let report = Site::new().inventory("token: {file: token}", &format!("token: {to}")).load().report;
        // What /healthz and the consoles of machines show: the message, without the line that `check` draws.
        let error = report.findings().iter().find(|finding| finding.path == "k3s.token").unwrap();
        assert!(error.message.contains("named here"), "{}", error.message);
        assert!(!error.message.contains("canary"), "{}", error.message);
    }
}
