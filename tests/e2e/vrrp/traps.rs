//! The traps that the rendered configuration avoids, each shown to be one: were it harmless, avoiding it would be
//! superstition.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::beside_others;
use super::cluster::Cluster;
use super::measure::Break;
use super::node::Node;
use super::shape::Shape;

/// Longer than any failover takes.
const LONG_ENOUGH: Duration = Duration::from_secs(9);

/// A lab of two nodes whose files are spoiled.
fn spoiled(spoil: impl Fn(&Node)) -> Cluster {
    let cluster = Cluster::new(Shape { priorities: vec![100, 90], ..Shape::default() });
    cluster.nodes.iter().for_each(spoil);
    cluster
}

/// The trap, the lab that is in it, and what goes wrong with the node that holds the address.
type Trap = (&'static str, Cluster, Break);

#[test]
fn a_weight_a_missing_x_bit_and_curls_own_status_each_stop_failover() {
    let Some(_turn) = beside_others() else { return };
    let weight = spoiled(|node| node.edit("keepalived.conf", "    init_fail\n", "    weight -50\n"));
    let not_executable = spoiled(|node| {
        let script = node.file("k3s-healthcheck.sh");
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o644)).unwrap();
    });
    let any_answer = spoiled(|node| check_with("curl -ks", node));
    let mut traps: [Trap; 3] = [
        ("nopreempt with a weight on the script", weight, Break::ApiStops),
        ("a script without the x bit", not_executable, Break::ApiStops),
        ("a check that only asks whether curl -ks succeeds", any_answer, Break::ApiAnswers(500)),
    ];
    // All at once, since nothing is measured but that nothing happens.
    traps.iter_mut().for_each(|(_, cluster, _)| cluster.start_all());
    for (_, cluster, how) in &mut traps {
        cluster.moves_to(0);
        cluster.wait_until_ready(1);
        how.happens(cluster, 0);
    }
    std::thread::sleep(LONG_ENOUGH);
    for (trap, cluster, _) in &traps {
        assert_eq!(cluster.holder(), Some(0), "{trap} is no trap any more");
    }
}

#[test]
fn curl_with_f_leaves_nobody_and_a_missing_status_file_means_healthy() {
    let Some(_turn) = beside_others() else { return };
    let mut curl_f = spoiled(|node| check_with("curl -fks", node));
    (0..2).for_each(|node| Break::ApiAnswers(401).happens(&mut curl_f, node));
    curl_f.start_all();
    let on_host = || {
        let mut cluster =
            Cluster::new(Shape { keepalived: vec!["health_check: {run_on: host}"], ..Shape::default() });
        (0..3).for_each(|node| Break::ApiStops.happens(&mut cluster, node));
        cluster
    };
    // The check itself does not run in either; only the rendered unit's first step makes the difference.
    let (mut without_file, mut with_file) = (on_host(), on_host());
    with_file.nodes.iter().for_each(|node| assert!(node.prepare_health_check()));
    for node in without_file.nodes.iter_mut().chain(&mut with_file.nodes) {
        node.start_keepalived();
        std::thread::sleep(Duration::from_millis(100));
    }
    without_file.moves_to(0);
    std::thread::sleep(LONG_ENOUGH);
    assert_eq!(with_file.holder(), None, "{}", with_file.timeline.story());
    assert_eq!(curl_f.timeline.changes(curl_f.vips[0], None), 0, "curl -f takes 401 for healthy");
    assert_eq!(curl_f.ready().count(), 0);
}

fn check_with(curl: &str, node: &Node) {
    let script = format!("#!/bin/sh\n{curl} --max-time 1 -o /dev/null https://127.0.0.1:6443/readyz\n");
    std::fs::write(node.file("k3s-healthcheck.sh"), script).unwrap();
}
