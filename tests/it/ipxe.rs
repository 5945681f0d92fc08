//! What a machine is told to boot: every argument in every form, whose script lies where, and what the images carry.

use std::io::Read as _;

use pxe_serve::catalogue::{Audience, Catalogue, Sensitivity};

use crate::site::{self, SITES, Site, artifact, text};

const AARCH64: &str = "aarch64: {kernel: pxe/fcos/arm/Image, initramfs: pxe/fcos/arm/initrd.img, rootfs: pxe/fcos/arm/rootfs.img, metal_image: pxe/fcos/arm/metal.raw.xz}";

/// One server, in an address family.
fn inventory(family: &str, arch: &str, fcos: &str) -> String {
    let (base, vip, cidr, address) = match family {
        "IPv6" => ("[fd00:26::1]", "\"fd00:26::253\"", "\"fd00:26::/64\"", "\"fd00:26::5\""),
        "both" => (
            "192.168.26.1",
            "[192.168.26.253, \"fd00:26::253\"]",
            "[192.168.26.0/24, \"fd00:26::/64\"]",
            "[192.168.26.5, \"fd00:26::5\"]",
        ),
        _ => ("192.168.26.1", "192.168.26.253", "192.168.26.0/24", "192.168.26.5"),
    };
    format!(
        "vips: {{control_planes: {vip}}}
router: {{base_url: \"http://{base}\"}}
network: {{cidr: {cidr}}}
ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E me]
keepalived: {{virtual_router_id: 26, transport: unicast}}
k3s: {{version: v1.33.1+k3s1, token: {{file: token}}, agent_token: {{file: agent-token}}}}
fcos: {{{fcos}}}
defaults: {{role: control_plane, interface: eth0, install_device: /dev/nvme0n1, arch: {arch}}}
hosts:
  box: {{address: {address}, mac: \"52:54:00:aa:00:01\", kernel_arguments: [nomodeset, \"vfio-pci.ids=10de:2504,10de:228e\"]}}
  bux: {{address: {}, mac: \"52:54:00:aa:00:02\", role: worker, boot: live}}
",
        address.replace("::5", "::6").replace(".26.5", ".26.6")
    )
}

/// The words of a script's `kernel` line, without the command itself.
fn kernel_line(script: &str) -> Vec<&str> {
    let line = script.lines().find(|line| line.starts_with("kernel ")).unwrap();
    line.trim_end_matches(" || goto failed").split(' ').skip(1).collect()
}

#[test]
fn every_kernel_argument_is_there_in_every_form_on_every_machine() {
    for (family, network) in [("IPv4", "ip=dhcp"), ("both", "ip=dhcp"), ("IPv6", "ip=auto6")] {
        for (arch, folder, kernel, initrd) in [
            ("x86_64", "pxe/fcos", "kernel", "initramfs.img"),
            ("aarch64", "pxe/fcos/arm", "Image", "initrd.img"),
        ] {
            for metal in [false, true] {
                for form in ["verified", "kernel_arguments"] {
                    let case = format!("{form}, {arch}, {family}, metal image {metal}");
                    let own = if metal {
                        AARCH64.to_owned()
                    } else {
                        AARCH64.replace(", metal_image: pxe/fcos/arm/metal.raw.xz", "")
                    };
                    let x86 = if metal { "metal_image: pxe/fcos/metal.raw.xz, " } else { "" };
                    let fcos = format!("install: {form}, {x86}{own}");
                    let site = Site::new().file("inventory.yaml", &inventory(family, arch, &fcos));
                    let catalogue = site.load().generation.expect(&case).catalogue;
                    let base = if family == "IPv6" { "http://[fd00:26::1]" } else { "http://192.168.26.1" };
                    let url = |path: &str| {
                        format!("{base}/{path}?sha256={}", artifact(&catalogue, path).digest().sha256)
                    };
                    let rootfs = format!("coreos.live.rootfs_url={base}/{folder}/rootfs.img");
                    let metal_image = format!("{base}/{folder}/metal.raw.xz");
                    let everywhere = [
                        "initrd=main",
                        &rootfs,
                        "rd.neednet=1",
                        network,
                        "console=tty0",
                        "console=ttyS0,115200n8",
                        "nomodeset",
                        "vfio-pci.ids=10de:2504,10de:228e",
                    ];
                    let live_config = ["initrd=host", "ignition.firstboot", "ignition.platform.id=metal"];
                    let device = "coreos.inst.install_dev=/dev/nvme0n1";
                    let by_arguments = [
                        format!("coreos.inst.ignition_url={}", url("pxe/ignition/box-bootstrap.ign")),
                        format!("coreos.inst.image_url={metal_image}"),
                        "coreos.inst.insecure".to_owned(),
                    ];

                    let script = text(&catalogue, "pxe/ipxe/box-bootstrap/install.ipxe");
                    let mut expected = vec![format!("{base}/{folder}/{kernel}"), device.to_owned()];
                    expected.extend(everywhere.map(str::to_owned));
                    if form == "verified" {
                        expected.extend(live_config.map(str::to_owned));
                    } else {
                        expected.extend(by_arguments.into_iter().take(if metal { 3 } else { 1 }));
                    }
                    assert_same_words(&kernel_line(&script), expected, &case);
                    let initrd = format!("initrd --name main {base}/{folder}/{initrd} ||");
                    let host = |path: &str| format!("initrd --name host {} ||", url(path));
                    assert!(script.contains(&initrd), "{case}: {script}");
                    if form == "verified" {
                        assert!(
                            script.contains(&host("pxe/initrd/install/box-bootstrap.img")),
                            "{case}: {script}"
                        );
                        let butane = text(&catalogue, "pxe/butane/install/box-bootstrap.bu");
                        let image = format!("          image-url: {metal_image}\n");
                        assert_eq!(butane.contains(&image), metal, "{case}: {butane}");
                        assert_eq!(butane.contains("          insecure: true\n"), metal, "{case}: {butane}");
                    } else {
                        assert!(!script.contains("--name host"), "{case}: {script}");
                        assert!(catalogue.get("pxe/initrd/install/box-bootstrap.img").is_none(), "{case}");
                    }

                    let script = text(&catalogue, "pxe/ipxe/box/live.ipxe");
                    let mut expected = vec![format!("{base}/{folder}/{kernel}")];
                    expected.extend(everywhere.into_iter().chain(live_config).map(str::to_owned));
                    assert_same_words(&kernel_line(&script), expected, &case);
                    assert!(
                        script.contains(&initrd) && script.contains(&host("pxe/initrd/box-bootstrap.img")),
                        "{case}: {script}"
                    );
                }
            }
        }
    }
}

#[track_caller]
fn assert_same_words(found: &[&str], mut expected: Vec<String>, case: &str) {
    let mut found: Vec<&str> = found.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{case}");
}

#[test]
fn a_machine_that_would_install_for_ever_is_noted_once() {
    let found = Site::new().inventory("role: control_plane", "role: control_plane, boot: install").findings();
    assert_eq!(found.matches("is installed each time and never starts").count(), 1, "{found}");
}

#[test]
fn a_host_and_each_of_its_macs_are_told_what_its_policy_says() {
    for (policy, script) in [
        ("install_once", "lenovo2/install"),
        ("install", "lenovo2/install"),
        ("live", "lenovo2/live"),
        ("local", "lenovo2/local"),
    ] {
        let macs = format!("mac: [52:54:00:aa:00:02, 5254.00AA.00F2], boot: {policy}");
        let site = Site::new().inventory("mac: 52:54:00:aa:00:02", &macs);
        // It has a note of its own.
        let catalogue = if policy == "install" { site.clean_but_for_notes() } else { site.clean() };
        let expected = artifact(&catalogue, &format!("pxe/ipxe/{script}.ipxe"));
        for name in ["lenovo2", "52-54-00-aa-00-02", "52-54-00-aa-00-f2"] {
            assert_eq!(artifact(&catalogue, &format!("pxe/ipxe/{name}.ipxe")), expected, "{policy} {name}");
        }
    }
}

#[test]
fn the_host_that_may_bootstrap_installs_the_config_of_the_current_phase() {
    for phase in ["bootstrap", "reinstall"] {
        let version = "version: v1.32.5+k3s1";
        let catalogue = Site::new()
            .inventory(version, &format!("{version}, phase: {phase}"))
            .load()
            .generation
            .unwrap()
            .catalogue;
        let own = format!("pxe/ipxe/lenovo1-{phase}/install.ipxe");
        assert_eq!(artifact(&catalogue, "pxe/ipxe/lenovo1.ipxe"), artifact(&catalogue, &own));
        assert!(
            text(&catalogue, "pxe/ipxe/lenovo1/live.ipxe").contains(&format!("initrd/lenovo1-{phase}.img?"))
        );
        let ignition = format!("pxe/ignition/lenovo1-{phase}.ign?");
        assert!(text(&catalogue, "pxe/butane/install/lenovo1.bu").contains(&ignition));
    }
}

#[test]
fn a_script_of_the_users_own_takes_the_place_of_ours_for_one_config_or_one_host() {
    let site = Site::new()
        .template("ipxe/lenovo1-bootstrap.ipxe.j2", "#!ipxe\necho by name, {{ initrd_url }}\n")
        .template("ipxe/lenovo1.ipxe.j2", "#!ipxe\necho by host, {{ live_arguments }}\n");
    let catalogue = site.clean();
    let script = |name: &str| text(&catalogue, &format!("pxe/ipxe/{name}/install.ipxe"));
    assert!(
        script("lenovo1-bootstrap").starts_with(
            "#!ipxe\necho by name, http://192.168.26.1/pxe/initrd/lenovo1-bootstrap.img?sha256="
        )
    );
    assert!(
        script("lenovo1-reinstall").starts_with("#!ipxe\necho by host, rd.neednet=1 ip=dhcp console=tty0")
    );
    assert!(script("lenovo2").contains("coreos.inst.install_dev"));
    let misspelt = Site::new().template("ipxe/lenvo2.ipxe.j2", "#!ipxe\n");
    misspelt.warning(&["nothing is made from this template", "did you mean `ipxe/lenovo2.ipxe.j2`?"]);
}

/// The one file of an image, read as the kernel reads it.
fn unpacked(catalogue: &Catalogue, path: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(artifact(catalogue, path).bytes().as_ref())
        .read_to_end(&mut archive)
        .unwrap();
    let field =
        |at: usize| usize::from_str_radix(std::str::from_utf8(&archive[at..at + 8]).unwrap(), 16).unwrap();
    assert_eq!(&archive[..6], b"070701", "{path}");
    assert_eq!((field(14), field(46)), (0o100_600, 0), "{path}: mode and time");
    let (size, name) = (field(54), field(94));
    assert_eq!(&archive[110..110 + name], b"config.ign\0", "{path}");
    let data = (110 + name).next_multiple_of(4);
    archive[data..data + size].to_vec()
}

#[test]
fn every_image_carries_the_ignition_config_beside_it() {
    for site in SITES {
        let catalogue = site::generation(site).catalogue;
        let images = catalogue.iter().filter(|(path, _)| path.as_str().ends_with(".img"));
        let mut found = 0;
        for (path, image) in images {
            let ignition = path.as_str().replace("pxe/initrd/", "pxe/ignition/").replace(".img", ".ign");
            let ignition = artifact(&catalogue, &ignition);
            assert_eq!(unpacked(&catalogue, path.as_str()), ignition.bytes().as_ref(), "{site} {path}");
            assert_eq!(
                (image.sensitivity, &image.audience),
                (ignition.sensitivity, &ignition.audience),
                "{site} {path}"
            );
            assert_eq!(image.media_type.as_str(), "application/octet-stream");
            found += 1;
        }
        assert!(found >= 2, "{site}");
    }
}

#[test]
fn an_image_of_a_config_with_a_secret_is_secret_and_for_its_host_alone() {
    let butane = "variant: fcos\nversion: 1.0.0\nstorage:\n  files:\n    - path: /etc/t\n      mode: 0600\n      contents: {inline: {{ secrets.k3s_token }}}\n";
    let catalogue = Site::new().template("butane/lenovo2.bu.j2", butane).clean();
    let image = artifact(&catalogue, "pxe/initrd/lenovo2.img");
    assert_eq!(image.sensitivity, Sensitivity::Secret);
    assert_eq!(image.audience, Audience::host(&"lenovo2".parse().unwrap()));
    // The installer's names it only by its digest.
    assert_eq!(artifact(&catalogue, "pxe/initrd/install/lenovo2.img").sensitivity, Sensitivity::Public);
}

/// coreos-installer's own check of what it fetches, and ours of what it reports.
#[test]
fn the_installer_is_told_the_hash_of_what_it_installs() {
    let catalogue = Site::new().clean();
    let config: serde_json::Value =
        serde_json::from_str(&text(&catalogue, "pxe/ignition/install/lenovo2.ign")).unwrap();
    let file = |path: &str| {
        let files = config["storage"]["files"].as_array().unwrap();
        let source =
            files.iter().find(|file| file["path"] == path).unwrap()["contents"]["source"].as_str().unwrap();
        percent_encoding::percent_decode_str(source.strip_prefix("data:,").unwrap())
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let digest = artifact(&catalogue, "pxe/ignition/lenovo2.ign").digest();
    let expected = format!(
        "ignition-url: http://192.168.26.1/pxe/ignition/lenovo2.ign?sha256={}\nignition-hash: sha512-{}\n",
        digest.sha256, digest.sha512
    );
    assert_eq!(file("/etc/coreos/installer.d/50-pxe-serve.yaml"), expected);
    assert!(
        file("/usr/local/bin/pxe-serve-report").contains(&format!("\"ignition\": \"{}\"", digest.sha256))
    );
}

#[test]
fn nodes_report_for_hosts_of_the_inventory_only() {
    let link = |host: &str| {
        Site::new().artifact("pxe/scripts/x", &format!("# {{{{ base_url }}}}/pxe/events/{host}\n"))
    };
    link("lenovo2").clean();
    link("lenvo2").error(&["reports to pxe/events/lenvo2, which is no host"]);
}
