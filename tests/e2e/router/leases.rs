//! What machines are given by a real dnsmasq that reads the rendered configuration.

use super::lan::{Given, Lan};

const LENOVO1: &str = "52:54:00:12:34:56";

/// The boot file stands in the header, or in option 67 for those that ask for it.
fn boot_file(given: &Given) -> Option<&str> {
    given.get("boot_file").or_else(|| given.get("bootfile")).map(String::as_str)
}

#[test]
fn every_firmware_is_given_its_boot_file_and_ipxe_the_script() {
    let images = "fcos:\n  aarch64: {kernel: pxe/fcos/kernel-arm64, initramfs: pxe/fcos/initramfs-arm64.img, rootfs: pxe/fcos/rootfs-arm64.img}\n";
    let edit = |text: String| {
        text.replace("mac: 52:54:00:12:34:58", "mac: 52:54:00:12:34:58\n    arch: aarch64") + images
    };
    let Some(lan) = Lan::new(edit) else { return };
    let base_url = {
        let script = lan.lease(LENOVO1, &["-x", "0xaf:b105"]).unwrap();
        boot_file(&script).unwrap().strip_suffix("/pxe/boot.ipxe").unwrap().to_owned()
    };
    let http = |file: &str| format!("{base_url}/pxe/tftp/{file}");
    let script = format!("{base_url}/pxe/boot.ipxe");
    for (what, options, expected) in [
        ("BIOS", &["-x", "0x5d:0000"][..], Some("undionly.kpxe".to_owned())),
        ("UEFI as firmware says it", &["-x", "0x5d:0007"], Some("ipxe.efi".to_owned())),
        ("UEFI as IANA says it", &["-x", "0x5d:0009"], Some("ipxe.efi".to_owned())),
        ("aarch64", &["-x", "0x5d:000b"], Some("ipxe-arm64.efi".to_owned())),
        (
            "HTTP Boot",
            &["-x", "0x5d:0010", "-V", "HTTPClient:Arch:00016:UNDI:003001"],
            Some(http("ipxe.efi")),
        ),
        (
            "HTTP Boot on aarch64",
            &["-x", "0x5d:0013", "-V", "HTTPClient:Arch:00019"],
            Some(http("ipxe-arm64.efi")),
        ),
        ("iPXE on BIOS", &["-x", "0x5d:0000", "-x", "0xaf:b105"], Some(script.clone())),
        ("iPXE on UEFI", &["-x", "0x5d:0007", "-x", "0xaf:b105"], Some(script.clone())),
        ("iPXE by its user class", &["-x", "0x5d:0007", "-x", "0x4d:69505845"], Some(script.clone())),
        ("an installed system", &[], None),
        ("another processor", &["-x", "0x5d:001b"], None),
    ] {
        let given = lan.lease(LENOVO1, options).unwrap_or_else(|| panic!("{what}: {}", lan.log()));
        assert_eq!(boot_file(&given), expected.as_deref(), "{what}: {given:?}");
        let class = what.starts_with("HTTP").then_some("HTTPClient");
        assert_eq!(given.get("vendor").map(String::as_str), class, "{what}: {given:?}");
        assert_eq!(given["siaddr"], "192.168.26.1", "{what}");
    }
}

#[test]
fn every_host_has_its_address_and_name_by_whichever_card_it_asks() {
    let edit =
        |text: String| text.replace("mac: 52:54:00:12:34:57", "mac: [52:54:00:12:34:57, 5254.0012.3461]");
    let Some(lan) = Lan::new(edit) else { return };
    for (mac, address, name) in [
        (LENOVO1, "192.168.26.5", "lenovo1"),
        ("52:54:00:12:34:57", "192.168.26.6", "lenovo2"),
        ("52:54:00:12:34:61", "192.168.26.6", "lenovo2"),
        ("52:54:00:12:34:57", "192.168.26.6", "lenovo2"),
    ] {
        let given = lan.lease(mac, &[]).unwrap_or_else(|| panic!("{mac}: {}", lan.log()));
        let value = |name: &str| given.get(name).map(String::as_str);
        assert_eq!(value("ip"), Some(address), "{given:?}");
        assert_eq!((value("hostname"), value("domain")), (Some(name), Some("lab.internal")), "{given:?}");
        assert_eq!((value("mask"), value("router")), (Some("24"), Some("192.168.26.1")), "{given:?}");
    }
    // Somebody else is served from the range, and is no node.
    let given = lan.lease("02:00:00:00:00:01", &["-F", "guest"]).unwrap();
    let last: u8 = given["ip"].strip_prefix("192.168.26.").unwrap().parse().unwrap();
    assert!((100..=249).contains(&last) && !given.contains_key("domain"), "{given:?}");
}

#[test]
fn names_hold_without_a_lease() {
    let Some(lan) = Lan::new(|text| text.replace("http://127.0.0.1", "http://192.168.26.1")) else { return };
    for (name, answer) in [
        ("lenovo1.lab.internal", "192.168.26.5"),
        ("lenovo3", "192.168.26.7"),
        ("k3s.lab.internal", "192.168.26.253"),
        ("router.lab.internal", "192.168.26.1"),
        ("192.168.26.6", "lenovo2.lab.internal"),
    ] {
        let said = lan.lookup(name);
        assert!(said.contains(answer), "{name}: {said}\n{}", lan.log());
    }
    assert!(!lan.lookup("lenovo4.lab.internal").contains("192.168.26"));
}

#[test]
fn without_a_range_dhcp_knows_the_hosts_alone() {
    let edit = |text: String| text.replace("  dhcp_range: 192.168.26.100-192.168.26.249\n", "");
    let Some(lan) = Lan::new(edit) else { return };
    assert_eq!(lan.lease(LENOVO1, &[]).unwrap()["ip"], "192.168.26.5");
    assert!(lan.lease("02:00:00:00:00:01", &[]).is_none());
}

#[test]
fn a_host_of_both_families_hears_the_router_and_has_its_address_by_dhcpv6() {
    let edit = |text: String| {
        let text = text.replace("cidr: 192.168.26.0/24", "cidr: [192.168.26.0/24, \"fd00:26::/64\"]");
        text.replace("address: 192.168.26.5", "address: [192.168.26.5, \"fd00:26::5\"]")
    };
    let Some(lan) = Lan::new(edit) else { return };
    assert_eq!(lan.offer6(LENOVO1), "fd00:26::5");
    assert!(lan.hears_router(), "{}", lan.log());
    assert_eq!(lan.lease(LENOVO1, &[]).unwrap()["ip"], "192.168.26.5");
    assert!(lan.lookup("lenovo1.lab.internal").contains("fd00:26::5"));
}
