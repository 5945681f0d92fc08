//! What the user's configuration of ssh says counts, and what it leaves open is the inventory's.

use std::fs;

use super::world::World;
use crate::tools::said;

const FETCH: [&str; 4] = ["token", "fetch", "--host", "lenovo2"];

fn configure(world: &World, edit: impl Fn(String) -> String) {
    let file = world.path("ssh_config");
    fs::write(&file, edit(fs::read_to_string(&file).unwrap())).unwrap();
}

#[test]
fn where_the_configuration_names_nobody_core_logs_in() {
    let Some(world) = World::new() else { return };
    configure(&world, |text| text.replace("User root\n", ""));
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains(&format!("`ssh core@{} true`", world.address(1))), "{}", said(&output));
    assert!(fs::read_to_string(world.path("sshd.log")).unwrap().contains("Invalid user core"));
}

#[test]
fn a_host_may_be_elsewhere_and_behind_another() {
    let Some(world) = World::new() else { return };
    // lenovo2 by its name leads to the third server, over the first: the defaults for lenovo2 are not those of the first.
    let (first, third) = (world.address(0), world.address(2));
    configure(&world, |text| format!("Host lenovo2\nHostName {third}\nProxyJump {first}\n{text}"));
    fs::remove_file(world.on(1, "var/lib/rancher/k3s/server/node-token")).unwrap();
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn what_a_configuration_has_for_terminals_does_not_disturb() {
    let Some(world) = World::new() else { return };
    let forward = format!("LocalForward {}:1 127.0.0.1:1\nExitOnForwardFailure yes\n", world.address(0));
    configure(&world, |text| {
        format!(
            "Host *\nRequestTTY force\nRemoteCommand cat\n{forward}ControlMaster auto\nControlPath {}/m-%h\nControlPersist 60\n{text}",
            world.folder.path().display()
        )
    });
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!world.path(&format!("m-{}", world.address(1))).exists(), "no master stays behind");
}
