//! `kubeconfig --ssh` against the real sshd: from the server that is named, else from the first that answers.

use std::fs;

use super::world::World;
use crate::api::A_YEAR;

#[test]
fn k3s_yaml_is_fetched_from_the_server_that_is_named_or_the_first_that_has_it() {
    let Some(world) = World::new() else { return };
    let ca = world.ca();
    let client = ca.issue(&[], A_YEAR);
    let key = client.key_pem.lines().nth(1).unwrap();
    // lenovo1 answers, but has none.
    fs::write(world.on(1, "etc/rancher/k3s/k3s.yaml"), ca.k3s_yaml(&client)).unwrap();
    for arguments in [&["--ssh"][..], &["--ssh", "lenovo2"]] {
        let output = world.run(&[&["kubeconfig", "--out", "lab.yaml"], arguments].concat());
        let said = crate::tools::said(&output);
        assert!(output.status.success() && !said.contains(key), "{said}");
        let written = fs::read_to_string(world.path("lab.yaml")).unwrap();
        // The VIP is nobody's in this world.
        assert!(written.contains(&format!("server: https://{}:6443", world.address(0))), "{written}");
        fs::remove_file(world.path("lab.yaml")).unwrap();
    }
    let log = fs::read_to_string(world.path("calls.log")).unwrap();
    assert!(!log.contains(key), "{log}");
    let output = world.run(&["kubeconfig", "--ssh", "lenovo3", "--out", "lab.yaml"]);
    let said = crate::tools::said(&output);
    assert!(output.status.code() == Some(2) && said.contains("k3s.yaml"), "{said}");
    assert!(!world.path("lab.yaml").exists());
}
