//! Kubeconfigs as text: what is taken out of one, and what stays when a cluster is folded into somebody's own.

use proptest::prelude::*;
use pxe_serve::cluster::Access;
use serde_json::Value;

use crate::api::{A_YEAR, Ca};

const NAME: &str = "k3s.lab.internal";
const SERVER: &str = "https://192.168.26.253:6443";

fn access(ca: &Ca) -> Access {
    Access::read("k3s.yaml", ca.k3s_yaml(&ca.issue(&[], A_YEAR)).as_bytes()).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Somebody's own, with comments in every place.
const THEIRS: &str = "\
# mine, do not touch
apiVersion: v1
kind: Config   # as always
clusters:
# the one at work
- cluster:
    # behind the VPN
    server: https://work.example.com   # by name
    certificate-authority: /home/me/work.pem
  name: work
contexts:
  - name: work   # indented
    context: {cluster: work, user: me@work, namespace: \"dev\"}
users:
- name: me@work
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args: [-a, 'b: c']
current-context: work
preferences: {}
# the end
";

#[test]
fn a_cluster_is_folded_in_and_every_line_of_theirs_stays() {
    let access = access(&Ca::new());
    let merged = access.merged_into("config", THEIRS, NAME, SERVER).unwrap();
    // In their order, with nothing but whole lines of ours in between.
    let mut lines = merged.lines();
    assert!(THEIRS.lines().all(|line| lines.any(|merged| merged == line)), "{merged}");
    assert_eq!(merged.lines().count(), THEIRS.lines().count() + 4 * 3);
    let (merged, ours) = (yaml(&merged), yaml(&access.kubeconfig(NAME, SERVER)));
    for section in ["clusters", "contexts", "users"] {
        assert_eq!(merged[section][0], ours[section][0]);
    }
    assert_eq!(merged["clusters"][0]["cluster"]["server"], SERVER);
    assert_eq!(merged["current-context"], "work");
}

#[test]
fn folding_in_again_changes_the_server_alone() {
    let access = access(&Ca::new());
    let once = access.merged_into("config", THEIRS, NAME, SERVER).unwrap();
    // As a user may have gone on with it.
    let used = once.replace(
        "    user: k3s.lab.internal\n",
        "    user: k3s.lab.internal\n      namespace: longhorn-system  # mine\n",
    );
    let used = used.replace(SERVER, &format!("{SERVER}  # the VIP"));
    assert_eq!(access.merged_into("config", &used, NAME, SERVER).unwrap(), used);
    let node = "https://[fd00::5]:6443";
    assert_eq!(access.merged_into("config", &used, NAME, node).unwrap(), used.replace(SERVER, node));
}

#[test]
fn a_renewed_client_certificate_takes_the_place_of_the_old_one() {
    let ca = Ca::new();
    let (old, new) = (access(&ca), access(&ca));
    let once = old.merged_into("config", THEIRS, NAME, SERVER).unwrap();
    let again = new.merged_into("config", &once, NAME, SERVER).unwrap();
    assert_eq!(again, new.merged_into("config", THEIRS, NAME, SERVER).unwrap());
}

#[test]
fn a_bundle_with_the_old_ca_and_the_new_one_is_still_the_same_cluster() {
    let (old, new) = (Ca::new(), Ca::new());
    let client = new.issue(&[], A_YEAR);
    let both = new.k3s_yaml(&client).replace(&base64(&new.pem()), &base64(&(old.pem() + &new.pem())));
    let both = Access::read("k3s.yaml", both.as_bytes()).unwrap();
    let before = access(&old).merged_into("config", THEIRS, NAME, SERVER).unwrap();
    let during = both.merged_into("config", &before, NAME, SERVER).unwrap();
    access(&new).merged_into("config", &during, NAME, SERVER).unwrap();
    assert!(access(&new).merged_into("config", &before, NAME, SERVER).is_err());
}

fn base64(text: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
}

#[test]
fn empty_and_half_empty_files_become_kubeconfigs() {
    let access = access(&Ca::new());
    let fresh = yaml(&access.kubeconfig(NAME, SERVER));
    for old in [
        "",
        "\n\n",
        "# nothing yet\n",
        "apiVersion: v1\nkind: Config\n",
        "apiVersion: v1\nclusters: []\ncontexts: null\ncurrent-context: \"\"\nkind: Config\nusers: []   # none\n",
        "apiVersion: v1\nclusters:\ncontexts:\ncurrent-context:\nkind: Config\nusers:",
        "---\napiVersion: v1\nkind: Config\nclusters: ~\n",
    ] {
        let merged =
            access.merged_into("config", old, NAME, SERVER).unwrap_or_else(|why| panic!("{old}: {why}"));
        assert_eq!(yaml(&merged), fresh, "{old:?}\n{merged}");
        assert!(!old.contains("# n") || merged.contains("# n"), "{merged}");
    }
}

#[test]
fn what_cannot_be_edited_without_risk_is_refused_with_a_remedy() {
    let access = access(&Ca::new());
    let json = yaml(THEIRS).to_string();
    let anchors = THEIRS
        .replace("clusters:\n", "clusters: &all\n")
        .replace("preferences: {}", "preferences: {a: *all}");
    for (old, expected) in [
        (json.as_str(), "flow style"),
        (&anchors, "aliases"),
        ("clusters: [{name: work, cluster: {server: x}}]\n", "flow style"),
        ("just text\n", "not a kubeconfig"),
        ("a: [\n", "not one YAML document, line"),
        ("a: 1\n---\nb: 2\n", "not one YAML document"),
        ("apiVersion: v1\n...\n", "cannot be edited"),
    ] {
        let why = access.merged_into("config", old, NAME, SERVER).unwrap_err();
        assert!(why.message.contains(expected) && !why.help.is_empty(), "{old}\n{why}");
    }
}

#[test]
fn an_entry_of_our_name_that_is_another_clusters_is_refused() {
    let (ours, other) = (access(&Ca::new()), access(&Ca::new()));
    let theirs = other.kubeconfig(NAME, SERVER);
    for (old, expected) in [
        (theirs.clone(), "of another CA"),
        (
            theirs
                .replace("\nusers:", "\nothers:")
                .replace("\nclusters:", "\nold-clusters:")
                .replace("cluster: k3s", "cluster: x"),
            "another cluster or user",
        ),
        (
            theirs.replace("\nclusters:", "\nold-clusters:").replace("\ncontexts:", "\nold-contexts:"),
            "a user k3s.lab.internal of another",
        ),
        (
            ours.kubeconfig(NAME, SERVER).replace("    server:", "    proxy-url: http://p\n    server:"),
            "with proxy-url",
        ),
        (
            ours.kubeconfig(NAME, SERVER)
                .replace("    client-key-data:", "    token: SECRET\n    client-key-data:"),
            "with token",
        ),
    ] {
        let why = ours.merged_into("config", &old, NAME, SERVER).unwrap_err();
        assert!(why.message.contains(expected) && why.help.contains("--context"), "{why}\n{old}");
        assert!(!why.to_string().contains("SECRET"));
    }
}

#[test]
fn only_nothing_and_this_clusters_own_kubeconfig_are_overwritten() {
    let ca = Ca::new();
    let (ours, renewed, other) = (access(&ca), access(&ca), access(&Ca::new()));
    let own = ours.kubeconfig(NAME, SERVER);
    let k3s_yaml = ca.k3s_yaml(&ca.issue(&[], A_YEAR));
    let skeleton = "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {}\nusers: null\n";
    for old in ["", "\n \n", skeleton, &own, &renewed.kubeconfig("other-name", "https://other"), &k3s_yaml] {
        ours.check_overwrites("lab.yaml", old.as_bytes()).unwrap_or_else(|why| panic!("{why}\n{old}"));
    }
    let with = |before: &str, more: &str| {
        assert!(own.contains(before));
        own.replacen(before, &format!("{more}{before}"), 1)
    };
    let two_users = own.replace("users:\n", "users:\n- {name: SECRET, user: {client-key-data: SECRET}}\n");
    let no_cluster = {
        let (start, end) = (own.find("clusters:").unwrap(), own.find("contexts:").unwrap());
        format!("{}{}", &own[..start], &own[end..])
    };
    for (old, lost, remedy) in [
        (THEIRS, "a cluster \"work\" with certificate-authority,", "--merge"),
        (&other.kubeconfig(NAME, SERVER), "of another CA", "--merge"),
        (&with("    client-key-data:", "    token: SECRET\n"), "with token", "--merge"),
        (&with("    client-key-data:", "    exec: {command: SECRET}\n"), "with exec", "--merge"),
        (&with("    server:", "    proxy-url: SECRET\n"), "with proxy-url", "--merge"),
        (&with("    user:", "    namespace: dev\n"), "with namespace", "--merge"),
        (&with("kind:", "extensions: [SECRET]\n"), "extensions", "--merge"),
        (&with("kind:", "preferences: {colors: true}\n"), "preferences", "--merge"),
        (&with("kind:", "users: SECRET\n").replace("\nusers:\n-", "\nothers:\n-"), "others", "--merge"),
        (&two_users, "further users", "--merge"),
        (&no_cluster, "further contexts", "--merge"),
        (&own.replace("kind: Config", "kind: ConfigMap"), "not a kubeconfig", "--out"),
        ("# a note\n", "not a kubeconfig", "--out"),
        ("notes: to myself\n", "not a kubeconfig", "--out"),
        ("SECRET", "not a kubeconfig", "--out"),
        ("- SECRET\n", "not a kubeconfig", "--out"),
        ("a: [\n", "not a kubeconfig", "--out"),
        (include_str!("../../inventory.yaml"), "not a kubeconfig", "--out"),
    ] {
        let why = ours.check_overwrites("lab.yaml", old.as_bytes()).expect_err(old);
        assert!(why.message.contains(lost) && why.help.contains(remedy), "{why}\n{old}");
        assert!(!why.to_string().contains("SECRET"), "{why}");
    }
    assert!(ours.check_overwrites("lab.yaml", b"\xff\xfe").is_err());
}

#[test]
fn the_current_context_of_a_file_with_many_is_what_is_taken() {
    let access = access(&Ca::new());
    let merged = access.merged_into("config", THEIRS, NAME, SERVER).unwrap();
    let other = Access::read("config", merged.as_bytes()).unwrap_err();
    assert!(other.message.contains("has no certificate-authority-data"), "{other}");
    let used = merged.replace("current-context: work", &format!("current-context: {NAME}"));
    assert_eq!(Access::read("config", used.as_bytes()).unwrap().chain, access.chain);
}

#[test]
fn what_is_no_use_as_access_is_refused_with_the_reason_and_never_with_the_key() {
    let ca = Ca::new();
    let good = ca.k3s_yaml(&ca.issue(&[], A_YEAR));
    let key = good.lines().find(|line| line.contains("client-key-data")).unwrap().trim();
    let value = key.split(": ").nth(1).unwrap();
    for (bad, expected) in [
        (good.replace(key, ""), "has no client-key-data"),
        (good.replace(value, "a-b"), "not base64"),
        (
            good.replace("client-certificate-data: ", "client-certificate-data: LS0t"),
            "no certificate in client-certificate-data",
        ),
        (good.replace("current-context: default", "current-context: other"), "has no context \"other\""),
        (good.replace("user: default", "user: other"), "has no user \"other\""),
        (good.replace("    client-key-data", "\tclient-key-data"), "not one YAML document, line"),
        ("{}".into(), "has no context"),
        (String::new(), "has no context"),
    ] {
        let why = Access::read("k3s.yaml", bad.as_bytes()).unwrap_err();
        let said = format!("{} {}", why.message, why.help);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains(&value[..40]));
    }
    let access = Access::read("k3s.yaml", good.as_bytes()).unwrap();
    let shown = format!("{access:?}");
    assert!(!shown.contains("KEY") && shown.contains("CN=k3s"), "{shown}");
}

#[test]
fn dates_are_looked_at_before_anything_is_sent() {
    let ca = Ca::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let check = |days| {
        let access = Access::read("k3s.yaml", ca.k3s_yaml(&ca.issue(&[], days)).as_bytes()).unwrap();
        access.check_dates(now)
    };
    assert_eq!(check(A_YEAR), Ok(None));
    assert_eq!(check(-300..10).unwrap().unwrap().message, "the client's certificate expires in 10 days");
    assert_eq!(check(-300..-1).unwrap_err().message, "the client's certificate has expired");
    assert_eq!(check(1..30).unwrap_err().message, "the client's certificate is not valid yet");
}

fn comment() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "  # [a-z:\\[{]{0,12}"]
}

proptest! {
    /// Whatever the file looks like: it is folded in with every line kept, or refused.
    #[test]
    fn nothing_is_ever_lost(
        lines in prop::collection::vec(
            (prop::sample::select(vec![
                "apiVersion: v1", "kind: Config", "clusters:", "contexts:", "users:", "users: []", "clusters: null",
                "- name: a", "- name: k3s.lab.internal", "  cluster:", "    server: x", "  user: {token: t}", "  - name: b",
                "    cluster: {server: y}", "current-context: a", "current-context: ''", "extra: |", "    text", "- &x", "- *x", "---",
            ]), comment()),
            0..14,
        ),
    ) {
        let old: String = lines.iter().map(|(line, comment)| format!("{line}{comment}\n")).collect();
        thread_local!(static ACCESS: Access = access(&Ca::new()));
        let merged = ACCESS.with(|access| access.merged_into("config", &old, NAME, SERVER));
        if let Ok(merged) = merged {
            let mut rest = merged.lines();
            for line in old.lines() {
                // An empty list and an empty name give way to ours.
                let kept = line.split("  #").next().unwrap().trim_end_matches(" []").trim_end_matches(" null").trim_end_matches(" ''");
                prop_assert!(rest.any(|merged| merged.starts_with(kept)), "{}\n{}", old, merged);
            }
            for comment in old.lines().filter_map(|line| Some(line.split_once("  #")?.1)) {
                prop_assert!(merged.contains(comment), "{}\n{}", old, merged);
            }
        }
    }
}
