//! Who keeps the address, who takes it back, and who gives it up.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::beside_others;
use super::cluster::Cluster;
use super::measure::Break;
use super::shape::Shape;

#[test]
fn whoever_holds_the_address_keeps_it_when_a_better_node_recovers() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape::default());
    assert_eq!(cluster.fails_over(Break::ApiStops).holder, 1);
    Break::ApiStops.is_repaired(&mut cluster, 0);
    cluster.wait_until_ready(0);
    cluster.keeps(1, 5.0);
}

#[test]
fn with_preemption_the_best_healthy_node_takes_it_back_after_the_delay() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape { keepalived: vec!["preempt_delay: 4"], ..Shape::default() });
    // The better one takes the address with its first advert, and only that tells the other one to give it up.
    cluster.handover = Duration::from_millis(250);
    assert_eq!(cluster.fails_over(Break::ApiStops).holder, 1);
    Break::ApiStops.is_repaired(&mut cluster, 0);
    cluster.wait_until_ready(0);
    let ready = Instant::now();
    let back = cluster.moves_to(0).duration_since(ready).as_secs_f64();
    println!("taken back {back:.2} s after it was ready");
    assert!((3.0..=8.5).contains(&back), "{back}");
}

#[test]
fn a_network_that_was_split_has_one_holder_again() {
    let Some(_turn) = beside_others() else { return };
    let cluster = Cluster::elected(Shape::default());
    cluster.timeline.split(true);
    cluster.switch.split_off(cluster.port(0));
    let vip = cluster.vips[0];
    let both = cluster
        .timeline
        .wait(Duration::from_secs(8), |holders| holders.get(&vip).is_some_and(|nodes| nodes.len() == 2));
    assert!(both.is_some(), "the other side has no holder");
    std::thread::sleep(Duration::from_secs(2));
    let begin = Instant::now();
    cluster.switch.join_again(cluster.port(0));
    // The better one stays, nopreempt or not: it hears an advert below its own.
    let settled = cluster.moves_to(0) - begin;
    cluster.timeline.split(false);
    println!("one holder {:.2} s after the network is whole", settled.as_secs_f64());
    assert!(settled < Duration::from_millis(1500), "{settled:?}");
    cluster.keeps(0, 4.0);
}

#[test]
fn a_changed_configuration_is_reloaded_without_losing_the_address() {
    let Some(_turn) = beside_others() else { return };
    let lab = |run_on| {
        let mut cluster = Cluster::new(Shape { keepalived: vec![run_on], ..Shape::default() });
        cluster.start_all();
        cluster
    };
    let mut labs = [lab("health_check: {run_on: container}"), lab("health_check: {run_on: host}")];
    for cluster in &mut labs {
        cluster.moves_to(0);
        cluster.reinstall(|text| text.replace("{run_on", "{fall: 3, run_on"));
        cluster.nodes.iter().for_each(|node| node.signal_keepalived(Signal::HUP));
    }
    std::thread::sleep(Duration::from_secs(5));
    for cluster in &mut labs {
        // It came, and has not gone since.
        assert_eq!(cluster.timeline.changes(cluster.vips[0], None), 1, "{}", cluster.timeline.story());
        assert!(cluster.nodes[0].log_text().contains("Reload"), "{}", cluster.nodes[0].log_text());
        assert_eq!(cluster.fails_over(Break::KeepalivedStops).holder, 1);
    }
}

#[test]
fn a_further_address_can_be_added_one_node_after_another() {
    let Some(_turn) = beside_others() else { return };
    let mut cluster = Cluster::elected(Shape { priorities: vec![100, 90], ..Shape::default() });
    cluster.reinstall(|text| {
        text.replace(
            "control_planes: [\"192.168.26.253\"]",
            "control_planes: [192.168.26.253, 192.168.26.252]",
        )
    });
    cluster.nodes[1].signal_keepalived(Signal::HUP);
    // Would it not hear the other any more, it took the address in less.
    cluster.keeps(0, 5.0);
    cluster.nodes[0].signal_keepalived(Signal::HUP);
    cluster.vips.push("192.168.26.252".parse().unwrap());
    cluster.moves_to(0);
    assert_eq!(cluster.fails_over(Break::KeepalivedStops).holder, 1);
    assert_eq!(cluster.timeline.changes(cluster.vips[0], None), 3, "{}", cluster.timeline.story());
}
