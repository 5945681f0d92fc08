//! The rendered `k3s-install.sh` makes a joining node's token name the cluster's CA: its function for that, run with real sh,
//! curl and grep against a server that answers anything.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::site::Site;
use crate::tools::{command, have, run, said};

const HASH: &str = "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126";

/// Answers every request with this, until the process ends.
fn answers(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

/// The token file after the function has run, as a node of this kind with this configuration.
fn token_after(url: &str, mode: &str, config: &str, token: &str) -> String {
    let site = Site::seed();
    let script = std::fs::read_to_string(site.render().join("pxe/scripts/k3s-install.sh")).unwrap();
    let (_, rest) = script.split_once("\nname_the_ca() {\n").unwrap();
    let (body, after) = rest.split_once("\n}\n").unwrap();
    assert!(after.starts_with("name_the_ca \"$1\"\n"), "{after}");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("config.yaml"), config).unwrap();
    std::fs::write(path("cluster-token"), format!("{token}\n")).unwrap();
    std::fs::set_permissions(path("cluster-token"), PermissionsExt::from_mode(0o600)).unwrap();
    let body = body
        .replace("/etc/rancher/k3s", folder.path().to_str().unwrap())
        .replace(&format!("http://127.0.0.1:{}/pxe/cluster-ca", site.port), &format!("{url}/pxe/cluster-ca"));
    assert!(body.contains(url), "{body}");
    std::fs::write(path("script"), format!("set -eu\nname_the_ca() {{\n{body}\n}}\nname_the_ca \"$1\"\n"))
        .unwrap();
    let mut sh = command("sh");
    sh.arg(path("script")).arg(mode).env("no_proxy", "*");
    let output = run(&sh, Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
    // Nothing is printed, the token least of all.
    assert_eq!([output.stdout, output.stderr].concat(), b"");
    assert_eq!(std::fs::metadata(path("cluster-token")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing lies beside it");
    std::fs::read_to_string(path("cluster-token")).unwrap()
}

const JOINS: &str = "node-name: a\nserver: https://192.168.26.253:6443\n";
const BEGINS: &str = "node-name: a\ncluster-init: true\n";
const PASSWORD: &str = "50d858e0985ecc7f60418aaf0cc5ab58";

#[test]
fn a_node_that_joins_names_the_ca_that_pxe_serve_knows_and_no_other_node_does() {
    if !have(&["sh", "curl", "grep"], false) {
        return;
    }
    let url = answers("200 OK", format!("{HASH}\n"));
    let full = format!("K10{HASH}::server:{PASSWORD}");
    let bootstrap = "abcdef.0123456789abcdef";
    for (mode, config, token, expected) in [
        ("server", JOINS, PASSWORD, full.clone()),
        ("agent", JOINS, PASSWORD, format!("K10{HASH}::node:{PASSWORD}")),
        ("agent", JOINS, bootstrap, format!("K10{HASH}::{bootstrap}")),
        ("server", JOINS, &full, full.clone()),
        ("server", BEGINS, PASSWORD, PASSWORD.to_owned()),
    ] {
        assert_eq!(token_after(&url, mode, config, token), format!("{expected}\n"), "{mode} {config}");
    }
}

#[test]
fn without_a_hash_the_short_form_stays() {
    if !have(&["sh", "curl", "grep"], false) {
        return;
    }
    for (status, body) in [
        ("404 Not Found", HASH.to_owned()),
        ("200 OK", "<html>a page</html>".to_owned()),
        ("200 OK", HASH.to_uppercase()),
        ("200 OK", HASH[1..].to_owned()),
        ("200 OK", String::new()),
    ] {
        let token = token_after(&answers(status, body.clone()), "server", JOINS, PASSWORD);
        assert_eq!(token, format!("{PASSWORD}\n"), "{status} {body}");
    }
}
