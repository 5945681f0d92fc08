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

/// Every server has the drop-in, shows a certificate for all, and what it had is there still.
#[track_caller]
fn assert_complete(world: &World) {
    let output = world.run(&["tls-san", "apply", "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(jq(world, &output, ".servers[].outcome"), "unchanged\nunchanged\nunchanged\n");
    // Nobody has the VIP here, which is a difference as well.
    let output = world.run(&["tls-san", "check", "--json"]);
    let servers = ".shown[] | select(.subject | startswith(\"lenovo\")) | .missing | tostring";
    assert_eq!(jq(world, &output, servers), "[]\n[]\n[]\n", "{}", said(&output));
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

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let Some(world) = World::new() else { return };
    let output = world.run(&["tls-san", "apply", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("lenovo1          lacks ") && text.contains("k3s.lab.internal"), "{text}");
    assert_eq!(world.restarts(), [0, 0, 0]);
    assert!((0..3).all(|place| !world.on(place, DROP_IN).exists()));
    // One server alone.
    let output = world.run(&["tls-san", "apply", "--host", "lenovo2"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(world.restarts(), [0, 1, 0]);
    let output = world.run(&["tls-san", "apply", "--host", "nobody"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn a_dry_run_tells_a_server_that_is_not_ready_yet_from_one_that_shows_all() {
    let Some(world) = World::new() else { return };
    assert_eq!(world.run(&APPLY).status.code(), Some(0));
    world.stop(1);
    // Younger than its files by whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.start(1);
    fs::remove_file(world.on(1, "ready")).unwrap();
    let output = world.run(&["tls-san", "apply", "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(jq(&world, &output, ".servers[].outcome"), "unchanged\nwaiting\nunchanged\n");
}

#[test]
fn it_stops_at_the_first_that_does_not_come_back_and_goes_on_when_that_is_mended() {
    let Some(world) = World::new() else { return };
    fs::write(world.on(1, "hopeless"), "").unwrap();
    let output = world.run(&["tls-san", "apply", "--json", "--wait", "5s"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(jq(&world, &output, ".servers[].outcome"), "changed\nfailed\nleft\n");
    assert!(jq(&world, &output, ".servers[1].error").contains("Job for k3s.service failed"));
    assert_eq!(world.restarts(), [1, 1, 0]);
    // The third is fine and is not touched while the second is down.
    let output = world.run(&["tls-san", "apply", "--host", "lenovo3"]);
    assert!(
        said(&output).contains("not touched, since another server is not up (lenovo2: k3s is failed)"),
        "{}",
        said(&output)
    );
    assert_eq!((output.status.code(), world.restarts()), (Some(2), vec![1, 1, 0]));
    fs::remove_file(world.on(1, "hopeless")).unwrap();
    let output = world.run(&APPLY);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!((world.restarts(), world.most_down()), (vec![1, 2, 1], 1));
    assert_complete(&world);
}

#[test]
fn a_server_that_never_gets_ready_is_given_up_with_the_reason() {
    let Some(world) = World::new() else { return };
    fs::write(world.on(0, "sick"), "").unwrap();
    let output = world.run(&["tls-san", "apply", "--wait", "2s"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("k3s runs, but its API is not ready")
            && said.contains("lenovo3          left as it is"),
        "{said}"
    );
    assert_eq!(world.restarts(), [1, 0, 0]);
}

#[test]
fn nothing_is_touched_while_another_server_is_down() {
    let Some(world) = World::new() else { return };
    world.stop(2);
    let output = world.run(&APPLY);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(world.restarts(), [0, 0, 0]);
    assert!(!world.on(0, DROP_IN).exists());
    world.start(2);
    assert_eq!(world.run(&APPLY).status.code(), Some(0));
    assert_complete(&world);
}

#[test]
fn a_server_that_runs_and_whose_certificate_cannot_be_seen_is_not_touched() {
    let Some(world) = World::new() else { return };
    world.hide(0);
    let output = world.run(&APPLY);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("its certificate cannot be seen from here: connection refused"), "{said}");
    assert_eq!(world.restarts(), [0, 0, 0]);
    assert!(!world.on(0, DROP_IN).exists());
}

#[test]
fn a_file_of_the_nodes_own_that_drops_ours_is_named_before_anything_is_touched() {
    let Some(world) = World::new() else { return };
    fs::write(world.on(0, "etc/rancher/k3s/config.yaml.d/zzz.yaml"), "tls-san: [x]\n").unwrap();
    let output = world.run(&APPLY);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("config.yaml.d/zzz.yaml has a plain `tls-san:`"), "{}", said(&output));
    assert_eq!(world.restarts(), [0, 0, 0]);
}

#[test]
fn a_host_key_that_is_not_known_is_no_reason_to_go_on() {
    let Some(world) = World::new() else { return };
    fs::write(world.path("known_hosts"), "").unwrap();
    let output = world.run(&APPLY);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("Host key verification failed") && said.contains("accept the host's key"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(world.path("known_hosts")).unwrap(), "", "nothing was accepted");
    assert_eq!(world.restarts(), [0, 0, 0]);
}

#[test]
fn a_configuration_that_ignores_host_keys_is_not_followed() {
    let Some(world) = World::new() else { return };
    fs::write(world.path("known_hosts"), "").unwrap();
    let own = fs::read_to_string(world.path("ssh_config")).unwrap();
    fs::write(world.path("ssh_config"), format!("StrictHostKeyChecking no\n{own}")).unwrap();
    let output = world.run(&APPLY);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Host key verification failed"), "{said}");
    assert_eq!(fs::read_to_string(world.path("known_hosts")).unwrap(), "", "nothing was accepted");
    assert_eq!(world.restarts(), [0, 0, 0]);
}

/// Killed after the file was written and before k3s was restarted: the next run sees a file that is right already.
#[test]
fn a_server_whose_file_is_right_and_whose_certificate_is_not_is_restarted() {
    let Some(world) = World::new() else { return };
    assert_eq!(world.run(&["tls-san", "apply", "--host", "lenovo1"]).status.code(), Some(0));
    let written = fs::read(world.on(0, DROP_IN)).unwrap();
    world.reset();
    // Written a second after k3s started.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    fs::write(world.on(0, DROP_IN), &written).unwrap();
    let output = world.run(&["tls-san", "apply", "--host", "lenovo1", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        jq(&world, &output, ".servers[] | [.outcome, .wrote, .restarted] | tostring"),
        "[\"changed\",null,true]\n"
    );
    assert_eq!(world.restarts(), [1, 0, 0]);
}

/// At each connection to the first server, and in the middle of each that changes something on the others, which go through
/// the same steps. `PXE_SERVE_KILLS=all` kills at, during and after every connection to all of them.
#[test]
fn killed_at_every_step_and_run_again_the_end_is_the_same() {
    let Some(world) = World::new() else { return };
    world.keep_connections();
    assert_eq!(world.run(&APPLY).status.code(), Some(0));
    let connections = world.calls();
    let drop_ins: Vec<Vec<u8>> = (0..3).map(|place| fs::read(world.on(place, DROP_IN)).unwrap()).collect();
    assert!(connections >= 18, "{connections}");
    let all = std::env::var("PXE_SERVE_KILLS").as_deref() == Ok("all");
    let (mut runs, mut killed) = (0, 0);
    for count in 1..=connections {
        let moments = match (count <= connections / 3, world.changed_at(count)) {
            _ if all => &["before", "during", "after"][..],
            (true, true) => &["before", "during", "after"],
            // A kill while one looks is as one before it.
            (true, false) => &["before"],
            (false, true) => &["during"],
            (false, false) => &[],
        };
        for moment in moments {
            runs += 1;
            world.reset();
            let kill = format!("{moment} {count}");
            let output = world.run_killed(&APPLY, &kill);
            killed += usize::from(output.status.code().is_none_or(|code| code >= 128));
            // At once: systemd may be in the middle of a restart that nobody waits for any more.
            let output = world.run(&APPLY);
            assert_eq!(output.status.code(), Some(0), "{kill}: {}", said(&output));
            world.settle();
            for (place, drop_in) in drop_ins.iter().enumerate() {
                assert_eq!(&fs::read(world.on(place, DROP_IN)).unwrap(), drop_in, "{kill}");
                assert!(world.shows(place, "k3s.lab.internal"), "{kill}");
            }
            assert_eq!(world.most_down(), 1, "{kill}");
            let restarts = world.restarts();
            assert!(
                restarts.iter().all(|count| *count >= 1) && restarts.iter().sum::<usize>() <= 4,
                "{kill}: {restarts:?}"
            );
        }
    }
    // A kill during the very last connection may come too late.
    assert!(killed == runs || all && killed == runs - 1, "killed {killed} times in {runs} runs");
    eprintln!("killed {killed} times at {connections} connections");
    assert_complete(&world);
}
