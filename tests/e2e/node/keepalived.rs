//! What a node's keepalived goes through: a sick API server, and every way of ending it.

use std::time::Duration;

use super::machine::Node;

/// Whether this node has the shipped inventory's VIP.
pub const HOLDS: &str = "ip -brief address show eth0 | grep -q 192.168.26.253";
const HOLDS_NOT: &str = "! { ip -brief address show eth0 | grep -q 192.168.26.253; }";
const RUNS: &str = "[ \"$(systemctl show --property SubState --value keepalived)\" = running ]";

/// An idle emulated processor needs a tenth of it; RestartSec=10 is part of it.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Service,
    QuadletAndHost,
}

/// Of a node that holds the VIP, and holds it in the end.
pub fn assert_survives(node: &Node, form: Form) {
    assert_logs_by_priority(node);
    moves(node, "the API answers 500", "echo 500 >/run/k3s-standin", "rm /run/k3s-standin");
    moves(node, "the API hangs", "echo hang >/run/k3s-standin", "rm /run/k3s-standin");
    moves(node, "k3s is stopped", "systemctl stop k3s", "systemctl start k3s");

    let main = || node.sh("systemctl show --property MainPID --value keepalived");
    let before = main();
    node.sh("systemctl reload keepalived");
    assert_eq!(main(), before, "a reload is no restart");
    node.sh(&format!("sleep 3; {HOLDS}; {RUNS}"));
    if form == Form::QuadletAndHost {
        // Twice as long as keepalived would take to see it.
        node.sh(&format!("systemctl restart k3s-health; for i in $(seq 20); do sleep 1; {HOLDS}; done"));
        assert_eq!(main(), before, "the check is restarted, and keepalived is not");
    }

    comes_back(node, "keepalived is killed", "pkill -KILL -x keepalived");
    comes_back(
        node,
        "conmon is killed",
        "kill -KILL $(systemctl show --property MainPID --value keepalived)",
    );
    comes_back(node, "podman stop", "podman stop --time 10 keepalived");
    comes_back(node, "systemctl restart", "systemctl restart keepalived");

    node.sh("systemctl stop keepalived");
    let left = "systemctl show --property ActiveState,Result keepalived; podman ps --all --quiet; pgrep -x keepalived || true";
    assert_eq!(node.sh(left), "Result=success\nActiveState=inactive\n");
    node.sh(HOLDS_NOT);
    node.sh("systemctl start keepalived");
    node.waits("the VIP is held after a stop and a start", LIMIT, HOLDS);
    assert_eq!(node.sh("podman ps --quiet | wc --lines").trim(), "1");
}

/// The journal has all that keepalived says, and calls it what it is.
fn assert_logs_by_priority(node: &Node) {
    let said = node.sh("journalctl --boot --unit keepalived --output cat --no-pager");
    assert!(said.contains("Entering MASTER STATE"), "{said}");
    let errors = node.sh("journalctl --boot --unit keepalived --priority err --quiet --no-pager");
    assert_eq!(errors, "");
}

/// The VIP leaves when this is done, and returns when that is.
fn moves(node: &Node, what: &str, done: &str, undone: &str) {
    node.sh(done);
    let away = node.waits(&format!("{what}: the VIP is given away"), LIMIT, HOLDS_NOT);
    node.sh(undone);
    let back = node.waits(&format!("{what} no more: the VIP is held"), LIMIT, HOLDS);
    println!("{what}: VIP away after {away:.1?}, held {back:.1?} after that is over");
}

/// systemd starts it again, once, and it takes the VIP.
fn comes_back(node: &Node, what: &str, done: &str) {
    let restarts = || node.sh("systemctl show --property InvocationID --value keepalived");
    let before = restarts();
    node.sh(done);
    let another =
        format!("[ \"$(systemctl show --property InvocationID --value keepalived)\" != {} ]", before.trim());
    let runs = node.waits(&format!("{what}: it runs again"), LIMIT, &format!("{{ {another} && {RUNS}; }}"));
    let held = node.waits(&format!("{what}: the VIP is held"), LIMIT, HOLDS);
    assert_eq!(node.sh("podman ps --quiet | wc --lines").trim(), "1", "{what}");
    println!("{what}: runs again after {runs:.1?}, VIP held {held:.1?} later");
}
