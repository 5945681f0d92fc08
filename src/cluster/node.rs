//! The nodes as `kubectl get nodes --output=json` lists them, and whether etcd can spare one.

use std::net::IpAddr;

use serde_json::Value;

use crate::ids::Invalid;
use crate::inventory::{Host, Network};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// Those of the type InternalIP.
    pub addresses: Vec<IpAddr>,
    pub ready: bool,
    /// Whether it has a member of etcd.
    pub etcd: bool,
    /// Whether k3s says that it took this node's member out of etcd.
    pub etcd_removed: bool,
}

/// k3s labels servers with embedded etcd.
pub const ETCD_ROLE: &str = "node-role.kubernetes.io/etcd";
/// k3s' controller of etcd members takes one out when this is set on its node …
pub const ETCD_REMOVE: &str = "etcd.k3s.cattle.io/remove=true";
/// … and then writes this, the name of the member. It stays when the server joins again …
const ETCD_REMOVED: &str = "etcd.k3s.cattle.io/removed-node-name";
/// … with a member of another name, which is written here.
const ETCD_MEMBER: &str = "etcd.k3s.cattle.io/node-name";

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
    let addresses = item["status"]["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Node {
        name: metadata["name"].as_str()?.to_owned(),
        addresses: addresses
            .iter()
            .filter(|address| address["type"] == "InternalIP")
            .filter_map(|address| address["address"].as_str()?.parse().ok())
            .collect(),
        ready: conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        etcd: metadata["labels"].get(ETCD_ROLE).is_some(),
        etcd_removed: metadata["annotations"].get(ETCD_REMOVED).is_some_and(|removed| {
            metadata["annotations"].get(ETCD_MEMBER).is_none_or(|member| member == removed)
        }),
    })
}

/// The node that a host of the inventory is. k3s calls it by the machine's hostname, which DHCP or an earlier installation
/// may have made its FQDN or anything else.
pub fn node_of<'a>(nodes: &'a [Node], host: &Host, network: &Network) -> Option<&'a Node> {
    let fqdn = host.fqdn(network);
    let named = |name: &str| nodes.iter().find(|node| node.name == name);
    named(host.name.as_str()).or_else(|| named(fqdn?.as_str())).or_else(|| {
        nodes.iter().find(|node| node.addresses.iter().any(|address| host.addresses.contains(address)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: bool) -> Node {
        Node { name: name.to_owned(), addresses: Vec::new(), ready, etcd: true, etcd_removed: false }
    }

    #[test]
    fn a_member_is_spared_only_if_a_majority_of_all_stays_ready() {
        // Every cluster of up to seven, everybody else ready or not.
        for size in 1..=7_usize {
            for readiness in 0..1_u32 << size {
                let nodes: Vec<Node> = (0..size)
                    .map(|number| node(&format!("n{number}"), readiness >> number & 1 == 1))
                    .collect();
                let others_ready = (readiness >> 1).count_ones() as usize;
                assert_eq!(can_spare(&nodes, "n0").is_ok(), others_ready > size / 2, "{nodes:?}");
            }
        }
    }

    #[test]
    fn who_has_no_member_costs_nothing() {
        let worker = Node { etcd: false, ..node("tower1", true) };
        let removed = Node { etcd_removed: true, ..node("lenovo3", true) };
        let nodes = [node("lenovo1", true), node("lenovo2", false), worker, removed];
        for name in ["tower1", "lenovo3", "somebody"] {
            assert!(can_spare(&nodes, name).is_ok(), "{name}");
        }
        assert!(can_spare(&nodes, "lenovo1").unwrap_err().help.contains("bring lenovo2 back"));
    }

    #[test]
    fn a_member_is_out_unless_the_node_has_joined_with_another_since() {
        let removed = r#""etcd.k3s.cattle.io/removed-node-name":"a-1""#;
        let member = r#""etcd.k3s.cattle.io/node-name""#;
        for (annotations, out) in [
            (String::new(), false),
            (format!(r#"{member}:"a-1""#), false),
            (removed.to_owned(), true),
            (format!(r#"{removed},{member}:"a-1""#), true),
            (format!(r#"{removed},{member}:"a-2""#), false),
        ] {
            let list =
                format!(r#"{{"items":[{{"metadata":{{"name":"a","annotations":{{{annotations}}}}}}}]}}"#);
            assert_eq!(parse_nodes(list.as_bytes()).unwrap()[0].etcd_removed, out, "{annotations}");
        }
    }

    #[test]
    fn kubectls_list_is_read_and_anything_else_refused() {
        let list = br#"{"items":[{"metadata":{"name":"a","labels":{"node-role.kubernetes.io/etcd":"true"},"annotations":
            {"etcd.k3s.cattle.io/removed-node-name":"a-1"}},"status":{"conditions":[{"type":"MemoryPressure","status":"False"},
            {"type":"Ready","status":"Unknown"}],"addresses":[{"type":"Hostname","address":"10.0.0.9"},
            {"type":"InternalIP","address":"10.0.0.1"},{"type":"InternalIP","address":"fd00:0::1"}]}},{"metadata":{"name":"b"}}]}"#;
        let [a, b] = &parse_nodes(list).unwrap()[..] else { panic!() };
        assert!(a.etcd && a.etcd_removed && !a.ready);
        assert_eq!(a.addresses, ["10.0.0.1", "fd00::1"].map(|address| address.parse::<IpAddr>().unwrap()));
        assert!(!b.etcd && !b.etcd_removed && !b.ready);
        for text in ["", "{}", "[]", r#"{"items":[{}]}"#] {
            assert!(parse_nodes(text.as_bytes()).is_err(), "{text}");
        }
    }
}
