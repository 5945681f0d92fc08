//! `k3s.selinux: layered`: the rendered `k3s-selinux.sh` reboots once and never again, and says that the policy is there
//! only when it is. rpm, rpm-ostree and systemd are stubs that write down how they are called.

use std::time::Duration;

use crate::site::Site;
use crate::tools::{command, have, run, said};

fn with_policy(selinux: &str) -> Site {
    let line = format!("  selinux: {selinux}\n  version: v1.37.0+k3s1");
    Site::edited(|text| text.replace("  version: v1.37.0+k3s1", &line))
}

/// Runs `steps`, shell commands among which `try` is the rendered script of `name`, where `/media/there` says that the
/// package is in the running system, and `/media/broken` that rpm-ostree fails. Their output, calls among it.
fn on_a_node(site: &Site, name: &str, steps: &str) -> String {
    let script = site.render().join("pxe/scripts").join(name);
    let commands = format!(
        "for folder in /mnt /media /var/lib /etc /usr/local/bin; do mount -t tmpfs none $folder || exit 99; done\n\
         mkdir -p /var/lib/pxe-serve /etc/yum.repos.d\n\
         stub() {{ printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\"; chmod 755 \"$1\"; }}\n\
         stub /mnt/rpm '[ -e /media/there ]'\n\
         stub /mnt/rpm-ostree 'echo \"rpm-ostree $*\"; [ ! -e /media/broken ]'\n\
         stub /mnt/systemctl 'echo \"systemctl $*\"'\n\
         stub /usr/local/bin/pxe-serve-report 'echo \"report $*\"; exit 1'\n\
         PATH=/mnt:$PATH\n\
         try() {{ sh {} \"$@\" 2>&1; echo \"exit $?\"; ls /var/lib/pxe-serve; }}\n\
         {steps}",
        script.display()
    );
    // The script lies in /tmp, which is left as it is.
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &commands]);
    let output = run(&unshare, Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const LAYERED: &str = "report layering\nrpm-ostree install --idempotent --allow-inactive -y k3s-selinux\n";

#[test]
fn the_policy_is_layered_with_one_reboot_and_stamped_when_it_is_there() {
    if !have(&["unshare", "mount"], true) {
        return;
    }
    let site = with_policy("layered");
    let said = on_a_node(&site, "k3s-selinux.sh", "try; : >/media/there; try; cat /etc/yum.repos.d/*");
    let rebooted = format!(
        "{LAYERED}report rebooting k3s-selinux is layered\nsystemctl --no-block reboot\nexit 0\nk3s-selinux-rebooted\n"
    );
    let there = "systemctl start --no-block k3s-install.service\nexit 0\nk3s-selinux\nk3s-selinux-rebooted\n";
    assert!(said.starts_with(&format!("{rebooted}{there}")), "{said}");
    assert!(said.contains("gpgcheck=1\n") && said.contains("gpgkey=https://rpm.rancher.io/"), "{said}");
}

#[test]
fn a_node_does_not_reboot_twice_nor_for_a_package_that_could_not_be_layered() {
    if !have(&["unshare", "mount"], true) {
        return;
    }
    let site = with_policy("layered");
    let said = on_a_node(&site, "k3s-selinux.sh", "try >/dev/null; try");
    assert!(said.contains("it does not reboot again") && said.contains("exit 1\n"), "{said}");
    assert!(!said.contains("systemctl") && !said.contains("rpm-ostree install"), "{said}");
    let failed = on_a_node(&site, "k3s-selinux.sh", ": >/media/broken; try; rm /media/broken; try");
    let (first, second) = failed.split_once("exit 1\n").unwrap();
    assert_eq!(first, LAYERED, "{failed}");
    assert!(
        second.starts_with(LAYERED) && second.contains("systemctl --no-block reboot\nexit 0\n"),
        "{failed}"
    );
}

#[test]
fn a_node_whose_image_lacks_the_policy_says_so_and_installs_nothing() {
    if !have(&["unshare", "mount"], true) {
        return;
    }
    let said = on_a_node(&with_policy("image"), "k3s-install.sh", "try server");
    assert!(
        said.contains("k3s.selinux is image, and the package k3s-selinux is not in this image"),
        "{said}"
    );
    assert!(said.contains("exit 1\n") && !said.contains("systemctl"), "{said}");
}
