//! The scripts for OpenWRT, run with a uci that keeps its state in a file, and what OpenWRT's init script for dnsmasq
//! makes of that state. There is no OpenWRT here; what is relied on is how package/network/services/dnsmasq/files/
//! dnsmasq.init writes each section:
//!
//! | What | 23.05, 24.10, 25.12 | main since 2026-07-01 (6f30f08d0e) |
//! |---|---|---|
//! | a pool without `dhcpv4` | is a `dhcp-range` | is none: unset means `disabled` |
//! | `dhcpv4` is `server` | is a `dhcp-range` | the same |
//! | `ignore` is 1 | `no-dhcp-interface` | the same |
//! | `dynamicdhcp` is 0 | a `dhcp-range` of `static` | the same |
//! | sections with an `instance` | belong to that dnsmasq alone, others to all | the same |
//!
//! The first four rows were run once with real uci and these releases' init scripts; the last is read in them.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::site::Site;
use crate::tools::{command, have, run, said};

struct OpenWrt {
    folder: tempfile::TempDir,
}

impl OpenWrt {
    /// With a section of somebody else's in each configuration.
    fn new() -> Option<OpenWrt> {
        if !have(&["python3", "sh", "sed", "shellcheck"], false) {
            return None;
        }
        let router = OpenWrt { folder: tempfile::tempdir().unwrap() };
        let uci = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/router/uci.py");
        symlink(uci, router.path("uci")).unwrap();
        let dhcp = json!([
            ["cfg01411c", "dnsmasq", {"domain": "lan"}],
            ["lan", "dhcp", {"interface": "lan", "start": "100"}],
            ["lab", "dhcp", {"interface": "lab", "start": "2", "leasetime": "1h"}],
            ["printer", "host", {"name": "printer"}],
            ["pxe_mine", "host", {"name": "mine"}],
        ]);
        let firewall = json!([["cfg02", "forwarding", {"src": "lan", "dest": "wan"}]]);
        router.write(&json!({"committed": {"dhcp": dhcp, "firewall": firewall}, "staged": {}}));
        Some(router)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, state: &Value) {
        std::fs::write(self.path("state"), state.to_string()).unwrap();
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("state")).unwrap()).unwrap()
    }

    fn committed(&self, package: &str) -> Vec<(String, String, Value)> {
        serde_json::from_value(self.state()["committed"][package].clone()).unwrap()
    }

    /// Runs a rendered script; instead of a service the name of it is written down.
    fn run(&self, site: &Site, package: &str) -> Output {
        let rendered = site.render().join(format!("pxe/router/{package}.uci"));
        let shellcheck =
            run(command("shellcheck").args(["-s", "sh"]).arg(&rendered), Duration::from_secs(30));
        assert!(shellcheck.status.success(), "{}", said(&shellcheck));
        let service = self.path("service");
        std::fs::write(&service, format!("#!/bin/sh\necho \"$@\" >>{}\n", self.path("reloads").display()))
            .unwrap();
        std::fs::set_permissions(&service, PermissionsExt::from_mode(0o755)).unwrap();
        let text = std::fs::read_to_string(rendered).unwrap();
        let started = text.matches("/etc/init.d/").count();
        assert_eq!(started, 1, "{text}");
        let text = text.replace("/etc/init.d/", &format!("{} ", service.display()));
        std::fs::write(self.path("script"), text).unwrap();
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let mut sh = command("sh");
        sh.arg(self.path("script")).env("PATH", path).env("UCI_STATE", self.path("state"));
        run(&sh, Duration::from_secs(60))
    }

    #[track_caller]
    fn runs(&self, site: &Site, package: &str) -> String {
        let output = self.run(site, package);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn reloads(&self) -> usize {
        std::fs::read_to_string(self.path("reloads")).unwrap_or_default().lines().count()
    }
}

fn ours(sections: &[(String, String, Value)]) -> Vec<&str> {
    sections.iter().map(|(name, ..)| name.as_str()).filter(|name| name.starts_with("pxe_serve_")).collect()
}

/// dnsmasq's options, as OpenWRT writes them for our sections.
fn options(sections: &[(String, String, Value)]) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for (name, kind, section) in sections {
        let is_ours = name.starts_with("pxe_serve_");
        let value = |option: &str| section[option].as_str().unwrap_or_default().to_owned();
        let words = |option: &str| value(option).replace(' ', ",");
        let option = match kind.as_str() {
            "dnsmasq" => {
                assert_eq!(value("enable_tftp"), "1");
                options.insert("enable-tftp".to_owned());
                format!("tftp-root={}", value("tftp_root"))
            }
            "dhcp" if name == "lab" => {
                assert_eq!(value("interface"), "lab");
                assert_eq!(value("dhcpv4"), "server", "unset is disabled on OpenWRT's main");
                assert!(value("ignore") != "1" && value("dynamicdhcp") != "0");
                let number = |option: &str| value(option).parse::<u32>().unwrap();
                let (start, last) = (number("start"), number("start") + number("limit") - 1);
                // The lease time is the network's own.
                format!("dhcp-range=192.168.26.{start},192.168.26.{last},255.255.255.0,12h")
            }
            _ if !is_ours => continue,
            "host" => {
                format!("dhcp-host={},set:{},{},{}", words("mac"), value("tag"), value("ip"), value("name"))
            }
            "hostrecord" => format!("host-record={},{}", words("name"), words("ip")),
            "match" => format!("dhcp-match=set:{},{}", value("networkid"), value("match")),
            "userclass" => format!("dhcp-userclass=set:{},{}", value("networkid"), value("userclass")),
            "boot" => format!("dhcp-boot=tag:{},{}", value("networkid"), value("filename")),
            "tag" => {
                let force = if value("force") == "1" { "-force" } else { "" };
                let [one] = section["dhcp_option"].as_array().unwrap().as_slice() else {
                    panic!("{section}")
                };
                format!("dhcp-option{force}=tag:{name},{}", one.as_str().unwrap())
            }
            other => panic!("{other}"),
        };
        options.insert(option);
    }
    options
}

#[test]
fn openwrt_is_told_the_same_as_dnsmasq() {
    let Some(router) = OpenWrt::new() else { return };
    let two_cards =
        |text: String| text.replace("mac: 52:54:00:12:34:57", "mac: [52:54:00:12:34:57, 5254.0012.3461]");
    let site = Site::edited(two_cards);
    router.runs(&site, "dhcp");
    let config = std::fs::read_to_string(site.render().join("pxe/router/dnsmasq.conf")).unwrap();
    let lines = config.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let by_number =
        |line: &str| line.replace("option:domain-name,", "15,").replace("option:vendor-class,", "60,");
    let expected: BTreeSet<String> = lines.map(by_number).collect();
    assert!(expected.len() > 20, "{config}");
    assert_eq!(options(&router.committed("dhcp")), expected);
    let pool = &router.committed("dhcp")[2].2;
    assert_eq!(pool["leasetime"], "1h", "a setting of somebody else's");
}

#[test]
fn a_script_run_again_writes_nothing_and_what_left_the_inventory_leaves_the_router() {
    let Some(router) = OpenWrt::new() else { return };
    let site = Site::seed();
    for package in ["dhcp", "firewall"] {
        let before = router.committed(package);
        let reloads = router.reloads();
        let found = router.runs(&site, package);
        let expected =
            if package == "dhcp" { "lab is served by dhcp.@dnsmasq[0], its pool is dhcp.lab\n" } else { "" };
        assert_eq!(found, expected);
        let first = router.state();
        assert_eq!(router.reloads(), reloads + 1);
        assert!(router.runs(&site, package).contains("is as it should be"));
        assert_eq!(router.state(), first);
        assert_eq!(router.reloads(), reloads + 1, "nothing changed, so nothing is started anew");
        let others = |sections: &[(String, String, Value)]| {
            sections
                .iter()
                .map(|(name, ..)| name.clone())
                .filter(|name| !name.starts_with("pxe_serve_"))
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&router.committed(package)), others(&before));
    }
    let forwarding = router.committed("firewall");
    assert_eq!(ours(&forwarding), ["pxe_serve_forwarding_1"]);
    assert_eq!(forwarding[1].2, json!({"src": "vpn", "dest": "lab"}));

    let smaller = Site::edited(|text| {
        let text = text.replace("  forwarding:\n    - {from: vpn, to: lab}", "");
        let start = text.find("  lenovo3:").unwrap();
        text[..start].to_owned()
    });
    for package in ["dhcp", "firewall"] {
        router.runs(&smaller, package);
    }
    assert!(ours(&router.committed("firewall")).is_empty());
    let left = router.committed("dhcp");
    assert!(!left.iter().any(|(name, ..)| name.contains("lenovo3")), "{left:?}");
    assert!(ours(&left).contains(&"pxe_serve_lease_lenovo2"), "{left:?}");
}

/// The sections of `dhcp`, each with what is put in its place.
fn with_dhcp(router: &OpenWrt, sections: &Value) {
    let mut state = router.state();
    state["committed"]["dhcp"] = sections.clone();
    router.write(&state);
}

#[test]
fn what_is_set_for_the_network_already_is_used_set_right_or_said() {
    let Some(router) = OpenWrt::new() else { return };
    let dnsmasq = json!(["cfg01411c", "dnsmasq", {"domain": "lan"}]);
    let guests = json!(["guests", "dnsmasq", {"interface": ["guest"]}]);
    let lab = |more: Value| {
        let mut options = json!({"interface": "lab", "start": "2"});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    for (sections, stops, said) in [
        // None is there: it is made.
        (json!([dnsmasq]), false, "lab is served by dhcp.@dnsmasq[0]\n"),
        // The nodes' pool by its interface, whatever its name; another instance is for another network.
        (
            json!([guests, dnsmasq, ["cfg02", "dhcp", lab(json!({}))]]),
            false,
            "lab is served by dhcp.@dnsmasq[1], its pool is dhcp.@dhcp[0]",
        ),
        (
            json!([dnsmasq, ["mine", "dnsmasq", {}], ["lab", "dhcp", lab(json!({}))]]),
            true,
            "it cannot be said which dnsmasq serves lab, dhcp.@dnsmasq[0] or dhcp.mine",
        ),
        (
            json!([guests, ["mine", "dnsmasq", {"interface": ["lab", "lan"]}], ["cfg02", "dhcp", lab(json!({}))]]),
            false,
            "lab is served by dhcp.mine, its pool is dhcp.@dhcp[0]",
        ),
        (
            json!([guests, ["mine", "dnsmasq", {"notinterface": ["guest"]}], ["lab", "dhcp", lab(json!({}))]]),
            false,
            "lab is served by dhcp.mine, its pool is dhcp.lab",
        ),
        (
            json!([dnsmasq, ["mine", "dnsmasq", {}], ["lab", "dhcp", lab(json!({"instance": "mine"}))]]),
            false,
            "lab is served by dhcp.mine, its pool is dhcp.lab",
        ),
        (json!([guests]), true, "no dnsmasq section of /etc/config/dhcp serves lab"),
        (json!([dnsmasq, ["lab", "dhcp", lab(json!({"ignore": "1"}))]]), true, "dhcp.lab.ignore is 1"),
        (
            json!([dnsmasq, ["lab", "dhcp", lab(json!({"dhcpv4": "disabled"}))]]),
            true,
            "dhcp.lab.dhcpv4 is disabled",
        ),
        (
            json!([dnsmasq, ["lab", "dhcp", lab(json!({"dynamicdhcp": "0"}))]]),
            false,
            "dhcp.lab.dynamicdhcp was 0",
        ),
        (
            json!([dnsmasq, ["lab", "dhcp", lab(json!({}))], ["cfg02", "dhcp", lab(json!({}))]]),
            true,
            "two pools are for lab, dhcp.lab and dhcp.@dhcp[1]",
        ),
        (
            json!([dnsmasq, ["lab", "dhcp", {"interface": "lan"}]]),
            true,
            "dhcp.lab is for another network, lan",
        ),
    ] {
        with_dhcp(&router, &sections);
        let output = router.run(&Site::seed(), "dhcp");
        let text = crate::tools::said(&output);
        assert_eq!(output.status.success(), !stops, "{sections}\n{text}");
        assert!(text.contains(said), "{sections}\n{text}");
        let after = router.committed("dhcp");
        if stops {
            assert_eq!(json!(after), sections, "{text}");
            assert_eq!(router.state()["staged"], json!({}), "{text}");
            continue;
        }
        let pools: Vec<&Value> = after
            .iter()
            .filter(|(.., options)| options["interface"] == "lab")
            .map(|(.., options)| options)
            .collect();
        let [pool] = pools.as_slice() else { panic!("{after:?}") };
        assert_eq!(
            (&pool["start"], &pool["limit"], &pool["dhcpv4"]),
            (&json!("100"), &json!("150"), &json!("server"))
        );
        assert!(pool["dynamicdhcp"] != "0", "{pool}");
        let tftp =
            after.iter().filter(|(_, kind, options)| kind == "dnsmasq" && options["enable_tftp"] == "1");
        assert_eq!(tftp.count(), 1, "{after:?}");
    }
}

#[test]
fn a_script_stops_at_the_changes_of_others_and_takes_back_its_own_when_it_fails() {
    let Some(router) = OpenWrt::new() else { return };
    let mut state = router.state();
    let committed = state["committed"].clone();
    state["staged"]["dhcp"] = json!([]);
    router.write(&state);
    let output = router.run(&Site::seed(), "dhcp");
    assert!(
        !output.status.success() && said(&output).contains("first run uci commit dhcp"),
        "{}",
        said(&output)
    );
    assert_eq!(router.state()["staged"]["dhcp"], json!([]));

    // Without a dnsmasq section the script fails in its middle.
    state["staged"] = json!({});
    state["committed"]["dhcp"].as_array_mut().unwrap().remove(0);
    router.write(&state);
    assert!(!router.run(&Site::seed(), "dhcp").status.success());
    assert_eq!(router.state()["staged"], json!({}));
    assert_eq!(router.state()["committed"]["firewall"], committed["firewall"]);
    assert_eq!(router.reloads(), 0);
}
