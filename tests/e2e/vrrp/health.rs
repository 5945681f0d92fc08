//! What the health check makes of the API server.

use super::api::Answer;
use super::beside_others;
use super::cluster::Cluster;
use super::measure::Break;
use super::shape::Shape;

/// More than two failed checks and the election after them.
const LONG_ENOUGH: f64 = 7.0;

#[test]
fn old_k3s_answers_401_and_keeps_the_address() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape { k3s_version: "v1.30.4+k3s1", ..Shape::default() });
    for node in 0..3 {
        Break::ApiAnswers(401).happens(&mut cluster, node);
    }
    cluster.keeps(0, LONG_ENOUGH);
    assert_eq!(cluster.fails_over(Break::ApiAnswers(500)).holder, 1);
}

#[test]
fn nobody_holds_the_address_while_nobody_is_healthy() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape::default());
    for (node, how) in
        [Break::ApiAnswers(503), Break::ApiStops, Break::ApiAnswers(401)].into_iter().enumerate()
    {
        how.happens(&mut cluster, node);
    }
    let nobody = |cluster: &Cluster| cluster.timeline.holders_of(cluster.vips[0]).is_empty();
    cluster.wait("the address to be nowhere", 15, |cluster| nobody(cluster) && cluster.ready().count() == 0);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(nobody(&cluster), "{}", cluster.timeline.story());
    // The worst is the first to be well again.
    cluster.nodes[2].api_answers(Answer::Healthy);
    cluster.moves_to(2);
    cluster.nodes[0].api_answers(Answer::Healthy);
    cluster.wait_until_ready(0);
    assert_eq!(cluster.fails_over(Break::KeepalivedStops).holder, 0);
}

#[test]
fn the_check_on_the_host_moves_the_address_as_the_one_in_the_container() {
    let Some(_turn) = beside_others() else { return };
    let shape = Shape { keepalived: vec!["health_check: {run_on: host}"], ..Shape::default() };
    let mut cluster = Cluster::elected(shape);
    assert_eq!(cluster.fails_over(Break::ApiAnswers(500)).holder, 1);
    cluster.nodes[0].api_answers(Answer::Healthy);
    cluster.wait_until_ready(0);
    assert_eq!(cluster.fails_over(Break::ApiHangs).holder, 0);
    // Who checks the checker? A check that ends takes the address away.
    cluster.nodes[0].stop_health_check();
    cluster.moves_to(2);
}
