//! `tls-san apply`: every server gets its SANs, never two are down, and a kill at any step changes neither.

use std::fs;

use serde_json::Value;

use super::world::{CANARY, OLD_VIP, SERVERS, World};
use crate::tools::{command, run, said};

const APPLY: [&str; 2] = ["tls-san", "apply"];
const DROP_IN: &str = "etc/rancher/k3s/config.yaml.d/90-pxe-serve-tls-san.yaml";

/// What `jq` makes of `--json`.
fn jq(world: &World, output: &std::process::Output, filter: &str) -> String {
    let file = world.path("out.json");
    fs::write(&file, &output.stdout).unwrap();
    let output = run(command("jq").args(["-r", filter]).arg(&file), std::time::Duration::from_secs(20));
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Every server has the drop-in, its certificate is for all, and what it had is there still.
#[track_caller]
fn assert_complete(world: &World) {
    let output = world.run(&["tls-san", "apply", "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(jq(world, &output, ".servers[].outcome"), "unchanged\nunchanged\nunchanged\n");
    for place in 0..3 {
        let text = fs::read_to_string(world.on(place, DROP_IN)).unwrap();
        assert!(text.contains("tls-san+:\n") && text.contains("- \"k3s.lab.internal\"\n"), "{text}");
        let main = fs::read_to_string(world.on(place, "etc/rancher/k3s/config.yaml")).unwrap();
        assert!(main.contains(OLD_VIP) && main.contains(CANARY), "{main}");
        assert!(!world.on(place, &format!("{DROP_IN}.new")).exists());
    }
}

#[test]
fn every_server_is_completed_and_restarted_once_and_never_two_are_down() {
    let Some(world) = World::new() else { return };
    let output = world.run(&["tls-san", "apply", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        jq(&world, &output, ".servers[] | .host + \" \" + .outcome"),
        SERVERS.map(|name| format!("{name} changed\n")).concat()
    );
    assert_eq!((world.restarts(), world.most_down()), (vec![1, 1, 1], 1));
    assert_complete(&world);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["demanded"].as_array().unwrap().len() > 5, "{document}");
    // Once more: nothing to do, nothing done.
    let output = world.run(&APPLY);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(world.restarts(), [1, 1, 1]);
}
