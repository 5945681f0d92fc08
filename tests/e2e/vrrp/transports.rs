//! However the adverts travel, and however many nodes there are.

use rustix::process::Signal;

use super::api::Answer;
use super::beside_others;
use super::cluster::Cluster;
use super::measure::Break;
use super::node::Node;
use super::shape::{IPV4, IPV6, Shape};
use super::switch::Switch;

#[test]
fn five_nodes_elect_the_best_and_follow_one_another_in_order() {
    let Some(_turn) = beside_others() else { return };
    // Far enough apart that a busy machine does not blur the order, and the best comes up last.
    let shape = Shape { priorities: vec![254, 190, 128, 64, 1], ..Shape::default() };
    let mut cluster = Cluster::new(shape);
    cluster.nodes.iter_mut().rev().for_each(Node::start);
    cluster.moves_to(0);
    let in_turn = [Break::ApiStops, Break::CableIsPulled, Break::KeepalivedStops, Break::ApiAnswers(500)];
    for (node, how) in in_turn.into_iter().enumerate() {
        cluster.wait_until_ready(node + 1);
        assert_eq!(cluster.fails_over(how).holder, node + 1);
    }
}

/// A second cluster on the segment of the first.
fn another() -> Shape {
    Shape { priorities: vec![80, 70], vip: 251, first_node: 15, virtual_router_id: 27, ..Shape::default() }
}

#[test]
fn unicast_works_where_a_switch_drops_multicast() {
    let Some(_turn) = beside_others() else { return };
    let switch = Switch::new();
    let mut unicast =
        Cluster::on(&switch, Shape { keepalived: vec!["transport: unicast"], ..Shape::default() });
    let mut multicast = Cluster::on(&switch, another());
    switch.drops_multicast();
    // To multicast that is a split network, which shows that the switch drops it.
    multicast.timeline.split(true);
    unicast.start_all();
    multicast.start_all();
    unicast.moves_to(0);
    multicast.wait("two that know nothing of one another", 10, |cluster| {
        cluster.timeline.holders_of(cluster.vips[0]).len() == 2
    });
    assert_eq!(unicast.fails_over(Break::ApiStops).holder, 1);
    assert_eq!(unicast.fails_over(Break::CableIsPulled).holder, 2);
}

#[test]
fn an_ipv6_address_moves_as_an_ipv4_one_does() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape { networks: vec![IPV6], ..Shape::default() });
    assert_eq!(cluster.fails_over(Break::ApiAnswers(500)).holder, 1);
    assert_eq!(cluster.fails_over(Break::CableIsPulled).holder, 2);
}

#[test]
fn addresses_of_both_families_move_together() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape { networks: vec![IPV4, IPV6], ..Shape::default() });
    assert_eq!(cluster.fails_over(Break::ApiStops).holder, 1);
    assert_eq!(cluster.fails_over(Break::CableIsPulled).holder, 2);
    cluster.nodes[0].api_answers(Answer::Healthy);
    cluster.wait_until_ready(0);
    assert_eq!(cluster.fails_over(Break::KeepalivedStops).holder, 0);
}

#[test]
fn two_clusters_on_one_segment_leave_one_another_alone() {
    let Some(_turn) = beside_others() else { return };
    let switch = Switch::new();
    let mut first = Cluster::on(&switch, Shape { priorities: vec![100, 90], ..Shape::default() });
    let mut second = Cluster::on(&switch, another());
    first.start_all();
    second.start_all();
    first.moves_to(0);
    second.moves_to(0);
    let begin = std::time::Instant::now();
    assert_eq!(first.fails_over(Break::ApiStops).holder, 1);
    first.nodes[1].signal_keepalived(Signal::TERM);
    second.keeps(0, 4.0);
    assert_eq!(second.timeline.changes(second.vips[0], Some(begin)), 0, "{}", second.timeline.story());
    assert_eq!(second.fails_over(Break::KeepalivedStops).holder, 1);
}
