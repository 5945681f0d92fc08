//! What a node gets for its updates: Zincati's configuration, and what drains it. Real systemd and k3s are not here: the
//! script runs with programs that answer as theirs do, and write down what they were asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use pxe_serve::catalogue::{Catalogue, Sensitivity};

use crate::site::Site;

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {
  server: 'https://192.168.26.253:6443'}}]
contexts: [{name: c, context: {cluster: c, user: drain}}]
users:
- name: drain
  user: {token: canary-of-drain-5b1e}
";

fn site(updates: &str) -> Catalogue {
    let updates = format!("updates: {updates}\ndefaults:");
    Site::new().inventory("defaults:", &updates).file("kubeconfig", KUBECONFIG).clean()
}

fn text(catalogue: &Catalogue, path: &str) -> String {
    String::from_utf8(catalogue.get(path).unwrap_or_else(|| panic!("{path}")).bytes().to_vec()).unwrap()
}

/// Without comments and blank lines.
fn settings(catalogue: &Catalogue, host: &str) -> Vec<String> {
    let text = text(catalogue, &format!("pxe/configs/zincati-{host}.toml"));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn zincati_asks_this_server_unless_the_inventory_says_otherwise() {
    for inventory in ["{}", "{windows: [{start: \"03:00\", length: 2h}]}"] {
        let catalogue = site(inventory);
        for (host, group) in [("lenovo1", "control-plane"), ("tower1", "worker")] {
            let group = format!("group = \"{group}\"");
            let expected = [
                "[identity]",
                &group,
                "[updates]",
                "enabled = true",
                "strategy = \"fleet_lock\"",
                "[updates.fleet_lock]",
                // Without a path: Zincati resolves v1/pre-reboot against it (RFC 3986 §5.2).
                "base_url = \"http://192.168.26.1\"",
            ];
            assert_eq!(settings(&catalogue, host), expected);
        }
        let ignition = text(&catalogue, "pxe/ignition/lenovo2.ign");
        assert!(ignition.contains("/etc/zincati/config.d/55-pxe-serve.toml"));
        assert!(
            text(&catalogue, "pxe/configs/zincati-lenovo1.toml").contains("not drained before it reboots")
        );
    }
}

#[test]
fn zincati_keeps_to_windows_by_itself_or_does_nothing_if_so_told() {
    let windows = "{strategy: windows, windows: [{days: [Sun, Sat], start: \"23:30\", length: 90min}, {start: \"03:00\", length: 10m}]}";
    let updates = format!("updates: {windows}\ndefaults:");
    let site_of_windows = Site::new().inventory("defaults:", &updates);
    let findings = site_of_windows.findings();
    assert!(
        findings
            .contains("warning: updates.strategy: nobody keeps the 3 control planes from rebooting at once"),
        "{findings}"
    );
    let catalogue = site_of_windows.load().generation.unwrap().catalogue;
    let expected = [
        "[identity]",
        "group = \"worker\"",
        "[updates]",
        "enabled = true",
        "strategy = \"periodic\"",
        "[[updates.periodic.window]]",
        "days = [\"Sat\", \"Sun\"]",
        "start_time = \"23:30\"",
        "length_minutes = 90",
        "[[updates.periodic.window]]",
        "days = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"]",
        "start_time = \"03:00\"",
        "length_minutes = 10",
    ];
    assert_eq!(settings(&catalogue, "tower1"), expected);
    let expected = ["[identity]", "group = \"control-plane\"", "[updates]", "enabled = false"];
    assert_eq!(settings(&site("{strategy: off}"), "lenovo1"), expected);
}

#[test]
fn only_with_a_kubeconfig_nodes_are_drained_and_it_is_a_secret() {
    let kubeconfig = "pxe/configs/drain-kubeconfig";
    assert!(site("{}").get(kubeconfig).is_none());
    let catalogue = site("{drain: {kubeconfig: {file: kubeconfig}}}");
    assert_eq!(text(&catalogue, kubeconfig), KUBECONFIG);
    assert_eq!(catalogue.get(kubeconfig).unwrap().sensitivity, Sensitivity::Secret);
    for path in ["pxe/scripts/pxe-serve-drain.sh", "pxe/configs/zincati-lenovo1.toml"] {
        assert_eq!(catalogue.get(path).unwrap().sensitivity, Sensitivity::Public, "{path}");
    }
    assert!(!text(&catalogue, "pxe/configs/zincati-lenovo1.toml").contains("not drained"));
    let bad = Site::new().inventory("defaults:", "updates: {drain: {kubeconfig: {file: token}}}\ndefaults:");
    let findings = bad.findings();
    assert!(findings.contains("updates.drain.kubeconfig: this is no kubeconfig"), "{findings}");
}

/// A node with programs that do as they are told.
struct Node {
    folder: tempfile::TempDir,
}

/// As systemd 252 to 257 print a queue of jobs with --no-legend; that of a plain `systemctl stop` has none of a target.
const REBOOT: &str =
    "  812 reboot.target             start waiting\n  901 pxe-serve-drain.service   stop  running\n";
const POWER_OFF: &str =
    "  812 poweroff.target           start waiting\n  901 pxe-serve-drain.service   stop  running\n";
const STOP: &str = "  901 pxe-serve-drain.service   stop  running\n";

impl Node {
    /// `kubectl` is what k3s' does with its arguments, after they were written down.
    fn new(jobs: &str, kubectl: &str) -> Node {
        let node = Node { folder: tempfile::tempdir().unwrap() };
        let script =
            text(&site("{drain: {kubeconfig: {file: kubeconfig}}}"), "pxe/scripts/pxe-serve-drain.sh");
        assert!(script.contains("limit=300\n"));
        node.program("drain", &script.replace("limit=300\n", "limit=1\n"));
        node.program(
            "systemctl",
            &format!("#!/bin/sh\n[ \"$*\" = 'list-jobs --no-legend' ] || exit 9\ncat <<'E'\n{jobs}E\n"),
        );
        node.program("uname", "#!/bin/sh\necho lenovo1\n");
        node.program(
            "k3s",
            &format!("#!/bin/sh\nshift 3\necho \"$*\" >>\"$STATE_DIRECTORY/asked\"\n{kubectl}\n"),
        );
        node
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn runs(&self, word: &str) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("").display());
        let mut command = Command::new(self.path("drain"));
        command.arg(word).env("PATH", path).env("STATE_DIRECTORY", self.path(""));
        let output = command.output().unwrap();
        assert!(word != "drain" || output.status.success(), "nothing keeps it from rebooting: {output:?}");
        output
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn is_to_be_uncordoned(&self) -> bool {
        self.path("drained").exists()
    }
}

const GET: &str = "get node lenovo1 --output jsonpath={.spec.unschedulable}";

#[test]
fn a_node_is_drained_by_a_reboot_and_uncordoned_afterwards() {
    let node = Node::new(REBOOT, "");
    node.runs("drain");
    let drain = "drain lenovo1 --ignore-daemonsets --delete-emptydir-data --timeout=1s";
    assert_eq!(node.asked(), [GET, drain]);
    assert!(node.is_to_be_uncordoned());
    assert!(node.runs("uncordon").status.success());
    assert_eq!(node.asked()[2..], ["uncordon lenovo1"]);
    assert!(!node.is_to_be_uncordoned());
}

#[test]
fn a_node_is_not_drained_when_its_unit_is_stopped_or_it_is_switched_off() {
    for jobs in [STOP, POWER_OFF, ""] {
        let node = Node::new(jobs, "");
        node.runs("drain");
        assert_eq!((node.asked(), node.is_to_be_uncordoned()), (vec![], false), "{jobs}");
    }
}

#[test]
fn a_node_that_an_operator_has_cordoned_stays_so() {
    let node = Node::new(REBOOT, "echo true");
    node.runs("drain");
    assert_eq!((node.asked(), node.is_to_be_uncordoned()), (vec![GET.to_owned()], false));
}

#[test]
fn a_drain_that_fails_or_hangs_is_given_up_and_what_was_cordoned_is_uncordoned_when_the_api_is_back() {
    for kubectl in ["exit 1", "exec sleep 60"] {
        let node = Node::new(REBOOT, kubectl);
        // The question whether it is cordoned has a limit of its own.
        if kubectl.starts_with("exec") {
            let quick = fs::read_to_string(node.path("drain")).unwrap().replace("kubectl 20 ", "kubectl 1 ");
            node.program("drain", &quick);
        }
        let output = node.runs("drain");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("lenovo1 is not drained after 1 s, and reboots all the same"), "{said}");
        assert!(node.is_to_be_uncordoned());
    }
    let node = Node::new(REBOOT, "[ \"$1\" != uncordon ]");
    node.runs("drain");
    assert!(!node.runs("uncordon").status.success(), "the unit tries again");
    assert!(node.is_to_be_uncordoned());
}
