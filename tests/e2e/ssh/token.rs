//! `token fetch`: from the first server that answers into the file that the inventory names, and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::world::{CANARY, World};
use crate::tools::said;

const FETCH: [&str; 2] = ["token", "fetch"];
const NODE_TOKEN: &str = "var/lib/rancher/k3s/server/node-token";

#[test]
fn the_token_comes_from_the_first_server_that_gives_it_and_is_the_owners_alone() {
    let Some(world) = World::new() else { return };
    // The first has none yet.
    fs::remove_file(world.on(0, NODE_TOKEN)).unwrap();
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("the token of lenovo2; written, for you alone"), "{}", said(&output));
    let file = world.path("secrets/k3s-token");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{CANARY}\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Once more: nothing is written, but the mode is mended.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(world.run(&["token", "fetch", "--host", "lenovo3"]).status.code(), Some(0));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A server alone, which has none.
    let output = world.run(&["token", "fetch", "--host", "lenovo1"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("no server gave its /var/lib/rancher/k3s/server/node-token"),
        "{}",
        said(&output)
    );
}

#[test]
fn another_token_stays_and_the_short_form_of_the_same_is_the_same() {
    let Some(world) = World::new() else { return };
    let file = world.path("secrets/k3s-token");
    fs::create_dir_all(world.path("secrets")).unwrap();
    for (there, status) in [("another-token-of-somebody", 2), ("canary-of-the-token\n", 0), (CANARY, 0)] {
        fs::write(&file, there).unwrap();
        let output = world.run(&FETCH);
        assert_eq!(output.status.code(), Some(status), "{}", said(&output));
        assert_eq!(fs::read_to_string(&file).unwrap(), there);
    }
    fs::write(&file, "").unwrap();
    assert_eq!(world.run(&FETCH).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{CANARY}\n"));
    assert_eq!(fs::read_dir(world.path("secrets")).unwrap().count(), 1, "nothing lies beside it");
}

#[test]
fn killed_at_any_connection_and_run_again_the_file_is_whole_or_not_there() {
    let Some(world) = World::new() else { return };
    let file = world.path("secrets/k3s-token");
    assert_eq!(world.run(&FETCH).status.code(), Some(0));
    for kill in
        (1..=world.calls()).flat_map(|call| ["before", "during", "after"].map(|at| format!("{at} {call}")))
    {
        fs::remove_file(&file).unwrap();
        world.reset();
        world.run_killed(&FETCH, &kill);
        if file.exists() {
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{CANARY}\n"), "{kill}");
        }
        assert_eq!(world.run(&FETCH).status.code(), Some(0), "{kill}");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{CANARY}\n"), "{kill}");
        assert_eq!(fs::read_dir(world.path("secrets")).unwrap().count(), 1, "{kill}: nothing lies beside it");
    }
}

#[test]
fn a_token_from_the_environment_cannot_be_fetched_and_one_that_is_none_is_refused() {
    let Some(world) = World::new() else { return };
    fs::write(world.on(0, NODE_TOKEN), "canary\n").unwrap();
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(!world.path("secrets/k3s-token").exists());
    let text = fs::read_to_string(world.path("inventory.yaml")).unwrap();
    fs::write(world.path("inventory.yaml"), text.replace("{file: secrets/k3s-token}", "{env: K3S_TOKEN}"))
        .unwrap();
    let output = world.run(&FETCH);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("environment variable K3S_TOKEN"), "{}", said(&output));
}
