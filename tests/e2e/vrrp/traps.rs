//! The traps that the rendered configuration avoids, each shown to be one: were it harmless, avoiding it would be
//! superstition.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::alone;
use super::cluster::{Cluster, Shape};
use super::measure::Break;

/// Longer than any failover takes.
const LONG_ENOUGH: Duration = Duration::from_secs(9);

/// A lab of two nodes whose files are spoiled.
fn spoiled(spoil: impl Fn(&super::node::Node)) -> Cluster {
    let cluster = Cluster::new(Shape { priorities: vec![100, 90], ..Shape::default() });
    cluster.nodes.iter().for_each(spoil);
    cluster
}

#[test]
fn a_weight_a_missing_x_bit_and_curls_own_status_each_stop_failover() {
    let Some(_alone) = alone() else { return };
    let weight = spoiled(|node| node.edit("keepalived.conf", "    init_fail\n", "    weight -50\n"));
    let not_executable = spoiled(|node| {
        let script = node.file("k3s-healthcheck.sh");
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o644)).unwrap();
    });
    let any_answer = spoiled(|node| {
        let script = "#!/bin/sh\ncurl -ks --max-time 1 -o /dev/null https://127.0.0.1:6443/readyz\n";
        std::fs::write(node.file("k3s-healthcheck.sh"), script).unwrap();
    });
    let traps = [
        ("nopreempt with a weight on the script", weight, Break::ApiStops),
        ("a script without the x bit", not_executable, Break::ApiStops),
        ("a check that curl -ks makes", any_answer, Break::ApiAnswers(500)),
    ];
    let mut no_401 = spoiled(|node| {
        let script = "#!/bin/sh\ncurl -fks --max-time 1 -o /dev/null https://127.0.0.1:6443/readyz\n";
        std::fs::write(node.file("k3s-healthcheck.sh"), script).unwrap();
    });
    (0..2).for_each(|node| Break::ApiAnswers(401).happens(&mut no_401, node));
    no_401.start_all();
    // All at once, since nothing is measured but that nothing happens.
    let mut labs = traps.map(|(trap, mut cluster, how)| {
        cluster.start_all();
        (trap, cluster, how)
    });
    for (_, cluster, how) in &mut labs {
        cluster.moves_to(0);
        cluster.wait_until_ready(1);
        how.happens(cluster, 0);
    }
    std::thread::sleep(LONG_ENOUGH);
    for (trap, cluster, _) in &labs {
        assert_eq!(cluster.holder(), Some(0), "{trap} is no trap any more");
    }
    assert_eq!(no_401.timeline.changes(no_401.vips[0], None), 0, "curl -f takes 401 for healthy");
    assert_eq!(no_401.ready().count(), 0);
}
