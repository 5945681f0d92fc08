//! The nodes as `kubectl get nodes --output=json` lists them, and whether etcd can spare one.

use serde_json::Value;

use crate::ids::Invalid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub ready: bool,
    /// Whether it has a member of etcd.
    pub etcd: bool,
    /// Whether k3s says that it took this node's member out of etcd.
    pub etcd_removed: bool,
}

/// k3s labels servers with embedded etcd.
const ETCD_ROLE: &str = "node-role.kubernetes.io/etcd";
/// k3s' controller of etcd members takes one out when this is set on its node …
pub const ETCD_REMOVE: &str = "etcd.k3s.cattle.io/remove=true";
/// … and then writes this.
const ETCD_REMOVED: &str = "etcd.k3s.cattle.io/removed-node-name";

pub fn parse_nodes(json: &[u8]) -> Result<Vec<Node>, Invalid> {
    let strange = || {
        Invalid::new("kubectl's list of nodes is not understood", "look at `kubectl get nodes --output=json`")
    };
    let list: Value = serde_json::from_slice(json).map_err(|_| strange())?;
    list["items"].as_array().ok_or_else(strange)?.iter().map(|item| node(item).ok_or_else(strange)).collect()
}

fn node(item: &Value) -> Option<Node> {
    let metadata = &item["metadata"];
    let conditions = item["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Node {
        name: metadata["name"].as_str()?.to_owned(),
        ready: conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        etcd: metadata["labels"].get(ETCD_ROLE).is_some(),
        etcd_removed: metadata["annotations"].get(ETCD_REMOVED).is_some(),
    })
}

/// Refuses to take a member out of etcd that it cannot spare: those that are ready beside it must be a majority of all.
pub fn can_spare(nodes: &[Node], name: &str) -> Result<(), Invalid> {
    let members: Vec<&Node> = nodes.iter().filter(|node| node.etcd && !node.etcd_removed).collect();
    if !members.iter().any(|node| node.name == name) {
        return Ok(());
    }
    let ready: Vec<&str> = members
        .iter()
        .filter(|node| node.ready && node.name != name)
        .map(|node| node.name.as_str())
        .collect();
    let majority = members.len() / 2 + 1;
    if ready.len() >= majority {
        return Ok(());
    }
    let down: Vec<&str> = members
        .iter()
        .filter(|node| !node.ready && node.name != name)
        .map(|node| node.name.as_str())
        .collect();
    Err(Invalid::new(
        format!(
            "without {name}, {} of etcd's {} members would be ready, and it needs {majority}: the cluster would stop",
            ready.len(),
            members.len()
        ),
        match down.as_slice() {
            [] => "add a server first: fewer than three cannot spare one".to_owned(),
            down => format!("bring {} back first", down.join(" and ")),
        },
    ))
}
