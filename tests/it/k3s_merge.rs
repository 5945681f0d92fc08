//! k3s' rules for its configuration files, as a table, and what our drop-in does to each of them.

use pxe_serve::cluster::San;
use pxe_serve::cluster::k3s_config::{ConfigFile, effective};
use pxe_serve::cluster::tls_san::{configured, drop_in, missing};

struct Case {
    name: String,
    files: Vec<ConfigFile>,
    /// None: k3s would not start with it.
    values: Option<Vec<String>>,
}

/// `tests/cases/k3s-merge.json`: files, and the `--tls-san=` arguments that k3s makes of them.
fn cases() -> Vec<Case> {
    let text = include_str!("../cases/k3s-merge.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let case = |case: &serde_json::Value| {
        // Backwards, since a shell and a folder have no order that could be relied on.
        let files = case["files"].as_object().unwrap().iter().rev();
        let file = |(name, text): (&String, &serde_json::Value)| file(name, text.as_str().unwrap());
        let strings = |list: &Vec<serde_json::Value>| {
            list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        Case {
            name: case["name"].as_str().unwrap().to_owned(),
            files: files.map(file).collect(),
            values: case["tls-san"].as_array().map(strings),
        }
    };
    cases.iter().map(case).collect()
}

fn file(name: &str, text: &str) -> ConfigFile {
    ConfigFile { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn demanded() -> Vec<String> {
    ["192.168.26.253", "fd00::253", "k3s.lab.internal", "lenovo1"].map(str::to_owned).to_vec()
}

#[test]
fn each_set_of_files_gives_the_values_that_k3s_would_read() {
    let cases = cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    for case in cases {
        let read = effective(&case.files, "tls-san").map(|effective| effective.values).ok();
        assert_eq!(read, case.values, "{}", case.name);
    }
}

#[test]
fn our_drop_in_adds_what_is_missing_and_drops_nothing_in_every_case() {
    for case in cases().into_iter().filter(|case| case.values.is_some()) {
        let before = configured(&case.files).unwrap();
        let ours = drop_in(&case.files, &demanded()).unwrap().expect("none of the cases has all");
        let mut files = case.files;
        files.push(file(ours.name, &ours.contents));
        let after = configured(&files).unwrap();
        assert_eq!(missing(&demanded(), &after), Vec::<String>::new(), "{}", case.name);
        assert!(before.iter().all(|name| after.contains(name)), "{}: {before:?} {after:?}", case.name);
        assert_eq!(drop_in(&files, &demanded()).unwrap(), None, "{}: the second time", case.name);
    }
}

#[test]
fn a_configuration_that_has_all_is_left_alone_however_it_is_written() {
    for text in [
        "tls-san: [192.168.26.253, 'fd00::253', k3s.lab.internal, lenovo1]\n",
        "tls-san: 192.168.26.253,fd00:0:0::253,k3s.lab.internal,lenovo1\n",
        "tls-san: [Lenovo1, K3S.lab.internal, 'FD00::253', 192.168.26.253, more]\n",
        "tls-san+: [192.168.26.253]\ntls-san+: [lenovo1, k3s.lab.internal]\ntls-san+: 'fd00::253'\n",
    ] {
        assert_eq!(drop_in(&[file("config.yaml", text)], &demanded()).unwrap(), None, "{text}");
    }
    // k3s does not cut off blanks.
    let blanks = "tls-san: '192.168.26.253, fd00::253, k3s.lab.internal, lenovo1'\n";
    assert!(drop_in(&[file("config.yaml", blanks)], &demanded()).unwrap().is_some());
}

#[test]
fn a_later_file_that_replaces_is_outrun_where_that_is_possible() {
    let name_for = |file_name: &str, text: &str| {
        let files =
            [file("config.yaml", "tls-san: [a]\n"), file(&format!("config.yaml.d/{file_name}"), text)];
        drop_in(&files, &demanded()).map(|ours| ours.unwrap().name.to_owned())
    };
    let early = "config.yaml.d/90-pxe-serve-tls-san.yaml";
    assert_eq!(name_for("10-vip.yaml", "tls-san: [b]\n").unwrap(), early);
    assert_eq!(name_for("99-vip.yaml", "tls-san+: [b]\n").unwrap(), early);
    assert_eq!(name_for("99-vip.yaml", "tls-san: [b]\n").unwrap(), "config.yaml.d/zz-pxe-serve-tls-san.yaml");
    let refused = name_for("zzz.yaml", "tls-san: [b]\n").unwrap_err();
    assert!(refused.message.contains("config.yaml.d/zzz.yaml has a plain `tls-san:`"), "{refused}");
    assert!(refused.help.contains("`tls-san+:`"), "{}", refused.help);
}

#[test]
fn our_own_drop_in_is_written_anew_when_the_inventory_changes() {
    let ours = drop_in(&[], &demanded()).unwrap().unwrap();
    let files = [file(ours.name, &ours.contents)];
    let more = [demanded(), vec!["192.168.26.9".to_owned()]].concat();
    let again = drop_in(&files, &more).unwrap().unwrap();
    assert_eq!(again.name, ours.name);
    assert_eq!(
        configured(&[file(again.name, &again.contents)]).unwrap(),
        more.iter().map(|name| San::of(name)).collect::<Vec<_>>()
    );
}

#[test]
fn a_file_that_cannot_be_read_is_refused_without_a_word_of_what_is_in_it() {
    let text = "token: K10canary::server:canary\ntls-san: [a\n  K10canary: : {\n";
    for text in [text, "K10canary", "- K10canary", "token: \"K10canary\n", "token: K10canary\n\ttls-san: a\n"]
    {
        let error = drop_in(&[file("config.yaml", text)], &demanded()).unwrap_err();
        assert!(error.message.contains("/etc/rancher/k3s/config.yaml"), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
