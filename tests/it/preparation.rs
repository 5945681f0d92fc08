//! The plan of a reinstall: what is done, what is left and why, and when it is refused.

use pxe_serve::cluster::node::Node;
use pxe_serve::cluster::preparation::{Step, Wish, names_in_known_hosts, plan};
use pxe_serve::inventory::{self, Inventory};

fn inventory(edit: impl Fn(String) -> String) -> Inventory {
    let text = edit(include_str!("../../inventory.yaml").to_owned());
    inventory::parse("inventory.yaml", text.as_bytes()).0.unwrap()
}

fn with_workers(names: &[&str]) -> Inventory {
    inventory(|text| {
        let text = text.replace("  phase:", "  agent_token: {file: secrets/k3s-agent-token}\n  phase:");
        names.iter().fold(text, |text, name| {
            text.replace(&format!("  {name}:\n"), &format!("  {name}:\n    role: worker\n"))
        })
    })
}

fn nodes() -> Vec<Node> {
    let node = |name: &str| Node {
        name: name.to_owned(),
        addresses: Vec::new(),
        ready: true,
        etcd: true,
        etcd_removed: false,
    };
    ["lenovo1", "lenovo2", "lenovo3"].map(node).to_vec()
}

fn done(inventory: &Inventory, nodes: &[Node], wish: &Wish) -> Vec<&'static str> {
    let plan = plan(inventory, inventory.host("lenovo2").unwrap(), "lab", nodes, wish).unwrap();
    assert_eq!(plan.len(), Step::ALL.len());
    plan.iter().filter(|planned| planned.not.is_none()).map(|planned| planned.step.name()).collect()
}

#[test]
fn every_step_is_done_in_its_order_unless_it_has_nothing_to_do() {
    let inventory = inventory(|text| text);
    let all = ["drain", "etcd-member", "delete-node", "node-password", "arm", "reboot", "host-keys"];
    let reboot = Wish { reboot: true, ..Wish::default() };
    assert_eq!(done(&inventory, &nodes(), &reboot), all);
    // The keys are needed for the reboot, so they go after it.
    assert!(Step::Reboot < Step::HostKeys);
    let without = |left: &[&str]| all.into_iter().filter(|step| !left.contains(step)).collect::<Vec<_>>();
    assert_eq!(done(&inventory, &nodes(), &Wish::default()), without(&["reboot"]));
    let mut down = nodes();
    down[1].ready = false;
    assert_eq!(done(&inventory, &down, &reboot), without(&["drain"]));
    let mut removed = nodes();
    removed[1].etcd_removed = true;
    assert_eq!(done(&inventory, &removed, &reboot), without(&["etcd-member"]));
    let mut worker = nodes();
    worker[1].etcd = false;
    assert_eq!(done(&with_workers(&["lenovo2"]), &worker, &reboot), without(&["etcd-member"]));
    let mut gone = nodes();
    gone.remove(1);
    let has_none = Wish { skip: vec![Step::EtcdMember], reboot: true };
    assert_eq!(done(&inventory, &gone, &has_none), without(&["drain", "etcd-member", "delete-node"]));
    for step in Step::ALL {
        let wish = Wish { skip: vec![step], reboot: true };
        assert_eq!(done(&inventory, &nodes(), &wish), without(&[step.name()]));
    }
}

#[test]
fn a_host_that_would_begin_a_second_cluster_is_refused() {
    let bootstrap = inventory(|text| text.replace("phase: reinstall", "phase: bootstrap"));
    let of = |name: &str| plan(&bootstrap, bootstrap.host(name).unwrap(), "lab", &nodes(), &Wish::default());
    assert!(of("lenovo1").unwrap_err().message.contains("second cluster"));
    assert!(of("lenovo2").is_ok());
}

#[test]
fn another_cluster_is_refused_by_the_name_of_its_context() {
    let inventory = inventory(|text| text);
    let of = |nodes: &[Node]| {
        plan(&inventory, inventory.host("lenovo2").unwrap(), "work", nodes, &Wish::default())
    };
    let mut foreign = nodes();
    for (node, name) in foreign.iter_mut().zip(["apple", "pear", "plum"]) {
        node.name = name.to_owned();
    }
    // A name of the host's own proves nothing.
    let mut namesake = foreign.clone();
    namesake[1].name = "lenovo2".to_owned();
    for nodes in [vec![], foreign.clone(), namesake] {
        let refused = of(&nodes).unwrap_err();
        assert!(
            refused.message.contains("another cluster: in its context \"work\"")
                && refused.message.contains("lenovo1 and lenovo3")
                && refused.help.contains("--context"),
            "{refused:?}"
        );
    }
    // Any other control plane proves it, by any of its names.
    let mut known = nodes();
    known[0].name = "plum".to_owned();
    for (name, address) in
        [("lenovo3", "10.9.9.9"), ("lenovo3.lab.internal", "10.9.9.9"), ("x", "192.168.26.7")]
    {
        known[2].name = name.to_owned();
        known[2].addresses = vec![address.parse().unwrap()];
        assert!(of(&known).is_ok(), "{name}");
    }
}

#[test]
fn a_host_is_found_by_each_name_that_its_node_may_have() {
    let inventory = inventory(|text| text);
    let reboot = Wish { reboot: true, ..Wish::default() };
    for (name, address) in [("lenovo2.lab.internal", "10.9.9.9"), ("localhost", "192.168.26.6")] {
        let mut nodes = nodes();
        nodes[1].name = name.to_owned();
        nodes[1].addresses = vec![address.parse().unwrap()];
        assert_eq!(done(&inventory, &nodes, &reboot).len(), Step::ALL.len(), "{name}");
        // Its member is counted by that name, too.
        nodes[0].ready = false;
        let refused =
            plan(&inventory, inventory.host("lenovo2").unwrap(), "lab", &nodes, &reboot).unwrap_err();
        assert!(refused.message.contains(&format!("without {name}, 1 of etcd's 3")), "{refused:?}");
    }
}

#[test]
fn a_control_plane_that_is_no_node_is_refused() {
    let inventory = inventory(|text| text);
    let mut gone = nodes();
    gone.remove(1);
    let refused = plan(&inventory, inventory.host("lenovo2").unwrap(), "lab", &gone, &Wish::default());
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("no node has its name") && refused.help.contains("--skip etcd-member"));
}

#[test]
fn a_control_plane_whose_node_does_not_say_that_it_has_a_member_is_refused() {
    let inventory = inventory(|text| text);
    let mut unlabelled = nodes();
    unlabelled[1].etcd = false;
    let refused = plan(&inventory, inventory.host("lenovo2").unwrap(), "lab", &unlabelled, &Wish::default());
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("not labelled") && refused.help.contains("--skip etcd-member"));
    let has_none = Wish { skip: vec![Step::EtcdMember], reboot: true };
    assert_eq!(done(&inventory, &unlabelled, &has_none).len(), Step::ALL.len() - 1);
}

#[test]
fn the_only_control_plane_is_refused_whatever_is_skipped() {
    let inventory = with_workers(&["lenovo2", "lenovo3"]);
    let wish = Wish { skip: Step::ALL.to_vec(), ..Wish::default() };
    let refused = plan(&inventory, inventory.host("lenovo1").unwrap(), "lab", &nodes(), &wish).unwrap_err();
    assert!(refused.message.contains("the cluster ends with its disk"), "{refused:?}");
    assert!(refused.help.contains("snapshot"), "{refused:?}");
}

#[test]
fn ssh_forgets_a_host_by_each_of_its_names() {
    let inventory = inventory(|text| text);
    let names = names_in_known_hosts(&inventory, inventory.host("lenovo2").unwrap());
    assert_eq!(names, ["lenovo2", "lenovo2.lab.internal", "192.168.26.6"]);
}
