//! `doctor`, against a cluster and a router that are well, and with one thing wrong at a time.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::lab::{LENOVOS, Lab, VIP};
use crate::api::{A_YEAR, BlackHole, Does};

/// A lab whose router serves what the inventory says, with nothing that needs DNS.
struct Clinic {
    lab: Lab,
    router: Option<Child>,
}

impl Clinic {
    fn new(lab: Lab) -> Clinic {
        let at = lab.address(1);
        let port = TcpListener::bind((at.as_str(), 0)).unwrap().local_addr().unwrap().port();
        lab.edit(|text| text.replace(&format!("http://{at} "), &format!("http://{at}:{port} ")));
        fs::create_dir(lab.path("secrets")).unwrap();
        fs::write(lab.path("secrets/k3s-token"), "0123456789abcdef0123456789abcdef").unwrap();
        fs::write(lab.path("secrets/keepalived-auth-pass"), "canary7x").unwrap();
        let mut router = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
        router.args(["serve", "--listen", &format!("{at}:{port}")]).current_dir(&lab.folder);
        let mut router = router.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(router.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("serves"), "{line}");
        Clinic { lab, router: Some(router) }
    }

    fn stop_router(&mut self) {
        if let Some(mut router) = self.router.take() {
            router.kill().unwrap();
            router.wait().unwrap();
        }
    }

    fn text(&self, more: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
        command.arg("doctor").args(more).current_dir(&self.lab.folder).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for secret in ["canary7x", "0123456789abcdef0123", self.lab.client.key_pem.lines().nth(1).unwrap()] {
            assert!(!text.contains(secret), "{text}");
        }
        (output.status.code().unwrap(), text)
    }

    #[track_caller]
    fn json(&self, status: i32) -> Value {
        let (code, text) = self.text(&["--json", "--kubeconfig", "k3s.yaml"]);
        assert_eq!(code, status, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    }

    /// The one thing that is wrong; everything wrong has a remedy.
    #[track_caller]
    fn only(&self, check: &str, message: &str) {
        let said = self.json(1);
        let wrong: Vec<&Value> = said["verdicts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|verdict| {
                ["warning", "error"].contains(&verdict["severity"].as_str().unwrap_or_default())
            })
            .collect();
        assert!(wrong.iter().all(|verdict| verdict["help"].is_string()));
        let about: Vec<_> = wrong.iter().filter(|verdict| verdict["check"] == check).collect();
        assert!(
            about.iter().any(|verdict| verdict["message"].as_str().unwrap().contains(message)),
            "{wrong:#?}"
        );
        assert_eq!(about.len(), wrong.len(), "{wrong:#?}");
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        self.stop_router();
    }
}

#[test]
fn a_cluster_that_is_well_is_told_so() {
    let clinic = Clinic::new(Lab::whole());
    let said = clinic.json(0);
    assert_eq!((&said["errors"], &said["warnings"]), (&Value::from(0), &Value::from(0)), "{said:#}");
    let checks: Vec<&str> = said["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["check"].as_str().unwrap())
        .collect();
    for check in ["vip", "tls-san", "readyz", "version", "clock", "router"] {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    let (status, text) = clinic.text(&[]);
    assert!(status == 0 && text.contains("the servers were not asked for it"), "{text}");
    assert!(clinic.lab.apis.values().any(|api| api.seen().iter().any(|seen| seen.with_certificate)));
    assert!(text.contains("ok       router"), "{text}");
}

#[test]
fn without_a_kubeconfig_no_credentials_are_sent() {
    let clinic = Clinic::new(Lab::whole());
    clinic.text(&[]);
    let seen: Vec<_> = clinic.lab.apis.values().flat_map(|api| api.seen()).collect();
    assert!(
        seen.len() == 4
            && seen.iter().all(|seen| !seen.with_certificate && !seen.head.contains("uthorization"))
    );
}

#[test]
fn each_thing_that_is_wrong_is_found_alone() {
    let mut clinic = Clinic::new(Lab::whole());
    let sans = clinic.lab.sans();
    for (does, check, message) in [
        (Does::Status(500), "readyz", "500"),
        (Does::AnswersClients, "readyz", "the health check wants 200"),
        (Does::ClockOff(90), "clock", "lenovo2 +90 s"),
    ] {
        clinic.lab.start(LENOVOS[1], does.clone());
        if does == Does::Status(500) {
            // It refuses /version as well.
            let (_, text) = clinic.text(&[]);
            assert!(text.contains("500: the server itself says that it is not ready"), "{text}");
        } else {
            clinic.only(check, message);
        }
    }
    for host in LENOVOS {
        clinic.lab.start(host, Does::ClockOff(-40));
    }
    clinic.only("clock", "the servers agree with each other, and are -40 s from it");
    for host in LENOVOS {
        clinic.lab.start(host, Does::Answers);
    }
    clinic.lab.start_with(LENOVOS[2], &sans, -300..9, Does::Answers);
    clinic.only("expiry", "expires in 9 days");
    clinic.lab.start_with(LENOVOS[2], &sans[..sans.len() - 1], A_YEAR, Does::Answers);
    clinic.only("tls-san", "lacks");
    clinic.lab.start(LENOVOS[2], Does::Answers);
    clinic.lab.edit(|text| edited(&clinic, text).replace("v1.37.0+k3s1", "v1.33.1+k3s1"));
    std::thread::sleep(Duration::from_millis(1_500));
    clinic.only("version", "runs v1.37.0+k3s1, the inventory says v1.33.1+k3s1");
}

/// What `new` made of the inventory.
fn edited(clinic: &Clinic, text: String) -> String {
    let now = fs::read_to_string(clinic.lab.path("inventory.yaml")).unwrap();
    let url = now.lines().find(|line| line.contains("base_url")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| if line.contains("base_url") { url } else { line })
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn an_older_k3s_may_answer_401_to_the_health_check() {
    let mut lab = Lab::new();
    for host in LENOVOS.into_iter().chain([VIP]) {
        lab.start(host, Does::AnswersClients);
    }
    let clinic = Clinic::new(lab);
    clinic.lab.edit(|text| edited(&clinic, text).replace("v1.37.0+k3s1", "v1.30.0+k3s1"));
    let (_, text) = clinic.text(&[]);
    assert!(
        text.contains("401 without credentials, which the check for this k3s takes for healthy"),
        "{text}"
    );
}

#[test]
fn a_vip_that_nobody_holds_and_one_that_a_stranger_holds_are_found() {
    let mut clinic = Clinic::new(Lab::whole());
    clinic.lab.stop(VIP);
    let (status, text) = clinic.text(&[]);
    assert!(status == 1 && text.contains("nobody answers for it as the API: connection refused"), "{text}");
    clinic.lab.start(VIP, Does::Answers);
    clinic.lab.start_with(VIP, &clinic.lab.sans(), A_YEAR, Does::Answers);
    clinic.only("vip", "no server of the inventory shows");
}

#[test]
fn a_router_that_serves_something_else_or_nothing_is_found() {
    let mut clinic = Clinic::new(Lab::whole());
    // Here the secret is another than where it was rendered.
    fs::write(clinic.lab.path("secrets/k3s-token"), "fedcba9876543210fedcba9876543210").unwrap();
    let begin = Instant::now();
    loop {
        // The server follows, so that both agree again.
        let (status, text) = clinic.text(&[]);
        if status == 0 && text.contains("serves this generation") {
            break;
        }
        assert!(
            text.contains("serves another generation") && begin.elapsed() < Duration::from_secs(60),
            "{text}"
        );
    }
    fs::remove_file(clinic.lab.path("secrets/k3s-token")).unwrap();
    let (status, text) = clinic.text(&[]);
    assert!(status == 0 && text.contains("whether they are current cannot be said here"), "{text}");
    clinic.stop_router();
    let (status, text) = clinic.text(&[]);
    assert!(
        status == 1 && text.contains("does not give the list of its files: connection refused"),
        "{text}"
    );
}

#[test]
fn a_kubeconfig_of_another_cluster_is_refused_by_all() {
    let clinic = Clinic::new(Lab::whole());
    let other = crate::api::Ca::new();
    fs::write(clinic.lab.path("k3s.yaml"), other.k3s_yaml(&other.issue(&[], A_YEAR))).unwrap();
    clinic.only("access", "not from the cluster's CA");
    assert!(clinic.lab.apis.values().flat_map(|api| api.seen()).all(|seen| !seen.with_certificate));
}

#[test]
fn a_kubeconfig_that_expires_soon_is_said_while_it_still_works() {
    let clinic = Clinic::new(Lab::whole());
    let soon = clinic.lab.ca.issue(&[], -300..12);
    fs::write(clinic.lab.path("k3s.yaml"), clinic.lab.ca.k3s_yaml(&soon)).unwrap();
    clinic.only("access", "the client's certificate expires in 1");
    let expired = clinic.lab.ca.issue(&[], -300..-1);
    fs::write(clinic.lab.path("k3s.yaml"), clinic.lab.ca.k3s_yaml(&expired)).unwrap();
    clinic.only("access", "the client's certificate has expired");
}

#[test]
fn a_look_at_what_hangs_everywhere_takes_no_longer_than_five_seconds() {
    let lab = Lab::new();
    let _holes: Vec<BlackHole> =
        LENOVOS.into_iter().chain([VIP]).map(|host| BlackHole::start(lab.address(host))).collect();
    let mut clinic = Clinic::new(lab);
    clinic.stop_router();
    let begin = Instant::now();
    let (status, text) = clinic.text(&["--kubeconfig", "k3s.yaml"]);
    let took = begin.elapsed();
    eprintln!("looked for {took:?}");
    assert!(status == 1 && took < Duration::from_secs(5), "{took:?}\n{text}");
}

#[test]
fn an_inventory_that_cannot_be_read_is_no_finding_about_the_cluster() {
    let clinic = Clinic::new(Lab::new());
    fs::write(clinic.lab.path("inventory.yaml"), "nonsense: 1\n").unwrap();
    assert_eq!(clinic.text(&[]).0, 2);
    assert_eq!(clinic.text(&["--inventory", "nowhere"]).0, 2);
    assert_eq!(clinic.text(&["--kubeconfig", "nowhere"]).0, 2);
}
