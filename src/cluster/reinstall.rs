//! What the cluster must forget of a host before it is installed anew, as commands to copy.

use crate::inventory::{Host, Inventory};

/// Lines of sh; what an operator decides stands in them as comments.
pub fn before_reinstall(inventory: &Inventory, host: &Host) -> String {
    let name = &host.name;
    let mut text = String::new();
    let mut line = |words: &str| {
        text += words;
        text.push('\n');
    };
    let is_server = host.is_control_plane();
    if is_server && inventory.control_planes().count() == 1 {
        line(&format!(
            "# {name} is the only server: the cluster ends with its disk. Keep a snapshot, and copy it away:"
        ));
        line(&format!("ssh core@{} sudo k3s etcd-snapshot save", host.address()));
        return text;
    }
    if inventory.k3s.phase.begins() && *name == inventory.k3s.bootstrap_host {
        line(&format!(
            "# k3s.phase is not reinstall: installed now, {name} may start a second cluster. Write reinstall first."
        ));
    }
    if is_server {
        line(&format!(
            "# One server at a time: the next one when `kubectl get nodes` shows {name} as Ready again."
        ));
    }
    line(&format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data --timeout=5m"));
    if is_server {
        // k3s' managed-etcd-controller has a finalizer on the node, so kubectl waits for it.
        line(
            "# With the node k3s removes its etcd member. While the other servers are up, that takes seconds.",
        );
    }
    line(&format!("kubectl delete node {name} --timeout=2m"));
    line(
        "# Gone with the node already, unless k3s was down; releases since November 2025 then remove it 10 minutes later.",
    );
    line(&format!(
        "# {name} brings the password that pxe-serve gave it; this one is needed if it was installed by something else"
    ));
    line("# before, or if k3s.token has changed since.");
    line(&format!("kubectl -n kube-system delete secret {name}.node-password.k3s --ignore-not-found"));
    if is_server {
        let other = inventory.control_planes().find(|other| other.name != *name);
        let other = other.map(|other| other.address().to_string()).unwrap_or_default();
        line(&format!(
            "# Only if k3s on {name} then says \"duplicate node name found\": the etcd member is still there. On another"
        ));
        line(&format!("# server (ssh core@{other}), as root, with etcdctl of an etcd release:"));
        line("#   cd /var/lib/rancher/k3s/server/tls/etcd");
        let etcdctl = "etcdctl --endpoints https://127.0.0.1:2379 --cacert server-ca.crt --cert client.crt --key client.key";
        line(&format!("#   {etcdctl} member list"));
        line(&format!("#   {etcdctl} member remove ID   # of {name}-…"));
    }
    text
}
