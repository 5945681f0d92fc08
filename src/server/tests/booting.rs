//! Which script a machine gets, and what is noted of it.

use super::asking::{LENOVO1, LENOVO2, OPERATOR, STRANGER, Site};
use super::site::{IGNITION, SCRIPT};

const INSTALL1: &str = "pxe/ipxe/lenovo1-reinstall/install.ipxe";
const LOCAL1: &str = "pxe/ipxe/lenovo1/local.ipxe";

#[tokio::test]
async fn each_way_of_asking_leads_to_the_hosts_own_script() {
    let site = Site::new();
    site.arms("lenovo1").await;
    for uri in [
        "/pxe/ipxe/52-54-00-00-00-01.ipxe",
        "/pxe/ipxe/52-54-00-00-00-01.ipxe?uuid=&serial=%FFFFFFC3&hostname=&buildarch=i386&platform=pcbios",
        "/pxe/ipxe/52:54:00:00:00:01.ipxe",
        "/pxe/ipxe/52%3A54%3A00%3A00%3A00%3A01.ipxe",
        "/pxe/ipxe/%FFFFFFC3.ipxe?mac=525400000001",
        "/pxe/ipxe/lenovo1.ipxe",
        "/pxe/ipxe/LENOVO1.lab.internal.ipxe",
        "/pxe/ipxe?mac=52%3A54%3A00%3A00%3A00%3A01",
        "/pxe/ipxe/?mac=525400000001",
        "/pxe/ipxe/unknown.ipxe?mac=525400000001",
    ] {
        assert_eq!(site.boot(LENOVO1, uri).await.script(), INSTALL1, "{uri}");
    }
}

#[tokio::test]
async fn what_is_a_file_stays_one() {
    let site = Site::new();
    for path in ["pxe/ipxe/tools.ipxe", INSTALL1, "pxe/boot.ipxe"] {
        assert_eq!(site.boot(LENOVO1, &format!("/{path}")).await.text, format!("#!ipxe\n# {path}\n"));
    }
    assert!(site.get(LENOVO1, "/pxe/ipxe/").await.text.contains("tools.ipxe"), "a listing");
    assert!(site.get(LENOVO1, "/pxe/ipxe").await.text.contains("tools.ipxe"));
    assert!(site.get(LENOVO1, "/pxe/ipxe/lenovo1").await.text.contains("live.ipxe"));
    let pinned = format!("/pxe/ipxe/lenovo1.ipxe?sha256={}", "0".repeat(64));
    assert_eq!(site.get(LENOVO1, &pinned).await.status, 404);
}

#[tokio::test]
async fn an_operators_word_installs_once_and_nothing_else_does() {
    let site = Site::new();
    let boot = async || site.boot(LENOVO1, "/pxe/ipxe/lenovo1.ipxe").await.script().to_owned();
    let said = boot().await;
    let remedy = "echo pxe-serve: lenovo1: no install of it is known; to install it: pxe-serve arm lenovo1";
    assert!(said.contains(remedy) && said.ends_with("exit 1\n"), "{said}");
    site.arms("lenovo1").await;
    assert_eq!(boot().await, INSTALL1);
    let report = r#"{"event":"installed","config":"lenovo1-reinstall"}"#;
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", report).await.status, 204);
    assert_eq!(boot().await, LOCAL1);
    assert_eq!(site.post(OPERATOR, "/pxe/hosts/lenovo1/arm", r#"{"bootstrap":true}"#).await.status, 204);
    assert_eq!(boot().await, "pxe/ipxe/lenovo1-bootstrap/install.ipxe");
    let report = r#"{"event":"installed","config":"lenovo1-bootstrap"}"#;
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", report).await.status, 204);
    assert_eq!(boot().await, LOCAL1);
}

#[tokio::test]
async fn only_what_was_a_boot_is_noted() {
    let site = Site::new();
    site.get(LENOVO1, "/pxe/ipxe/lenovo1.ipxe").await;
    site.ask(LENOVO1, "HEAD", "/pxe/ipxe/lenovo1.ipxe", &[("user-agent", "iPXE/1")], "").await;
    site.get(STRANGER, "/pxe/ipxe/aa-bb-cc-dd-ee-ff.ipxe").await;
    site.get(STRANGER, &format!("/{IGNITION}")).await;
    site.get(LENOVO2, &format!("/{IGNITION}?sha256={}", "0".repeat(64))).await;
    site.ask(LENOVO1, "HEAD", &format!("/{SCRIPT}"), &[], "").await;
    assert_eq!(site.events("lenovo1").await, [""; 0]);
    assert_eq!(site.roster().await.unknown, []);

    site.arms("lenovo1").await;
    site.boot(LENOVO1, "/pxe/boot.ipxe").await;
    site.boot(LENOVO1, "/pxe/ipxe/52-54-00-00-00-01.ipxe").await;
    site.get(LENOVO1, &format!("/{IGNITION}")).await;
    site.get(LENOVO1, &format!("/{SCRIPT}")).await;
    site.get(LENOVO1, "/pxe/").await;
    assert_eq!(
        site.events("lenovo1").await[1..],
        [
            "fetched pxe/boot.ipxe",
            "was told: install lenovo1-reinstall",
            "fetched its Ignition lenovo1",
            &format!("fetched {SCRIPT}"),
        ]
    );
    site.get(LENOVO2, &format!("/{IGNITION}")).await;
    assert_eq!(site.events("lenovo2").await, [format!("fetched {IGNITION}")], "of another host");
}

#[tokio::test]
async fn a_machine_that_is_two_hosts_is_told_so_and_installs_nothing() {
    let site = Site::new();
    let reply = site.boot(STRANGER, "/pxe/ipxe/52-54-00-00-00-01.ipxe?hostname=lenovo2").await;
    let script = reply.script();
    for part in [
        "#!ipxe\n",
        "MAC 52:54:00:00:00:01 is lenovo1's",
        "host name lenovo2 is lenovo2's",
        "chain --replace /pxe/boot.ipxe",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    let unknown = site.roster().await.unknown;
    assert_eq!(unknown[0].conflict.len(), 2);
    assert_eq!(site.events("lenovo1").await, [""; 0]);
}

#[tokio::test]
async fn a_stranger_gets_its_script_and_is_listed_with_what_it_said() {
    let site = Site::new();
    let uri = "/pxe/ipxe/aa-bb-cc-dd-ee-ff.ipxe?serial=PF1&hostname=new&platform=efi";
    for _ in 0..2 {
        assert_eq!(site.boot(STRANGER, uri).await.script(), "pxe/ipxe/unknown.ipxe");
    }
    assert_eq!(site.boot(STRANGER, "/pxe/ipxe?uuid=none").await.script(), "pxe/ipxe/unknown.ipxe");
    let unknown = site.roster().await.unknown;
    let said: Vec<String> = unknown.iter().map(|stranger| stranger.machine.to_string()).collect();
    assert_eq!(unknown.len(), 2);
    assert!(said.contains(&"MAC aa:bb:cc:dd:ee:ff, serial number PF1, host name new".to_owned()), "{said:?}");
    assert!(said.contains(&"nothing".to_owned()), "{said:?}");
}

#[tokio::test]
async fn when_nothing_can_be_served_the_console_says_why_and_the_boot_goes_on_later() {
    let site = Site::with_nothing();
    for uri in ["/pxe/boot.ipxe", "/pxe/ipxe/lenovo1.ipxe", "/pxe/ipxe?mac=525400000001"] {
        let reply = site.boot(LENOVO1, uri).await;
        let script = reply.script();
        for part in
            ["inventory.yaml:31: hosts.lenovo3.mac: no MAC", "sleep 10\n", "chain --replace /pxe/boot.ipxe"]
        {
            assert!(script.contains(part), "{uri}: {script}");
        }
    }
    for uri in ["/pxe/ipxe/lenovo1/install.ipxe", "/pxe/ignition/lenovo1.ign", "/pxe/hosts", "/"] {
        let reply = site.boot(OPERATOR, uri).await;
        assert_eq!((reply.status, &reply.headers["retry-after"]), (503, &"5".parse().unwrap()), "{uri}");
    }
}

#[tokio::test]
async fn after_a_broken_edit_nobody_is_installed_or_called_a_stranger_and_the_console_says_why() {
    let site = Site::new();
    let booted = r#"{"event":"booted","config":"lenovo2"}"#;
    assert_eq!(site.post(LENOVO2, "/pxe/events/lenovo2", booted).await.status, 204);
    site.arms("lenovo1").await;
    site.breaks();
    for uri in ["/pxe/ipxe/lenovo1.ipxe", "/pxe/ipxe/aa-bb-cc-dd-ee-ff.ipxe"] {
        let reply = site.boot(LENOVO1, uri).await;
        let script = reply.script();
        for part in
            ["until the inventory is mended:", "inventory.yaml:31: hosts.lenovo3.mac", "chain --replace"]
        {
            assert!(script.contains(part), "{uri}: {script}");
        }
    }
    assert_eq!(site.events("lenovo1").await.len(), 1, "that it was armed");
    let local = site.boot(LENOVO2, "/pxe/ipxe/lenovo2.ipxe").await;
    assert_eq!(local.script(), "pxe/ipxe/lenovo2/local.ipxe", "what is not to be installed goes on");
    let broken = site.roster().await.broken.unwrap();
    assert!(broken.starts_with("inventory.yaml:31"), "{broken}");
}

#[tokio::test]
async fn a_script_that_is_not_there_is_said_on_the_console() {
    let site = Site::new();
    assert_eq!(
        site.post(OPERATOR, "/pxe/events/lenovo2", r#"{"event":"booted","config":"lenovo2"}"#).await.status,
        204
    );
    let without = super::site::generation("a");
    let served = crate::server::state::Served::new(without, std::time::SystemTime::UNIX_EPOCH);
    site.state.set_status(crate::server::state::Status { served: Some(served.into()), failure: None });
    let reply = site.boot(LENOVO2, "/pxe/ipxe/lenovo2.ipxe").await;
    assert!(reply.script().contains("echo pxe-serve: there is nothing at /pxe/ipxe/lenovo2/local.ipxe"));
}
