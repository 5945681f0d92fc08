//! `kubeconfig`, `tls-san check` and `doctor` against API servers that live, are sick, lie or are silent.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::lab::{LENOVOS, Lab, VIP};
use crate::api::{A_YEAR, BlackHole, Ca, Does};

fn program(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    command.args(arguments).current_dir(&lab.folder).stdin(Stdio::null()).env("HOME", lab.folder.path());
    command.env_remove("KUBECONFIG");
    command
}

/// Runs it, expects an exit status, and gives what it said; the client's key is never in that.
#[track_caller]
fn expect(status: i32, lab: &Lab, arguments: &[&str]) -> (String, String) {
    let output = program(lab, arguments).output().unwrap();
    expected(status, lab, &output)
}

#[track_caller]
fn expected(status: i32, lab: &Lab, output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{err}");
    let k3s_yaml = fs::read_to_string(lab.path("k3s.yaml")).unwrap_or_default();
    let key = k3s_yaml.split("client-key-data: ").nth(1).unwrap_or("nothing");
    for secret in [&key[..key.len().min(60)], lab.client.key_pem.lines().nth(1).unwrap()] {
        assert!(!out.contains(secret) && !err.contains(secret), "a key is shown\n{out}\n{err}");
    }
    (out, err)
}

#[track_caller]
fn json(status: i32, lab: &Lab, arguments: &[&str]) -> Value {
    let (out, err) = expect(status, lab, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}\n{out}\n{err}"))
}

const WRITE: &[&str] = &["kubeconfig", "--from", "k3s.yaml", "--out", "lab.yaml"];

fn server_in(lab: &Lab, file: &str) -> String {
    let config: Value = serde_yaml::from_str(&fs::read_to_string(lab.path(file)).unwrap()).unwrap();
    config["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned()
}

#[test]
fn the_vip_is_taken_when_it_is_good() {
    let lab = Lab::whole();
    let (out, _) = expect(0, &lab, WRITE);
    assert!(
        out.contains(&format!("lab.yaml: context {} now uses {}", lab.address(VIP), lab.url(VIP))),
        "{out}"
    );
    assert_eq!(server_in(&lab, "lab.yaml"), lab.url(VIP));
    let mode = fs::metadata(lab.path("lab.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let before = fs::metadata(lab.path("lab.yaml")).unwrap().modified().unwrap();
    let (out, _) = expect(0, &lab, WRITE);
    assert!(out.contains("as before"), "{out}");
    assert_eq!(fs::metadata(lab.path("lab.yaml")).unwrap().modified().unwrap(), before);
}

#[test]
fn whatever_ails_the_vip_the_first_good_server_in_the_inventorys_order_is_taken() {
    let mut lab = Lab::whole();
    let without_vip: Vec<String> = lab.sans().into_iter().filter(|san| *san != lab.address(VIP)).collect();
    let all = lab.sans();
    let cases: [(&[String], _, Does, &str); 8] = [
        (&without_vip, A_YEAR, Does::Answers, "not_for_name"),
        (&all, -9..-1, Does::Answers, "expired"),
        (&all, A_YEAR, Does::Status(500), "status"),
        (&all, A_YEAR, Does::Status(401), "status"),
        (&all, A_YEAR, Does::Alerts, "alert"),
        (&all, A_YEAR, Does::Plain, "not_tls"),
        (&all, A_YEAR, Does::Accepts, "timed_out"),
        (&all, A_YEAR, Does::Hangs, "timed_out"),
    ];
    // lenovo1 is sick as well.
    lab.start(LENOVOS[0], Does::Status(500));
    for (sans, days, does, kind) in cases {
        lab.start_with(VIP, sans, days, does);
        let said = json(0, &lab, WRITE);
        assert_eq!(said["server"], lab.url(LENOVOS[1]), "{said}");
        assert_eq!(said["tried"][0]["failure"]["kind"], kind, "{said}");
        assert_eq!(said["tried"][0]["via"], "vip");
        assert!(said["tried"][0]["help"].is_string());
        assert_eq!(server_in(&lab, "lab.yaml"), lab.url(LENOVOS[1]));
    }
    // Another machine has the VIP's address.
    lab.stop(VIP);
    let other = Ca::new();
    let stranger = other.issue(&all, A_YEAR);
    let _api = crate::api::Api::start(lab.address(VIP), &other, &stranger, Does::Answers);
    let said = json(0, &lab, WRITE);
    assert_eq!(said["tried"][0]["failure"]["kind"], "unknown_ca");
    assert!(_api.seen().is_empty(), "the client certificate went to a stranger");
}

#[test]
fn nobody_good_leaves_the_old_file_as_it_was_and_exits_1() {
    let lab = Lab::new();
    fs::write(lab.path("lab.yaml"), "old").unwrap();
    let (out, _) = expect(1, &lab, WRITE);
    assert!(out.contains("nobody is good; lab.yaml is as it was"), "{out}");
    assert!(out.contains("connection refused") && out.contains("help: "), "{out}");
    assert_eq!(fs::read_to_string(lab.path("lab.yaml")).unwrap(), "old");
    let said = json(1, &lab, WRITE);
    assert!(said["server"].is_null() && said["written"] == false);
}

#[test]
fn the_decision_is_there_within_three_seconds_when_everything_hangs() {
    // What the program itself says of each answer and of each that it gave up: its start and end are not the decision's.
    let slowest = |said: &Value| {
        let tried = said["tried"].as_array().unwrap();
        tried.iter().filter_map(|row| row["milliseconds"].as_u64()).max().unwrap()
    };
    let mut lab = Lab::new();
    let vip = BlackHole::start(lab.address(VIP));
    let _holes = [BlackHole::start(lab.address(LENOVOS[0])), BlackHole::start(lab.address(LENOVOS[1]))];
    lab.start(LENOVOS[2], Does::Answers);
    let said = json(0, &lab, WRITE);
    let took = slowest(&said);
    eprintln!("decided after {took} ms, two black holes among three nodes, and the VIP one");
    assert_eq!(said["server"], lab.url(LENOVOS[2]));
    assert!(took <= 3_000, "{said}");
    lab.start_with(LENOVOS[2], &lab.sans(), A_YEAR, Does::Hangs);
    let said = json(1, &lab, WRITE);
    assert!(slowest(&said) <= 3_000, "{said}");
    let failures: Vec<&Value> =
        said["tried"].as_array().unwrap().iter().map(|row| &row["failure"]["detail"]).collect();
    assert_eq!(failures, ["connect", "connect", "connect", "answer"]);
    drop(vip);
}

#[test]
fn without_a_file_it_only_says_what_it_would_take() {
    let lab = Lab::whole();
    let (out, _) = expect(0, &lab, &["kubeconfig", "--from", "k3s.yaml"]);
    assert!(out.contains(&format!("{} would be taken; nothing was written", lab.url(VIP))), "{out}");
    assert!(!lab.path(".kube").exists());
}

#[test]
fn standard_input_is_a_source_too() {
    let lab = Lab::whole();
    let mut command = program(&lab, &["kubeconfig", "--from", "-", "--out", "lab.yaml"]);
    command.stdin(fs::File::open(lab.path("k3s.yaml")).unwrap());
    expected(0, &lab, &command.output().unwrap());
    assert_eq!(server_in(&lab, "lab.yaml"), lab.url(VIP));
}

#[test]
fn merge_goes_to_the_users_own_kubeconfig_through_a_link_and_keeps_the_rest() {
    let mut lab = Lab::whole();
    let theirs = "# mine\napiVersion: v1\nclusters:\n- {name: work, cluster: {server: https://work}}\n";
    fs::create_dir(lab.path(".kube")).unwrap();
    fs::write(lab.path("dotfiles"), theirs).unwrap();
    symlink("../dotfiles", lab.path(".kube/config")).unwrap();
    let merge = ["kubeconfig", "--from", "k3s.yaml", "--merge", "--context", "lab"];
    expect(0, &lab, &merge);
    assert!(lab.path(".kube/config").is_symlink());
    let merged = fs::read_to_string(lab.path("dotfiles")).unwrap();
    assert!(
        merged.starts_with("# mine\n") && merged.contains("name: work") && merged.contains(&lab.url(VIP)),
        "{merged}"
    );
    lab.stop(VIP);
    expect(0, &lab, &merge);
    let again = fs::read_to_string(lab.path("dotfiles")).unwrap();
    assert_eq!(again, merged.replace(&lab.url(VIP), &lab.url(LENOVOS[0])));
    // Nothing is left beside it.
    let names: Vec<_> =
        fs::read_dir(lab.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_str().unwrap().contains("pxe-serve")), "{names:?}");
    // KUBECONFIG is asked first; of several it does not guess.
    let mut command = program(&lab, &merge);
    let (_, err) = expected(2, &lab, &command.env("KUBECONFIG", "a:b").output().unwrap());
    assert!(err.contains("--out FILE"), "{err}");
    let mut command = program(&lab, &merge);
    expected(0, &lab, &command.env("KUBECONFIG", "other").output().unwrap());
    assert!(lab.path("other").exists());
}

#[test]
fn a_file_with_anything_else_in_it_is_not_overwritten_without_merge() {
    let lab = Lab::whole();
    let work = "kind: Config\nclusters:\n- {name: work, cluster: {server: https://work}}\nusers: []\n";
    let inventory = fs::read_to_string(lab.path("inventory.yaml")).unwrap();
    for (theirs, remedy) in [(work, "--merge"), (&inventory, "--out"), ("notes: to myself\n", "--out")] {
        fs::write(lab.path("lab.yaml"), theirs).unwrap();
        let (_, err) = expect(2, &lab, WRITE);
        assert!(err.contains(remedy), "{err}");
        assert_eq!(fs::read_to_string(lab.path("lab.yaml")).unwrap(), theirs);
    }
    // The cluster's own k3s.yaml is its own.
    expect(0, &lab, &["kubeconfig", "--from", "k3s.yaml", "--out", "k3s.yaml"]);
    assert_eq!(server_in(&lab, "k3s.yaml"), lab.url(VIP));
}

#[test]
fn access_that_cannot_work_is_refused_before_anybody_is_asked() {
    let mut lab = Lab::whole();
    lab.client = lab.ca.issue(&[], -9..-1);
    fs::write(lab.path("k3s.yaml"), lab.ca.k3s_yaml(&lab.client)).unwrap();
    let (_, err) = expect(2, &lab, WRITE);
    assert!(err.contains("the client's certificate has expired; fetch"), "{err}");
    let (one, two) = (lab.ca.issue(&[], A_YEAR), lab.ca.issue(&[], A_YEAR));
    lab.client = crate::api::Issued { key_pem: two.key_pem, ..one };
    fs::write(lab.path("k3s.yaml"), lab.ca.k3s_yaml(&lab.client)).unwrap();
    let (_, err) = expect(2, &lab, WRITE);
    assert!(err.contains("key does not belong to its certificate"), "{err}");
    assert!(lab.apis.values().all(|api| api.seen().is_empty()));
    let (_, err) = expect(2, &lab, &["kubeconfig", "--from", "nowhere.yaml"]);
    assert!(err.contains("--ssh fetches it"), "{err}");
}

#[test]
fn killed_at_any_moment_it_leaves_the_old_file_or_the_new_one() {
    let lab = Lab::whole();
    let names = ["one", "two"];
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..24_u64 {
        let name = names[round as usize % 2];
        let mut child =
            program(&lab, &[WRITE, &["--context", name]].concat()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 4));
        let _ = child.kill();
        child.wait().unwrap();
        if let Ok(text) = fs::read_to_string(lab.path("lab.yaml")) {
            let config: Value = serde_yaml::from_str(&text).unwrap();
            assert!(names.iter().any(|name| config["current-context"] == *name), "{text}");
            assert_eq!(config["users"][0]["name"], config["current-context"]);
            seen.insert(text);
        }
    }
    expect(0, &lab, WRITE);
    assert!(!seen.is_empty(), "it was always killed before it wrote");
}

#[test]
fn watch_turns_when_it_is_sure_and_ends_by_sigterm() {
    let mut lab = Lab::whole();
    let mut child =
        program(&lab, &[WRITE, &["--watch", "--json"]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let until = |what: &str, server: String, lab: &Lab| {
        let begin = Instant::now();
        while !lab.path("lab.yaml").exists() || server_in(lab, "lab.yaml") != server {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        begin.elapsed()
    };
    until("first", lab.url(VIP), &lab);
    // One bad round changes nothing.
    lab.stop(VIP);
    std::thread::sleep(Duration::from_millis(3_200));
    lab.start(VIP, Does::Answers);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(server_in(&lab, "lab.yaml"), lab.url(VIP));
    lab.stop(VIP);
    let away = until("VIP gone", lab.url(LENOVOS[0]), &lab);
    assert!(away > Duration::from_secs(5), "turned after {away:?}");
    lab.start(VIP, Does::Answers);
    until("VIP back", lab.url(VIP), &lab);
    // Neither a file that was removed nor one that cannot be written for a while is its end.
    fs::remove_file(lab.path("lab.yaml")).unwrap();
    fs::create_dir(lab.path("lab.yaml")).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    fs::remove_dir(lab.path("lab.yaml")).unwrap();
    until("file is back", lab.url(VIP), &lab);
    for host in LENOVOS.into_iter().chain([VIP]) {
        lab.stop(host);
    }
    std::thread::sleep(Duration::from_secs(13));
    lab.start(VIP, Does::Answers);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let (out, _) = expected(0, &lab, &output);
    let server =
        |line| serde_json::from_str::<Value>(line).unwrap()["server"].as_str().unwrap_or_default().to_owned();
    let servers: Vec<String> = out.lines().map(server).collect();
    assert_eq!(
        servers,
        [lab.url(VIP), lab.url(LENOVOS[0]), lab.url(VIP), lab.url(VIP), String::new()],
        "{out}"
    );
}

#[test]
fn a_name_that_a_terminal_or_yaml_would_act_upon_is_refused() {
    let lab = Lab::whole();
    for name in ["", "a\nb", "\u{1b}[31mred", "a\u{7f}", "a\u{85}b"] {
        let (_, err) = expect(2, &lab, &[WRITE, &["--context", name]].concat());
        assert!(err.contains("no control characters"), "{err}");
    }
    assert!(!lab.path("lab.yaml").exists());
}

fn verdict<'v>(said: &'v Value, check: &str, subject: &str) -> &'v Value {
    let verdicts = said["verdicts"].as_array().unwrap();
    let found =
        verdicts.iter().find(|v| v["check"] == check && v["subject"].as_str().unwrap().contains(subject));
    found.unwrap_or_else(|| panic!("{check} {subject}\n{said:#}"))
}

#[test]
fn servers_that_show_what_is_demanded_agree_with_the_inventory() {
    let lab = Lab::whole();
    let (out, _) = expect(0, &lab, &["tls-san", "check"]);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok")).count(), 4, "{out}");
    let said = json(0, &lab, &["tls-san", "check"]);
    assert_eq!(said["shown"].as_array().unwrap().len(), 4);
    assert_eq!(said["demanded"].as_array().unwrap().len(), 7);
    assert!(lab.apis.values().flat_map(|api| api.seen()).count() == 0, "it asked for something");
}

#[test]
fn what_certificates_lack_have_too_much_or_outlive_is_a_difference() {
    let mut lab = Lab::whole();
    let old: Vec<String> = lab.sans().into_iter().filter(|san| *san != lab.address(VIP)).collect();
    lab.start_with(LENOVOS[0], &old, A_YEAR, Does::Answers);
    let more = [lab.sans(), vec!["192.168.26.254".into(), "*.other.internal".into()]].concat();
    lab.start_with(LENOVOS[1], &more, -300..20, Does::Answers);
    lab.stop(LENOVOS[2]);
    let said = json(1, &lab, &["tls-san", "check"]);
    let row = |host: u8| {
        let rows = said["shown"].as_array().unwrap();
        rows.iter().find(|row| row["address"] == lab.address(host)).unwrap()
    };
    assert_eq!(row(LENOVOS[0])["missing"], serde_json::json!([lab.address(VIP)]));
    assert_eq!(row(LENOVOS[1])["extra"], serde_json::json!(["*.other.internal", "192.168.26.254"]));
    assert_eq!(row(LENOVOS[1])["days_left"], 20);
    assert_eq!(row(LENOVOS[2])["failure"], "connection refused");
    for (check, subject, severity) in [
        ("tls-san", "lenovo1", "error"),
        ("tls-san", "lenovo2", "warning"),
        ("expiry", "lenovo2", "warning"),
        ("tls-san", "lenovo3", "error"),
    ] {
        let verdict = verdict(&said, check, subject);
        assert_eq!(verdict["severity"], severity, "{verdict}");
        assert!(verdict["help"].is_string());
    }
}

#[test]
fn a_wildcard_stands_for_the_names_below_it() {
    let mut lab = Lab::whole();
    lab.edit(|text| text.replace("network:\n", "network:\n  domain: lab.internal\n"));
    lab.start_with(
        LENOVOS[0],
        &[lab.sans(), vec!["*.lab.internal".to_owned()]].concat(),
        A_YEAR,
        Does::Answers,
    );
    let said = json(1, &lab, &["tls-san", "check"]);
    let row = &said["shown"][1];
    assert_eq!(
        (&row["missing"], &row["extra"]),
        (&serde_json::json!([]), &serde_json::json!(["*.lab.internal"]))
    );
}

#[test]
fn nobody_who_shows_a_certificate_is_no_comparison() {
    let lab = Lab::new();
    let (out, _) = expect(2, &lab, &["tls-san", "check"]);
    assert!(out.contains("connection refused"), "{out}");
}

#[test]
fn who_holds_the_vip_is_told_by_the_certificate_where_each_server_has_its_own() {
    let mut lab = Lab::whole();
    let said = json(0, &lab, &["tls-san", "check"]);
    assert_eq!(said["vips"][0]["known_by"], "unknown", "they share one");
    for host in [LENOVOS[0], LENOVOS[2]] {
        lab.start_with(host, &lab.sans(), A_YEAR, Does::Answers);
    }
    let said = json(0, &lab, &["tls-san", "check"]);
    assert_eq!(said["vips"][0]["known_by"], "certificate");
    assert_eq!(said["vips"][0]["host"], "lenovo2");
}
