//! A node that is installed anew comes back into its cluster: its password, whom it joins, what must be deleted before.

use pxe_serve::catalogue::Audience;

use crate::site::{CANARY_TOKEN, Site, artifact, installed, text};

#[test]
fn a_nodes_password_is_its_own_the_same_each_time_and_known_only_where_the_host_is() {
    let of = |site: &Site, host: &str| text(&site.clean(), &format!("pxe/configs/k3s-node-password-{host}"));
    let site = Site::new();
    let password = of(&site, "lenovo1");
    // Whoever changes how it is derived locks out every node that is installed.
    assert_eq!(password, "5270dbe640742acff3034aecc530eb94\n");
    assert_ne!(password, of(&site, "lenovo2"));
    let other_form = Site::new().file("token", &format!("K10{}::server:{CANARY_TOKEN}", "0".repeat(64)));
    assert_eq!(password, of(&other_form, "lenovo1"));
    let other_token = Site::new().file("token", "another-token-of-the-cluster");
    assert_ne!(password, of(&other_token, "lenovo1"));

    let catalogue = site.clean();
    let file = installed(&catalogue, "pxe/ignition/tower1.ign", "/etc/rancher/node/password").unwrap();
    assert_eq!(file["mode"], 0o600);
    let own = Audience::host(&"tower1".parse().unwrap());
    assert_eq!(artifact(&catalogue, "pxe/configs/k3s-node-password-tower1").audience, own);
    Site::new().artifact("pxe/configs/x", "{{ secrets.node_password }}\n").error(&["is not defined"]);
    let quoted = "{% include secrets.node_password %}\n";
    let site = Site::new()
        .template("mine.j2", quoted)
        .artifacts(&["path: \"pxe/configs/x-{host}\", template: mine.j2"]);
    assert!(!site.error(&["pxe/configs/x-lenovo1"]).contains(password.trim()));
}

#[test]
fn while_the_cluster_begins_the_others_join_the_first_server_and_then_the_vip() {
    let server = |site: &Site, name: &str| {
        let config = text(&site.clean_but_for_notes(), &format!("pxe/configs/k3s-config-{name}.yaml"));
        let config: serde_json::Value = serde_yaml::from_str(&config).unwrap();
        (config["server"].as_str().map(str::to_owned), config["cluster-init"].as_bool())
    };
    let vip = (Some("https://192.168.26.253:6443".to_owned()), None);
    let first = (Some("https://192.168.26.5:6443".to_owned()), None);
    let begins = Site::new().inventory("token: {file: token}", "token: {file: token}, phase: bootstrap");
    for (name, while_it_begins, afterwards) in [
        ("lenovo1-bootstrap", (None, Some(true)), (None, Some(true))),
        ("lenovo1-reinstall", vip.clone(), vip.clone()),
        ("lenovo1", (None, Some(true)), vip.clone()),
        ("lenovo2", first.clone(), vip.clone()),
        ("tower1", first.clone(), vip.clone()),
    ] {
        assert_eq!(server(&begins, name), while_it_begins, "{name}");
        assert_eq!(server(&Site::new(), name), afterwards, "{name}");
    }
    assert!(begins.findings().contains("note: k3s.phase"), "{}", begins.findings());
}

#[test]
fn a_host_of_both_families_gives_k3s_both_addresses() {
    let catalogue = crate::site::generation("dual").catalogue;
    let config: serde_json::Value =
        serde_yaml::from_str(&text(&catalogue, "pxe/configs/k3s-config-lenovo2.yaml")).unwrap();
    assert_eq!(config["node-ip"], "192.168.26.6,fd00:26::6");
}

/// What `show HOST` prints.
fn shown(site: &Site, host: &str) -> String {
    let mut show = std::process::Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    show.arg("show").args(crate::serving::options(&site.sources())).arg(host);
    let output = show.output().unwrap();
    assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn show_says_of_a_host_what_is_its_own_and_what_to_delete_before_it_is_reinstalled() {
    let site = Site::new();
    let commands = |text: &str| {
        let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
        text.lines().filter(is_command).map(str::to_owned).collect::<Vec<_>>()
    };
    let [drain, delete, secret] = [
        "kubectl drain HOST --ignore-daemonsets --delete-emptydir-data --timeout=5m",
        "kubectl delete node HOST --timeout=2m",
        "kubectl -n kube-system delete secret HOST.node-password.k3s --ignore-not-found",
    ];
    for (host, etcd) in [("lenovo1", true), ("tower1", false)] {
        let text = shown(&site, host);
        assert_eq!(commands(&text), [drain, delete, secret].map(|line| line.replace("HOST", host)), "{text}");
        assert_eq!(text.contains("member remove"), etcd, "{text}");
        let url = format!("http://192.168.26.1/pxe/ipxe/{host}.ipxe");
        assert!(text.contains(&url) && !text.contains("lenovo3"), "{text}");
        assert!(!text.contains("second cluster"), "{text}");
    }
    // The member is removed on a server that stays.
    assert!(shown(&site, "lenovo1").contains("ssh core@192.168.26.6)"));
    assert!(shown(&site, "lenovo2").contains("ssh core@192.168.26.5)"));
    let begins = Site::new().inventory("token: {file: token}", "token: {file: token}, phase: bootstrap");
    assert!(shown(&begins, "lenovo1").contains("may start a second cluster. Write reinstall first."));
    assert!(!shown(&begins, "lenovo2").contains("second cluster"));
    let workers = crate::site::INVENTORY.replace("{role: control_plane,", "{role: worker,");
    let alone = workers.replace("lenovo1: {", "lenovo1: {role: control_plane, ");
    let alone = Site::new().file("inventory.yaml", &alone);
    assert_eq!(commands(&shown(&alone, "lenovo1")), ["ssh core@192.168.26.5 sudo k3s etcd-snapshot save"]);
}
