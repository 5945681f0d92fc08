//! The traps of keepalived, podman, systemd, k3s and Ignition: a finding when a user's template falls into one, none
//! for the shipped templates.

use pxe_serve::generation::Loaded;
use pxe_serve::load::load;
use pxe_serve::report::Severity::{self, Error, Warning};

use crate::site::{SITES, Site, sources};

#[test]
fn the_shipped_templates_fall_into_no_trap() {
    for site in SITES {
        let Loaded { report, .. } = load(&sources(site));
        let found = report.findings().iter().filter(|finding| finding.severity != Severity::Note).count();
        assert_eq!(found, 0, "{site}: {}", report.to_text(false));
    }
    Site::new().clean();
    Site::new().inventory("virtual_router_id: 26", "virtual_router_id: 26, install: quadlet").clean();
    Site::new().inventory("virtual_router_id: 26", "virtual_router_id: 26, transport: unicast").clean();
    on_host().clean();
    Site::new().inventory(", auth_pass: {file: password}", "").clean();
    Site::new().inventory("v1.32.5", "v1.29.0").clean();
}

/// With the check on the host, which keepalived follows by a file.
fn on_host() -> Site {
    Site::new().inventory("virtual_router_id: 26", "virtual_router_id: 26, health_check: {run_on: host}")
}

/// A change of a shipped template, what is then found, and where.
const TRAPS: &[(&str, &str, &str, Severity, &str)] = &[
    ("ipxe/local.ipxe.j2", "#!ipxe\n", "\n#!ipxe\n", Error, "begins with the line `#!ipxe`"),
    ("ipxe/local.ipxe.j2", "#!ipxe\n", "#!/usr/bin/ipxe\n", Error, "begins with the line `#!ipxe`"),
    (
        "configs/keepalived.conf.j2",
        "    init_fail\n",
        "    weight -20\n",
        Error,
        "a weight together with nopreempt",
    ),
    (
        "configs/keepalived.conf.j2",
        "        chk_k3s\n",
        "        chk_k3s weight 5\n",
        Error,
        "a weight together with nopreempt",
    ),
    (
        "configs/keepalived.conf.j2",
        "track_script {\n        chk_k3s\n    }",
        "track_script { chk_k3s weight 5 }",
        Error,
        "a weight together with nopreempt",
    ),
    (
        "configs/keepalived.conf.j2",
        "    track_script {",
        "    track_interface {\n        eth1 weight 10\n    }\n    track_script {",
        Error,
        "a weight together with nopreempt",
    ),
    (
        "configs/keepalived.conf.j2",
        "state BACKUP\n",
        "state MASTER\n",
        Warning,
        "ignores nopreempt with state MASTER",
    ),
    (
        "configs/keepalived.conf.j2",
        "{{ secrets.keepalived_auth_pass }}",
        "k3s-keepalived-secret",
        Error,
        "more than 8 characters",
    ),
    (
        "configs/keepalived.conf.j2",
        "{{ secrets.keepalived_auth_pass }}",
        "k3s#keep",
        Error,
        "cut off at a # or !",
    ),
    (
        "configs/keepalived.conf.j2",
        "{{ secrets.keepalived_auth_pass }}",
        "!k3skeep",
        Error,
        "cut off at a # or !",
    ),
    ("configs/keepalived.conf.j2", "    enable_script_security\n", "", Warning, "without script security"),
    (
        "configs/keepalived.conf.j2",
        "    enable_script_security\n",
        "    enable_script_security\n    vrrp_strict\n",
        Error,
        "vrrp_strict forbids unicast and authentication",
    ),
    (
        "configs/k3s-healthcheck.sh.j2",
        "    --write-out '%{http_code}'",
        "   ",
        Warning,
        "curl without a look at the status",
    ),
    (
        "configs/keepalived.service.j2",
        "    --sdnotify=conmon \\\n",
        "",
        Error,
        "Type=notify waits for a message that never comes",
    ),
    (
        "configs/keepalived.service.j2",
        "\n[Install]\n",
        "\n[Instal]\n",
        Error,
        "is enabled, but has no [Install] section",
    ),
    (
        "configs/keepalived.service.j2",
        "/etc/keepalived:/etc/pxe-serve/keepalived:ro,Z",
        "/usr/local/bin:/usr/local/bin:Z",
        Error,
        "relabels /usr/local/bin for a container",
    ),
    (
        "configs/keepalived.service.j2",
        "--volume /etc/keepalived:/etc/pxe-serve/keepalived:ro,Z",
        "--volume=/usr/local/bin/:/b:ro,z",
        Error,
        "relabels /usr/local/bin/ for a container",
    ),
    (
        "configs/keepalived.container.j2",
        "Volume=/etc/keepalived:/etc/pxe-serve/keepalived:ro,Z",
        "Volume=/usr/local/bin:/b:Z,ro",
        Error,
        "relabels /usr/local/bin for a container",
    ),
    (
        "configs/keepalived.service.j2",
        "/etc/keepalived:/etc/pxe-serve/keepalived:ro,Z",
        "/etc/keepalived:/etc/keepalived:ro,Z",
        Warning,
        "hides what the image has in /etc/keepalived",
    ),
    (
        "configs/k3s-healthcheck.sh.j2",
        "#!/bin/sh\n",
        "#!/bin/sh\r\n",
        Error,
        "its lines end with carriage returns",
    ),
    (
        "butane/node.bu.j2",
        "ExecStartPost=/usr/bin/touch /var/lib/pxe-serve/k3s-installed",
        "ExecStartPost=/usr/bin/podman run -v /etc:/host:Z docker.io/x/y:1",
        Error,
        "relabels /etc for a container",
    ),
];

#[test]
fn a_users_template_that_falls_into_a_trap_is_told_so_once() {
    for (template, from, to, severity, said) in TRAPS {
        let site = Site::new().changed(template, from, to);
        let found = site.expect(*severity, &[said]);
        assert_eq!(found.matches(said).count(), 1, "once, not for each host\n{found}");
        assert!(found.contains("help: "), "{found}");
    }
}

#[test]
fn a_tracked_file_has_no_weight_either() {
    let site = on_host().changed("configs/keepalived.conf.j2", "    weight 0\n", "    weight -5\n");
    site.error(&["a weight together with nopreempt never fails over"]);
}

#[test]
fn a_finding_names_the_file_and_the_line_but_draws_no_secret() {
    let found =
        Site::new().changed("configs/keepalived.conf.j2", "state BACKUP\n", "state MASTER\n").warning(&[]);
    assert!(found.contains("--> pxe/configs/keepalived-lenovo1.conf:26:5"), "{found}");
    assert!(!found.contains("|"), "a snippet of a secret file\n{found}");
    let found =
        Site::new().changed("configs/keepalived.service.j2", "    --sdnotify=conmon \\\n", "").error(&[]);
    assert!(found.contains("| Type=notify") && found.contains("^^^^"), "{found}");
}

/// What looks like a trap and is none.
#[test]
fn what_is_right_is_left_alone() {
    let conf = "configs/keepalived.conf.j2";
    for (template, from, to) in [
        (conf, "    init_fail\n", "    weight 0\n"),
        (
            conf,
            "    nopreempt  # health checks decide who holds the address, not priority\n",
            "    # nopreempt\n",
        ),
        (conf, "        chk_k3s\n", "        chk_k3s weight 0\n"),
        // A load balancer's weight is another thing.
        (
            conf,
            "vrrp_instance {{ instance.name }} {",
            "virtual_server 10.0.0.1 80 {\n    real_server 10.0.0.2 80 {\n        weight 1\n    }\n}\n\nvrrp_instance {{ instance.name }} {",
        ),
        (conf, "    nopreempt  #", "    nopreempt ! state MASTER, weight 5 #"),
        ("configs/keepalived.service.j2", "--sdnotify=conmon", "--sdnotify conmon"),
        (
            "configs/k3s-healthcheck.sh.j2",
            "#!/bin/sh\n",
            "#!/bin/sh\n# curl -k https://127.0.0.1:6443/healthz would not do\n",
        ),
    ] {
        Site::new().changed(template, from, to).clean();
    }
    // Asked without its status, but with credentials: 401 is then an error.
    Site::new()
        .artifact("pxe/scripts/wait.sh", "#!/bin/sh\ncurl -fks --cert /c.pem https://127.0.0.1:6443/readyz\n")
        .clean();
    Site::new()
        .artifact("pxe/scripts/wait.sh", "#!/bin/sh\ncurl -fks https://127.0.0.1:6443/readyz\n")
        .warning(&["curl without a look at the status"]);
}

#[test]
fn installed_files_that_cannot_work_are_errors() {
    let site = |text: &str, install: &str| {
        Site::new()
            .template("mine.j2", text)
            .artifacts(&[&format!("path: pxe/configs/mine, template: mine.j2, install: {{{install}}}")])
    };
    let script = "#!/bin/sh\nexit 0\n";
    site(script, "path: /usr/local/bin/x.sh, mode: 0644").error(&[
        "is a script, installed with mode 0644",
        "write mode 0755",
        "never fails over",
    ]);
    site(script, "path: /usr/local/bin/x.sh, mode: 0755").clean();
    let unit = "[Service]\nExecStart=/bin/true\n";
    site(unit, "path: /etc/systemd/system/x.service, mode: 0644, enable: true")
        .error(&["is enabled, but has no [Install] section"]);
    site(unit, "path: /etc/systemd/system/x.service, mode: 0644").clean();
    let enabled = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    site(enabled, "path: /etc/systemd/system/x.service, mode: 0644, enable: true").clean();
    site(enabled, "path: /etc/x.service, mode: 0644, enable: true")
        .error(&["/etc/x.service is no place for a unit"]);
    let quadlet = "[Container]\nImage=docker.io/x/y:1\n";
    site(quadlet, "path: /etc/containers/systemd/x.container, mode: 0644")
        .warning(&["is a Quadlet without an [Install] section"]);
}

#[test]
fn a_dead_link_is_an_error_with_what_was_meant() {
    let link =
        |path: &str| Site::new().artifact("pxe/configs/x", &format!("see {{{{ base_url }}}}/{path} there\n"));
    let found = link("pxe/configs/k3s-healthchek.sh").error(&[
        "pxe/configs/x: names pxe/configs/k3s-healthchek.sh, which nobody serves",
        "did you mean `pxe/configs/k3s-healthcheck.sh`?",
        "--> pxe/configs/x:1:5",
        "^^^^",
    ]);
    assert_eq!(found.matches("error").count(), 1, "{found}");
    link("pxe/fcos/other.img").error(&["put the file into the --static folder"]);
    for path in [
        "pxe/configs/k3s-token",
        "pxe/boot.ipxe.",
        "pxe/configs/",
        "",
        "pxe/ipxe/${mac}.ipxe",
        "pxe/fcos/rootfs.img",
    ] {
        link(path).clean();
    }
    link("pxe/fcos/other.img")
        .with_static("fcos/other.img")
        .warning(&["pxe/fcos/kernel: is not in the --static folder"]);
    Site::new()
        .with_static("configs/k3s-token")
        .warning(&["pxe/configs/k3s-token: is in the --static folder as well"]);
}

#[test]
fn a_dead_link_in_everybodys_butane_is_said_once() {
    let site = Site::new().changed(
        "butane/node.bu.j2",
        "source: {{ file.url }}",
        "source: {{ base_url }}/pxe/nowhere",
    );
    let found =
        site.error(&["names pxe/nowhere, which nobody serves", "--> pxe/butane/lenovo1-bootstrap.bu:"]);
    assert_eq!(found.matches("which nobody serves").count(), 1, "{found}");
}

#[test]
fn a_wrong_digest_is_an_error_and_a_missing_one_a_warning() {
    let butane = "butane/node.bu.j2";
    let hash = "        verification:\n          hash: {{ file.hash }}\n";
    let zeros = "0".repeat(128);
    Site::new()
        .changed(
            butane,
            "source: {{ file.url }}",
            &format!("source: {{{{ file.url[:-64] }}}}{}", &zeros[..64]),
        )
        .error(&["with another digest than it has", "use the `url` that the template is given"]);
    Site::new()
        .changed(
            butane,
            "{{ file.url }}",
            &format!("{{{{ file.url | replace('?', '?x=1&') }}}}{}", &zeros[..1]),
        )
        .error(&["with another digest than it has"]);
    Site::new()
        .changed(butane, "hash: {{ file.hash }}", &format!("hash: sha512-{zeros}"))
        .error(&["has another digest than verification.hash says", "Ignition would stop the boot"]);
    let found =
        Site::new().changed(butane, hash, "").warning(&["without verification.hash it installs pxe/"]);
    assert_eq!(
        found.matches("warning: ").count(),
        5,
        "once for each config, not for its further name\n{found}"
    );
}

#[test]
fn a_hash_in_upper_case_or_in_sha256_is_as_good() {
    let butane = "butane/node.bu.j2";
    Site::new().changed(butane, "{{ file.hash }}", "sha512-{{ file.hash[7:] | upper }}").clean();
    // sha256 is a word of Ignition 3.1, so of a host that needs it for something else.
    let site = Site::new().inventory("/dev/nvme0n1}", "/dev/nvme0n1, kernel_arguments: [quiet]}");
    site.changed(butane, "{{ file.hash }}", "sha256-{{ file.url[-64:] }}").clean();
}

#[test]
fn ipxe_for_http_boot_is_missed_where_the_static_files_are_known_and_by_the_hosts_own_architecture() {
    let missed = |site: &Site, name: &str| {
        site.findings().contains(&format!("warning: pxe/tftp/{name}: is not in the --static folder"))
    };
    assert!(!missed(&Site::new(), "ipxe.efi"));
    assert!(missed(&Site::new().with_static("fcos/kernel"), "ipxe.efi"));
    assert!(!missed(&Site::new().with_static("tftp/ipxe.efi"), "ipxe.efi"));
    assert!(!missed(&Site::new().with_static("fcos/kernel"), "ipxe-arm64.efi"));
    let images = "fcos: {aarch64: {kernel: pxe/fcos/k, initramfs: pxe/fcos/i, rootfs: pxe/fcos/r}}\nhosts:";
    let inventory = crate::site::INVENTORY.replace("role: worker,", "role: worker, arch: aarch64,");
    let mixed = Site::new().file("inventory.yaml", &inventory.replace("hosts:", images));
    assert!(missed(&mixed.with_static("tftp/ipxe.efi"), "ipxe-arm64.efi"));
}
