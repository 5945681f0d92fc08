//! A switch, a network namespace with a bridge, and the cables in it.

use std::net::IpAddr;
use std::rc::Rc;

use super::node::Node;
use crate::namespace::Namespace;

/// A switch that drops nothing.
pub struct Switch {
    namespace: Namespace,
}

impl Switch {
    pub fn new() -> Rc<Switch> {
        let namespace = Namespace::new();
        namespace.sh("ip link add br0 type bridge; ip link set br0 up");
        Rc::new(Switch { namespace })
    }

    /// As a switch does that looks for subscribers, and does not know of any.
    pub fn drops_multicast(&self) {
        // /sys shows the machine's network, not this one's.
        self.namespace.sh("for port in $(ip -brief link show master br0 | cut -d@ -f1); do
                 bridge link set dev $port mcast_flood off
             done");
    }

    /// The node's end of the cable stays up, and nothing comes through: the others and it are two networks.
    pub fn split_off(&self, port: usize) {
        self.namespace.sh(&format!("ip link set port{port} nomaster"));
    }

    pub fn join_again(&self, port: usize) {
        self.namespace.sh(&format!("ip link set port{port} master br0"));
    }

    /// The cable itself, which both ends notice.
    pub fn pull_cable(&self, port: usize) {
        self.namespace.sh(&format!("ip link set port{port} down"));
    }

    pub fn plug_cable(&self, port: usize) {
        self.namespace.sh(&format!("ip link set port{port} up"));
    }

    /// Puts a node's eth0, with its addresses, into a port.
    pub fn connect(&self, port: usize, node: &Node, addresses: &[IpAddr]) {
        let id = node.namespace.id();
        self.namespace.sh(&format!(
            "ip link add port{port} type veth peer name eth0 netns {id}; ip link set port{port} master br0 up"
        ));
        let addresses: Vec<String> = addresses
            .iter()
            .map(|address| {
                format!("ip addr add {address}/{} dev eth0", if address.is_ipv4() { 24 } else { 64 })
            })
            .collect();
        // Without the seconds in which the kernel looks whether somebody else has the address.
        node.namespace.sh(&format!(
            "for of in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$of/accept_dad; done
         ip link set eth0 up
         {}",
            addresses.join("\n")
        ));
    }
}
