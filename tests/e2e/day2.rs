//! Kubeconfigs in the hands of the real kubectl; names by the real resolver; who holds a VIP by the real ARP.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::api::lab::{LENOVOS, Lab, VIP};
use crate::api::{A_YEAR, Api, Does};
use crate::namespace::{Namespace, Process};
use crate::site::{LIMIT, pxe_serve};
use crate::tools::{command, have, run, said};

#[track_caller]
fn ours(lab: &Lab, status: i32, arguments: &[&str]) -> String {
    let mut program = command(pxe_serve().to_str().unwrap());
    program.args(arguments).current_dir(&lab.folder).env("HOME", lab.folder.path()).env_remove("KUBECONFIG");
    let output = run(&program, LIMIT);
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What kubectl says about the nodes with this file.
#[track_caller]
fn nodes(lab: &Lab, file: &str, more: &[&str]) -> String {
    let mut kubectl = command("kubectl");
    kubectl.args(["--request-timeout=10s", "--kubeconfig"]).arg(lab.path(file)).args(more);
    kubectl.args(["get", "nodes", "-o", "name"]).env("HOME", lab.folder.path()).env_remove("KUBECONFIG");
    let output = run(&kubectl, LIMIT);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The word after `server:` of a file with one cluster.
fn server_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap().trim_matches('"').to_owned()
}

const WRITE: &[&str] = &["kubeconfig", "--from", "k3s.yaml", "--out", "lab.yaml"];

#[test]
fn kubectl_works_with_what_is_written_for_the_vip_and_for_each_server() {
    if !have(&["kubectl"], false) {
        return;
    }
    let mut lab = Lab::whole();
    for host in [VIP, LENOVOS[0], LENOVOS[1], LENOVOS[2]] {
        ours(&lab, 0, WRITE);
        assert_eq!(server_in(&lab.path("lab.yaml")), lab.url(host));
        assert_eq!(nodes(&lab, "lab.yaml", &[]), "node/lenovo1\nnode/lenovo2\n");
        let asked = lab.apis[&host].seen().into_iter().filter(|seen| seen.head.contains("kubectl"));
        assert!(asked.clone().count() > 0 && asked.into_iter().all(|seen| seen.with_certificate));
        lab.stop(host);
    }
    ours(&lab, 1, WRITE);
}

#[test]
fn kubectl_finds_both_clusters_in_a_merged_file() {
    if !have(&["kubectl"], false) {
        return;
    }
    let lab = Lab::whole();
    let kubectl = |arguments: &[&str]| {
        let mut kubectl = command("kubectl");
        kubectl.arg("--kubeconfig").arg(lab.path("config")).args(arguments).env("HOME", lab.folder.path());
        let output = run(&kubectl, LIMIT);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    // A file as kubectl itself makes it, but for the user: Debian's kubectl 1.20 crashes in `config set-credentials`.
    let user = "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user:\n    token: theirs\n";
    std::fs::write(lab.path("config"), user).unwrap();
    kubectl(&["config", "set-cluster", "work", "--server=https://work.example.com"]);
    kubectl(&["config", "set-context", "work", "--cluster=work", "--user=me"]);
    kubectl(&["config", "use-context", "work"]);
    let before = kubectl(&["config", "view", "--raw", "--minify"]);
    ours(&lab, 0, &["kubeconfig", "--from", "k3s.yaml", "--out", "config", "--merge", "--context", "lab"]);
    assert_eq!(kubectl(&["config", "view", "--raw", "--minify"]), before);
    assert_eq!(kubectl(&["config", "get-contexts", "-o", "name"]), "lab\nwork\n");
    assert_eq!(nodes(&lab, "config", &["--context", "lab"]), "node/lenovo1\nnode/lenovo2\n");
    // And once more through what kubectl has written anew.
    kubectl(&["config", "set-context", "lab", "--namespace=longhorn-system"]);
    ours(&lab, 0, &["kubeconfig", "--from", "k3s.yaml", "--out", "config", "--merge", "--context", "lab"]);
    assert!(kubectl(&["config", "view", "--context", "lab", "--minify"]).contains("longhorn-system"));
}

#[test]
fn a_vip_may_be_ipv6() {
    if !have(&["kubectl"], false) {
        return;
    }
    // There is one IPv6 loopback address, which somebody else may be using.
    let begin = Instant::now();
    while TcpListener::bind("[::1]:6443").is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60), "[::1]:6443 is never free");
        std::thread::sleep(Duration::from_millis(100));
    }
    let lab = Lab::new();
    lab.edit(|text| {
        let text = text.replace(&format!("\"{}\"", lab.address(VIP)), "\"::1\"");
        text.replace(
            &format!("cidr: {}0/24", lab.network),
            &format!("cidr: [\"{}0/24\", \"::/64\"]", lab.network),
        )
    });
    let api = Api::start("::1", &lab.ca, &lab.ca.issue(&["::1".to_owned()], A_YEAR), Does::Answers);
    ours(&lab, 0, WRITE);
    assert_eq!(server_in(&lab.path("lab.yaml")), "https://[::1]:6443");
    assert_eq!(nodes(&lab, "lab.yaml", &[]), "node/lenovo1\nnode/lenovo2\n");
    drop(api);
}

#[test]
fn a_vip_with_a_name_is_reached_by_it_as_long_as_it_resolves_to_the_vip() {
    if !have(&["kubectl", "unshare", "mount"], true) {
        return;
    }
    let mut lab = Lab::whole();
    let name = "k3s.pxe-serve-test.internal";
    lab.edit(|text| text.replace("network:\n", &format!("network:\n  control_planes_name: {name}\n")));
    lab.start_with(VIP, &[lab.sans(), vec![name.to_owned()]].concat(), A_YEAR, Does::Answers);
    // With a hosts file of its own.
    let with_hosts = |hosts: String, script: &str| {
        fs::write(lab.path("hosts"), hosts).unwrap();
        let mut shell = command("unshare");
        shell.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        shell.arg(format!("mount --bind hosts /etc/hosts; {script}"));
        shell.env("PXE_SERVE", pxe_serve()).env("HOME", lab.folder.path()).current_dir(&lab.folder);
        let output = run(&shell, LIMIT);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let write = "$PXE_SERVE kubeconfig --from k3s.yaml --out lab.yaml";
    let use_it = "kubectl --request-timeout=10s --kubeconfig lab.yaml get nodes -o name";
    let said = with_hosts(format!("{} {name}\n", lab.address(VIP)), &format!("{write}; {use_it}"));
    assert!(said.contains(&format!("context {name} now uses https://{name}:6443")), "{said}");
    assert!(said.ends_with("node/lenovo1\nnode/lenovo2\n"), "{said}");
    // It leads to a server, which is good by itself but not the VIP.
    let said = with_hosts(format!("{} {name}\n", lab.address(LENOVOS[0])), &format!("{write}; {use_it}"));
    assert!(said.contains("which is no VIP of the inventory") && said.contains(&lab.url(VIP)), "{said}");
    let said =
        with_hosts(format!("{} {name}\n", lab.address(LENOVOS[0])), "$PXE_SERVE doctor || test $? = 1");
    let wrong =
        format!("error    dns      {name}: resolves to {}, the inventory says", lab.address(LENOVOS[0]));
    assert!(said.contains(&wrong), "{said}");
    let said = with_hosts(format!("{} {name}\n", lab.address(VIP)), "$PXE_SERVE doctor || test $? = 1");
    assert!(said.contains(&format!("ok       dns      {name}: {}", lab.address(VIP))), "{said}");
}

#[test]
fn who_holds_the_vip_is_told_by_the_mac_that_answers() {
    if !have(&["ip", "unshare", "nsenter", "setpriv", "openssl"], true) {
        return;
    }
    let lab = Lab::new();
    lab.edit(|text| text.replace(&lab.network, "192.168.26."));
    let sans = lab.sans().into_iter().map(|san| san.replace(&lab.network, "192.168.26."));
    let shows = lab.ca.issue(&sans.collect::<Vec<_>>(), A_YEAR);
    fs::write(lab.path("certificate"), &shows.pem).unwrap();
    fs::write(lab.path("key"), &shows.key_pem).unwrap();
    // One network, and on it this machine and one that has lenovo2's MAC.
    let (here, there) = (Namespace::new(), Namespace::new());
    here.sh(&format!(
        "ip link set lo up; ip link add eth0 type veth peer name eth0 netns {}
         ip address add 192.168.26.100/24 dev eth0; ip link set eth0 up",
        there.id()
    ));
    there.sh("ip link set eth0 address 52:54:00:12:34:57; ip link set lo up; ip link set eth0 up
              for host in 6 253; do ip address add 192.168.26.$host/24 dev eth0; done");
    let mut server = there.command("openssl");
    server.args(["s_server", "-www", "-accept", "0.0.0.0:6443", "-cert"]).arg(lab.path("certificate"));
    let _server = Process::start(server.arg("-key").arg(lab.path("key")), &lab.path("log"));
    let begin = Instant::now();
    let check = || {
        let mut program = here.command(pxe_serve().to_str().unwrap());
        let output = run(
            program.args(["tls-san", "check", "--json", "--inventory"]).arg(lab.path("inventory.yaml")),
            LIMIT,
        );
        let said = said(&output);
        (
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_else(|_| panic!("{said}")),
            said,
        )
    };
    let (found, said) = loop {
        let (found, said) = check();
        if found["shown"][0]["certificate"].is_object() {
            break (found, said);
        }
        assert!(begin.elapsed() < LIMIT, "{said}\n{}", fs::read_to_string(lab.path("log")).unwrap());
    };
    assert_eq!(
        (&found["vips"][0]["known_by"], &found["vips"][0]["host"]),
        (&"mac".into(), &"lenovo2".into()),
        "{said}"
    );
    // Somebody else's machine takes the address.
    there.sh("ip link set eth0 down; ip link set eth0 address 52:54:00:99:99:99; ip link set eth0 up");
    here.sh("ip neighbour flush dev eth0");
    let (found, said) = check();
    assert_eq!(found["vips"][0]["known_by"], "stranger", "{said}");
    assert_eq!(found["vips"][0]["mac"], "52:54:00:99:99:99");
}

#[test]
fn jq_reads_what_each_verb_says_as_json() {
    if !have(&["jq"], false) {
        return;
    }
    let lab = Lab::whole();
    for (arguments, status, filter, expected) in [
        (&["kubeconfig", "--from", "k3s.yaml", "--json"][..], 0, ".server", lab.url(VIP)),
        (
            &["kubeconfig", "--from", "k3s.yaml", "--json"],
            0,
            "[.tried[] | select(.via == \"vip\") | .outcome] | join(\" \")",
            "good".into(),
        ),
        (&["tls-san", "check", "--json"], 0, "[.shown[] | .missing | length] | add | tostring", "0".into()),
        (
            &["doctor", "--json"],
            1,
            "[.verdicts[] | select(.severity == \"error\") | .check] | unique | join(\" \")",
            "router".into(),
        ),
    ] {
        fs::write(lab.path("said"), ours(&lab, status, arguments)).unwrap();
        let mut jq = command("jq");
        let output = run(jq.args(["-r", filter]).arg(lab.path("said")), LIMIT);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{arguments:?}");
    }
}
