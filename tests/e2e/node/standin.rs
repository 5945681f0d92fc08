//! The k3s stand-in does what the table at its head says, as far as tests rest on it.

use std::time::Duration;

use crate::namespace::Namespace;
use crate::tools::{have, run, said};

const K3S: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/node/standins/k3s");

/// A first server runs in the same network; a machine of its own is two folders. What is looked at comes before a second
/// server would take the ports.
const FIRST: &str = r#"
    mount -t tmpfs none /tmp
    for folder in etc var/lib; do
        mkdir -p /tmp/$folder/up /tmp/$folder/work
        mount -t overlay none -o lowerdir=/$folder,upperdir=/tmp/$folder/up,workdir=/tmp/$folder/work /$folder
    done
    mkdir -p /etc/rancher /var/lib/rancher
    ip link set lo up
    mount -t tmpfs none /etc/rancher
    mount -t tmpfs none /var/lib/rancher
    mkdir -p /etc/rancher/k3s/config.yaml.d
    cd /etc/rancher/k3s
    printf 'node-name: lenovo1\nnode-ip: 127.0.0.1\ncluster-init: true\ntls-san: [k3s.lab.internal]\ntoken: a-long-enough-token\nunknown: 1\n' >config.yaml
    printf 'tls-san+: [second.lab.internal]\n' >config.yaml.d/10.yaml
    $K3S server >/tmp/log 2>&1 &
    i=0; until $K3S kubectl get --raw /readyz >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 100 ] || { cat /tmp/log; exit 1; }; sleep 0.3; done
    ca=$(curl -sk https://127.0.0.1:6443/cacerts | sha256sum | cut -d ' ' -f 1)
    # joins NAME TOKEN: its last words. In folders of its own; the first server goes on in its.
    joins() {
        unshare --mount --propagation private sh -euc '
            mount -t tmpfs none /etc/rancher; mount -t tmpfs none /var/lib/rancher; mkdir -p /etc/rancher/k3s
            printf "node-name: %s\nnode-ip: 127.0.0.1\nserver: https://127.0.0.1:6443\ntoken: %s\n" $1 $2 >/etc/rancher/k3s/config.yaml
            timeout 30 $3 server 2>&1 | grep msg | tail -n 1' joins $1 $2 $K3S
    }
"#;

/// In a network and with folders of its own: what the script printed.
fn in_a_lab(script: &str) -> Option<String> {
    if !have(&["unshare", "nsenter", "setpriv", "python3", "openssl", "curl", "ip", YAML], true) {
        return None;
    }
    let network = Namespace::new();
    let mut shell = network.command("sh");
    shell.args(["-euc", &format!("K3S={K3S}\n{FIRST}\n{script}")]);
    let output = run(&shell, Duration::from_secs(120));
    assert!(output.status.success(), "{}", said(&output));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const YAML: &str = "/usr/lib/python3/dist-packages/yaml/__init__.py";

#[test]
fn it_merges_its_settings_and_answers_as_k3s_does() {
    let Some(said) = in_a_lab(
        r#"
        openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName | tr , '\n' | grep internal
        for path in readyz livez version cacerts; do curl -sk -o /dev/null -w "$path %{http_code}\n" https://127.0.0.1:6443/$path; done
        grep -o 'Unknown flag --unknown found in config.yaml, skipping' /tmp/log
        $K3S server --unknown && exit 1
        echo 500 >/run/k3s-standin; $K3S kubectl get --raw /readyz 2>&1 || rm /run/k3s-standin
        $K3S kubectl get node"#,
    ) else {
        return;
    };
    let expected = "    DNS:k3s.lab.internal\n DNS:second.lab.internal\nreadyz 401\nlivez 401\nversion 401\ncacerts 200\n\
        Unknown flag --unknown found in config.yaml, skipping\n";
    assert!(said.starts_with(expected), "{said}");
    for part in ["not defined: --unknown", "readyz check failed", "lenovo1      Ready"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn it_lets_a_server_join_with_the_right_token_of_the_right_cluster_and_once() {
    let Some(said) = in_a_lab(
        r"
        joins lenovo2 another-token
        joins lenovo2 K10$(printf %064d 0)::server:a-long-enough-token
        joins lenovo1 a-long-enough-token
        joins lenovo2 K10$ca::server:a-long-enough-token
        joins lenovo3 a-long-enough-token",
    ) else {
        return;
    };
    let lines: Vec<&str> = said.lines().collect();
    let parts = [
        "Unauthorized",
        "does not match",
        "duplicate node name",
        "Adding member lenovo2",
        // lenovo2 is a member that has never come up: one of two is no majority.
        "no leader",
    ];
    assert_eq!(lines.len(), parts.len(), "{said}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(part), "{part}: {said}");
    }
}
