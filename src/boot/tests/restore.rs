//! A lost cluster comes back once, by the bootstrap host, and only while that is wanted is a snapshot given to it.

use super::super::{Choice, Doubt, Event};
use super::told::{Told, armed_for, booted, install, installed};
use super::{inventory_with, three};
use crate::catalogue::Sha256;
use crate::inventory::InstallForm;

fn joined(config: &str) -> Event {
    Event::Joined { config: config.into(), ca_sha256: None }
}

fn is_restoring(told: &Told<'_>) -> bool {
    told.history.of("one").is_some_and(|known| known.restoring)
}

/// What was there before everything was lost.
fn lost<'i>(inventory: &'i crate::inventory::Inventory) -> Told<'i> {
    let mut told = Told::new(inventory);
    for (host, config) in [("one", "one-bootstrap"), ("two", "two"), ("three", "three")] {
        told.happens(host, installed(config));
        told.happens(host, joined(config));
    }
    told
}

#[test]
fn the_bootstrap_host_restores_until_it_has_joined_and_joins_from_then_on() {
    let inventory = three("restore");
    let mut told = lost(&inventory);
    assert_eq!(told.now("one"), Choice::Local, "nobody armed it");
    assert!(!is_restoring(&told));
    for report in [installed("one-restore"), booted("one-restore")] {
        told.happens("one", armed_for(&told, 60, false));
        assert_eq!(told.boots("one", InstallForm::Verified), install("one-restore"));
        told.happens("one", report);
        assert!(is_restoring(&told), "it may fetch a snapshot");
        assert_eq!(told.now("one"), Choice::Local);
    }
    told.happens("two", armed_for(&told, 60, false));
    assert_eq!(told.boots("two", InstallForm::Verified), install("two"));
    told.happens("one", joined("one-restore"));
    assert!(!is_restoring(&told));
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-reinstall"));
    told.happens("one", armed_for(&told, 60, true));
    assert_eq!(told.boots("one", InstallForm::Verified), install("one-restore"), "lost once more");
    told.happens("one", installed("one-restore"));
    assert!(is_restoring(&told));
}

#[test]
fn a_restored_cluster_is_known_by_the_ca_of_its_snapshot() {
    let inventory = three("restore");
    let mut told = lost(&inventory);
    let with_ca =
        |config: &str, ca: &[u8]| Event::Joined { config: config.into(), ca_sha256: Some(Sha256::of(ca)) };
    told.happens("two", with_ca("two", b"later"));
    told.happens("one", armed_for(&told, 60, false));
    told.boots("one", InstallForm::Verified);
    assert_eq!(told.history.cluster_ca(), None, "nobody is held to the one that was lost");
    told.now += 60;
    told.happens("one", installed("one-restore"));
    told.happens("one", with_ca("one-restore", b"of the snapshot"));
    let (host, ca) = told.history.cluster_ca().unwrap();
    assert_eq!((host.as_str(), ca), ("one", Sha256::of(b"of the snapshot")));
}

#[test]
fn whoever_is_installed_as_something_else_gets_no_snapshot() {
    let inventory = three("restore");
    let mut told = lost(&inventory);
    told.happens("one", installed("one-restore"));
    told.happens("one", installed("one-reinstall"));
    assert!(!is_restoring(&told));
}

#[test]
fn what_is_known_of_a_cluster_that_was_bootstrapped_does_not_keep_it_from_being_restored() {
    let inventory = three("bootstrap");
    let mut told = lost(&inventory);
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-reinstall"));
    let restore = three("restore");
    let told = Told { inventory: &restore, history: told.history, now: told.now };
    assert_eq!(told.now("one"), install("one-restore"));
}

#[test]
fn where_the_journal_was_lost_only_the_word_of_the_operator_restores() {
    let inventory = three("restore");
    let mut told = Told::new(&inventory);
    told.history.doubt = Some(Doubt::Damaged);
    told.happens("one", armed_for(&told, 60, false));
    assert_eq!(told.now("one"), install("one-reinstall"));
    told.happens("one", armed_for(&told, 60, true));
    assert_eq!(told.now("one"), install("one-restore"));
}

#[test]
fn a_single_server_has_nobody_to_join_and_is_restored_each_time() {
    let inventory = inventory_with("restore", "  one: {address: 192.168.26.5, mac: 52:54:00:00:00:01}\n");
    let mut told = Told::new(&inventory);
    for _ in 0..2 {
        told.happens("one", armed_for(&told, 60, false));
        assert_eq!(told.boots("one", InstallForm::Verified), install("one-restore"));
        told.happens("one", installed("one-restore"));
        told.happens("one", joined("one-restore"));
    }
}
