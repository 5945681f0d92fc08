//! One node, from its first boot on, in each form of it.

use std::time::Duration;

use super::keepalived::{Form, HOLDS, assert_survives};
use super::lab::Lab;
use super::machine::Node;
use super::wanted;

/// What k3s takes on an idle emulated processor is half a minute; this one is shared.
const K3S: Duration = Duration::from_secs(300);

#[test]
fn a_first_server_comes_up_by_itself_and_its_keepalived_survives_whatever_ends_it() {
    let Some(lab) = Lab::new(|text| text.replace("phase: reinstall ", "phase: bootstrap ")) else { return };
    let node = comes_up(&lab, "lenovo1-bootstrap");
    assert_survives(&node, Form::Service);
}

#[test]
fn the_same_as_a_quadlet_whose_health_check_runs_on_the_host() {
    if !wanted() {
        return;
    }
    let edit = |text: String| {
        text.replace("phase: reinstall ", "phase: bootstrap ")
            .replace("keepalived:\n", "keepalived:\n  install: quadlet\n  health_check: {run_on: host}\n")
    };
    let Some(lab) = Lab::new(edit) else { return };
    let node = comes_up(&lab, "lenovo1-bootstrap");
    assert_survives(&node, Form::QuadletAndHost);
}

/// Boots lenovo1 for the first time, and waits until it holds the VIP.
fn comes_up<'l>(lab: &'l Lab, config: &str) -> Node<'l> {
    let mut node = Node::first_boot(lab, 1, config);
    println!("{config}: ssh after {:.0?}", node.is_up());
    println!(
        "{config}: k3s after {:.0?} more",
        node.waits("k3s runs", K3S, "systemctl is-active --quiet k3s")
    );
    println!("{config}: VIP after {:.0?} more", node.waits("the VIP is held", K3S, HOLDS));
    println!(
        "{config}: joined after {:.0?} more",
        lab.waits("the node has joined", K3S, || lab.has_reported("lenovo1", "joined"))
    );
    assert_is_well(&node);
    node
}

/// systemd has nothing to complain about, and neither has what we wrote.
fn assert_is_well(node: &Node) {
    let state = node.sh_within(K3S, "systemctl is-system-running --wait || true");
    let failed = node.sh("systemctl list-units --failed --no-legend --plain");
    assert_eq!(
        (state.trim(), failed.as_str()),
        ("running", ""),
        "{}",
        node.sh("journalctl --boot --lines 60")
    );
    let ours = "keepalived keepalived-image k3s k3s-health k3s-install selinux-context pxe-serve-booted pxe-serve-joined";
    let units: Vec<String> = ours.split(' ').map(|unit| format!("--unit {unit}")).collect();
    let warnings =
        node.sh(&format!("journalctl --boot --priority warning --quiet --no-pager {}", units.join(" ")));
    assert_eq!(warnings, "", "{}", node.name());
}
