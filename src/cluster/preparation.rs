//! What is done to a cluster before one of its machines is installed anew: which steps, in which order, and why not.

use serde::Serialize;

use crate::ids::Invalid;
use crate::inventory::{Host, Inventory};

use super::node::{ETCD_ROLE, Node, can_spare, node_of};

/// In the order in which they are done. The host's keys go last: the reboot needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    Drain,
    EtcdMember,
    DeleteNode,
    NodePassword,
    Arm,
    Reboot,
    HostKeys,
}

impl Step {
    pub const ALL: [Step; 7] = [
        Step::Drain,
        Step::EtcdMember,
        Step::DeleteNode,
        Step::NodePassword,
        Step::Arm,
        Step::Reboot,
        Step::HostKeys,
    ];

    /// What `--skip` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Step::Drain => "drain",
            Step::EtcdMember => "etcd-member",
            Step::DeleteNode => "delete-node",
            Step::NodePassword => "node-password",
            Step::Arm => "arm",
            Step::Reboot => "reboot",
            Step::HostKeys => "host-keys",
        }
    }

    /// Whether etcd has one member less by it, for as long as the host is away. k3s' controller takes out the member of a
    /// deleted node, too.
    pub fn costs_a_member(self) -> bool {
        matches!(self, Step::EtcdMember | Step::DeleteNode | Step::Reboot)
    }

    pub fn purpose(self) -> &'static str {
        match self {
            Step::Drain => "move its pods to other nodes, and let none come",
            Step::EtcdMember => "take its member out of etcd, which would wait for it",
            Step::DeleteNode => "delete the node",
            Step::NodePassword => "delete its node password, with which the new installation could not join",
            Step::Arm => "let it install with its next boot from the network",
            Step::Reboot => "start it from the network, over ssh",
            Step::HostKeys => "forget its old SSH host keys on this machine",
        }
    }
}

/// A step, and why there is nothing to be done for it, if so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    pub step: Step,
    pub not: Option<&'static str>,
}

/// What the user wants, beside the host.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub skip: Vec<Step>,
    pub reboot: bool,
}

/// All steps in order. Refused where the cluster is another one or would stop, or a second one would begin. The context
/// is the one in which kubectl listed the nodes.
pub fn plan(
    inventory: &Inventory,
    host: &Host,
    context: &str,
    nodes: &[Node],
    wish: &Wish,
) -> Result<Vec<Planned>, Invalid> {
    if inventory.k3s.phase.begins() && inventory.k3s.bootstrap_host == host.name {
        return Err(Invalid::new(
            format!("installed anew, {} would start a second cluster beside this one", host.name),
            "set k3s.phase to reinstall: there is a cluster to join",
        ));
    }
    is_the_inventorys(inventory, host, context, nodes)?;
    if host.is_control_plane() && inventory.hosts.iter().filter(|other| other.is_control_plane()).count() == 1
    {
        return Err(Invalid::new(
            format!("{} is the only control plane: the cluster ends with its disk", host.name),
            "take a snapshot away from it first (`k3s etcd-snapshot save`), and add a second control plane, or install it as the first of a new cluster (k3s.phase: bootstrap)",
        ));
    }
    let node = node_of(nodes, host, &inventory.network);
    has_a_known_member(host, context, node, wish)?;
    if let Some(node) = node {
        can_spare(nodes, &node.name)?;
    }
    let why_not = |step: Step| {
        if wish.skip.contains(&step) {
            return Some("skipped");
        }
        match (step, node) {
            (Step::Drain | Step::EtcdMember | Step::DeleteNode, None) => {
                Some("it is no node of the cluster any more")
            }
            (Step::Drain, Some(node)) if !node.ready => {
                Some("the node is not ready, so nobody there could end its pods")
            }
            (Step::EtcdMember, Some(node)) if !node.etcd => Some("it has no member"),
            (Step::EtcdMember, Some(node)) if node.etcd_removed => Some("its member is out already"),
            (Step::Reboot, _) if !wish.reboot => {
                Some("not without --reboot; start it from the network yourself")
            }
            _ => None,
        }
    };
    Ok(Step::ALL.map(|step| Planned { step, not: why_not(step) }).to_vec())
}

/// The host itself says nothing: it may be gone already, and another cluster has nodes of such names, too.
fn is_the_inventorys(
    inventory: &Inventory,
    host: &Host,
    context: &str,
    nodes: &[Node],
) -> Result<(), Invalid> {
    let others: Vec<&Host> =
        inventory.hosts.iter().filter(|other| other.is_control_plane() && other.name != host.name).collect();
    if others.is_empty() || others.iter().any(|other| node_of(nodes, other, &inventory.network).is_some()) {
        return Ok(());
    }
    let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
    Err(Invalid::new(
        format!(
            "kubectl asks another cluster: in its context {context:?}, none of the control planes {} is a node",
            names.join(" and ")
        ),
        "say which one with --context NAME or --kubeconfig FILE",
    ))
}

/// A member that nobody sees is a member that etcd may still wait for.
fn has_a_known_member(host: &Host, context: &str, node: Option<&Node>, wish: &Wish) -> Result<(), Invalid> {
    if !host.is_control_plane() || wish.skip.contains(&Step::EtcdMember) {
        return Ok(());
    }
    let unknown = match node {
        Some(node) if node.etcd => return Ok(()),
        Some(node) => format!("its node {} is not labelled {ETCD_ROLE}", node.name),
        None => format!("in the context {context:?} no node has its name, FQDN or address"),
    };
    Err(Invalid::new(
        format!(
            "{} is a control plane, but {unknown}: whether etcd still has its member is unknown",
            host.name
        ),
        "when etcd has none any more, --skip etcd-member",
    ))
}

/// Every name by which the user's ssh may know the host.
pub fn names_in_known_hosts(inventory: &Inventory, host: &Host) -> Vec<String> {
    let fqdn = host.fqdn(&inventory.network).map(|name| name.to_string());
    let addresses = host.addresses.iter().map(ToString::to_string);
    [host.name.to_string()].into_iter().chain(fqdn).chain(addresses).collect()
}
