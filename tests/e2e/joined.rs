//! When a node has joined: the rendered script against a real TLS server on 6443 and a real pxe-serve.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::site::{Site, pxe_serve};
use crate::tools::{command, have, run, said};

/// The seed's node with names of every kind, in a namespace that has its address and the router's.
struct Node {
    site: Site,
    names: Vec<String>,
}

impl Node {
    fn new(edit: impl Fn(String) -> String) -> Node {
        let site = Site::at_its_address(|text| {
            let more = "tls_san: [\"fd00:26::fd\", \"2001:db8:0:ab::\", api.example.net]";
            edit(text.replace("k3s:\n", &format!("k3s:\n  {more}\n")))
        });
        let bundle = site.render();
        let config = std::fs::read_to_string(bundle.join("pxe/configs/k3s-config-lenovo1.yaml")).unwrap();
        let list = config.split_once("tls-san:\n").unwrap().1.lines();
        let names =
            list.map_while(|line| line.trim().strip_prefix("- ")).map(|name| name.trim_matches(['"', '\'']));
        let names: Vec<String> = names.map(str::to_owned).collect();
        assert!(names.len() > 10 && names.contains(&"fd00:26::fd".to_owned()), "{names:?}");
        let node = Node { names, site };
        node.program("systemctl", "#!/bin/sh\necho active\n");
        node.program("journalctl", "#!/bin/sh\necho k3s said this\n");
        for (script, name) in [
            ("pxe-serve-report-lenovo1.sh", "pxe-serve-report"),
            ("pxe-serve-joined-lenovo1.sh", "pxe-serve-joined"),
            ("pxe-serve-joined-lenovo3.sh", "pxe-serve-joined-lenovo3"),
        ] {
            let text = std::fs::read_to_string(bundle.join("pxe/scripts").join(script)).unwrap();
            let bin = format!("{}/", node.bin().display());
            // What is missing is reported at once; nothing else differs.
            let text = text.replace("/usr/local/bin/", &bin);
            node.program(name, &text.replace("FIRST_REPORT_SECONDS=600", "FIRST_REPORT_SECONDS=0"));
        }
        node
    }

    fn bin(&self) -> PathBuf {
        self.site.path("bin")
    }

    fn program(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.bin()).unwrap();
        let file = self.bin().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A certificate for these names, as k3s' own is: one leaf under one CA.
    fn certificate(&self, names: &[&String]) {
        let kind = |name: &str| if name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
        let names: Vec<String> = names.iter().map(|name| format!("{}:{name}", kind(name))).collect();
        let (folder, names) = (self.site.folder.path().display(), names.join(","));
        let commands = format!(
            "cd {folder} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=k3s-server-ca \
               -keyout ca.key -out ca.pem && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=k3s \
               -keyout key.pem -out request.pem && printf 'subjectAltName={names}' >san && \
             openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem"
        );
        let output = run(command("sh").args(["-c", &commands]), Duration::from_secs(30));
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Runs the script for some seconds beside nginx, which answers `/readyz` with this status, and pxe-serve; gives its
    /// exit status, the journal, and what `/pxe/cluster-ca` answers.
    fn joins(&self, shell: &str, script: &str, readyz: u16) -> (Option<i32>, String, String) {
        let folder = self.site.folder.path();
        let at = |name: &str| folder.join(name).display().to_string();
        let _ = std::fs::remove_dir_all(folder.join("state"));
        let nginx = format!(
            "daemon off; pid {pid}; error_log stderr; events {{}} http {{ access_log off;
               client_body_temp_path {t}; proxy_temp_path {t}; fastcgi_temp_path {t}; uwsgi_temp_path {t}; scgi_temp_path {t};
               server {{ listen 127.0.0.1:6443 ssl; ssl_certificate {cert}; ssl_certificate_key {key};
                 location = /readyz {{ return {readyz}; }} location = /cacerts {{ alias {ca}; }} }} }}",
            pid = at("nginx.pid"), t = at("nginx-temp"), cert = at("cert.pem"), key = at("key.pem"), ca = at("ca.pem"),
        );
        std::fs::write(folder.join("nginx.conf"), nginx).unwrap();
        let commands = format!(
            "ip link set lo up && ip address add 192.168.26.1/32 dev lo && ip address add 192.168.26.5/32 dev lo || exit 97
             ip route replace table local local 192.168.26.1 dev lo src 192.168.26.5 || exit 97
             cd {folder}
             {serve} serve --listen 192.168.26.1:80 --state-dir state >serve.log 2>&1 & serve=$!
             nginx -c {folder}/nginx.conf & nginx=$!
             i=0; until curl -so /dev/null http://192.168.26.1/readyz && curl -sko /dev/null https://127.0.0.1:6443/cacerts; do
               i=$((i+1)); [ $i -lt 200 ] || exit 99; sleep 0.05; done
             PATH={bin}:$PATH timeout 4 {shell} {bin}/{script}; status=$?
             curl -s http://192.168.26.1/pxe/cluster-ca
             kill $serve $nginx; wait
             exit $status",
            folder = folder.display(), serve = pxe_serve().display(), bin = self.bin().display(),
        );
        let output = run(command("unshare").args(["--net", "sh", "-c", &commands]), Duration::from_secs(60));
        let journal = std::fs::read_to_string(folder.join("state/journal"));
        let journal = journal.unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (output.status.code(), journal, String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn have_all() -> bool {
    have(&["unshare", "ip", "openssl", "nginx", "curl", "dash", "busybox", "timeout"], true)
}

fn sha256_of(file: &Path) -> String {
    let output = run(command("sha256sum").arg(file), Duration::from_secs(10));
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

#[test]
fn a_server_has_joined_when_it_is_ready_and_its_certificate_shows_every_name() {
    if !have_all() {
        return;
    }
    let node = Node::new(|text| text);
    let all: Vec<&String> = node.names.iter().collect();
    node.certificate(&all);
    let ca = sha256_of(&node.site.path("ca.pem"));
    for shell in ["dash", "busybox ash"] {
        let (status, journal, known) = node.joins(shell, "pxe-serve-joined", 200);
        assert_eq!((status, known), (Some(0), format!("{ca}\n")), "{shell}: {journal}");
        assert!(journal.contains(r#""event":"k3s_started""#) && journal.contains(&ca), "{journal}");
    }
    let (status, journal, known) = node.joins("dash", "pxe-serve-joined", 500);
    assert_eq!(status, Some(124), "{journal}");
    let message = "pxe-serve-joined.service: not joined for 0 min: https://127.0.0.1:6443/readyz answers 500, not 200 (000 is no answer)\\nk3s said this";
    assert!(journal.contains(message), "{journal}");
    assert!(known.starts_with("no server has reported"), "{known}");
    let not_yet = "#!/bin/sh\n[ \"$2\" = k3s.service ] && echo active || echo activating\n";
    node.program("systemctl", not_yet);
    let (status, journal, _) = node.joins("dash", "pxe-serve-joined", 200);
    assert!(status == Some(124) && journal.contains("booted is not reported yet"), "{journal}");
    assert!(!journal.contains(r#""event":"k3s_started""#), "{journal}");
    node.program("systemctl", "#!/bin/sh\necho active\n");
    // One name of each kind is missing; another that only looks like it does not help.
    for (name, printed, instead) in [
        ("192.168.26.253", "IP Address:192.168.26.253", "192.168.26.25"),
        ("lenovo2", "DNS:lenovo2", "lenovo22"),
        ("fd00:26::fd", "IP Address:FD00:26:0:0:0:0:0:FD", "fd00:26::fd0"),
        ("2001:db8:0:ab::", "IP Address:2001:DB8:0:AB:0:0:0:0", "2001:db8:0:ab::1"),
    ] {
        let instead = instead.to_owned();
        let shown: Vec<&String> =
            node.names.iter().filter(|other| *other != name).chain([&instead]).collect();
        node.certificate(&shown);
        let (status, journal, _) = node.joins("busybox ash", "pxe-serve-joined", 200);
        assert_eq!(status, Some(124), "{journal}");
        assert!(journal.contains(&format!("the certificate on port 6443 lacks {printed}\\n")), "{journal}");
        assert!(!journal.contains(r#""event":"joined""#), "{journal}");
    }
}

#[test]
fn a_server_of_an_old_release_is_asked_by_its_own_kubectl_and_a_worker_by_its_kubelets() {
    if !have_all() {
        return;
    }
    let node = Node::new(|text| {
        let worker = "  lenovo3:\n    role: worker";
        let token = "  agent_token: {file: secrets/k3s-agent-token}\n  phase:";
        text.replace("v1.37.0+k3s1", "v1.30.4+k3s1").replace("  lenovo3:", worker).replace("  phase:", token)
    });
    node.certificate(&node.names.iter().collect::<Vec<_>>());
    for (answer, exit, joins) in [("ok", 0, true), ("etcd is down", 1, false)] {
        let log = node.site.path("asked").display().to_string();
        node.program("k3s", &format!("#!/bin/sh\necho \"$@\" >>{log}\necho '{answer}'\nexit {exit}\n"));
        let (status, journal, _) = node.joins("dash", "pxe-serve-joined", 401);
        assert_eq!(status == Some(0), joins, "{journal}");
        assert!(joins || journal.contains("k3s kubectl get --raw=/readyz: etcd is down"), "{journal}");
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().next(), Some("kubectl get --raw=/readyz"));
        std::fs::remove_file(&log).unwrap();
    }
    for (answer, joins) in [("True", true), ("False", false), ("Error from server (NotFound)", false)] {
        node.program("k3s", &format!("#!/bin/sh\necho '{answer}'\n"));
        // lenovo1 reports in its stead: what counts here is the script.
        let (status, journal, _) = node.joins("busybox ash", "pxe-serve-joined-lenovo3", 401);
        assert_eq!(status == Some(0), joins, "{answer}: {journal}");
        assert!(joins || journal.contains(&format!("the node lenovo3 is not Ready: {answer}")), "{journal}");
    }
}
