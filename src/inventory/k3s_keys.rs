//! The keys of k3s' `config.yaml` on a server, which are its flags: since which minor release, and which no server of ours
//! may have. From `k3s server --help`, docs.k3s.io/cli/server and the flags of its `pkg/cli/cmds`, up to 1.37.
//!
//! k3s logs a key that it does not know ("Unknown flag … found in config.yaml, skipping") and goes on, so a misspelt one is
//! found by nobody. The table is by hand: a key that is newer than it gets a warning, no error.

/// A minor release of Kubernetes 1, such as 32.
pub type Minor = u32;

/// Keys that servers had at 1.26 already; the lists below have the others.
const KEYS: &[&str] = &[
    "advertise-address",
    "advertise-port",
    "agent-token",
    "agent-token-file",
    "airgap-extra-registry",
    "alsologtostderr",
    "bind-address",
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "cluster-init",
    "cluster-reset",
    "cluster-reset-restore-path",
    "config",
    "container-runtime-endpoint",
    "data-dir",
    "datastore-cafile",
    "datastore-certfile",
    "datastore-endpoint",
    "datastore-keyfile",
    "debug",
    "default-local-storage-path",
    "disable",
    "disable-agent",
    "disable-apiserver",
    "disable-cloud-controller",
    "disable-controller-manager",
    "disable-etcd",
    "disable-helm-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "disable-scheduler",
    "docker",
    "egress-selector-mode",
    "enable-pprof",
    "etcd-arg",
    "etcd-disable-snapshots",
    "etcd-expose-metrics",
    "etcd-s3",
    "etcd-s3-access-key",
    "etcd-s3-bucket",
    "etcd-s3-endpoint",
    "etcd-s3-endpoint-ca",
    "etcd-s3-folder",
    "etcd-s3-insecure",
    "etcd-s3-region",
    "etcd-s3-secret-key",
    "etcd-s3-skip-ssl-verify",
    "etcd-s3-timeout",
    "etcd-snapshot-compress",
    "etcd-snapshot-dir",
    "etcd-snapshot-name",
    "etcd-snapshot-retention",
    "etcd-snapshot-schedule-cron",
    "flannel-backend",
    "flannel-cni-conf",
    "flannel-conf",
    "flannel-external-ip",
    "flannel-iface",
    "flannel-ipv6-masq",
    "https-listen-port",
    "image-credential-provider-bin-dir",
    "image-credential-provider-config",
    "kube-apiserver-arg",
    "kube-cloud-controller-arg",
    "kube-cloud-controller-manager-arg",
    "kube-controller-arg",
    "kube-controller-manager-arg",
    "kube-proxy-arg",
    "kube-scheduler-arg",
    "kubelet-arg",
    "lb-server-port",
    "log",
    "node-external-ip",
    "node-ip",
    "node-label",
    "node-name",
    "node-taint",
    "pause-image",
    "prefer-bundled-bin",
    "private-registry",
    "protect-kernel-defaults",
    "resolv-conf",
    "rootless",
    "secrets-encryption",
    "selinux",
    "server",
    "service-cidr",
    "service-node-port-range",
    "servicelb-namespace",
    "snapshotter",
    "system-default-registry",
    "tls-san",
    "token",
    "token-file",
    "v",
    "vmodule",
    "with-node-id",
    "write-kubeconfig",
    "write-kubeconfig-mode",
];

/// Keys with the minor they were made for. k3s brings them to the minors that it supports on that day as well, so an older
/// one may have them from some patch on.
const SINCE: &[(&str, Minor)] = &[
    ("default-runtime", 29),
    ("disable-apiserver-lb", 28),
    ("disable-default-registry-endpoint", 28),
    ("embedded-registry", 28),
    ("etcd-s3-bucket-lookup-type", 33),
    ("etcd-s3-config-secret", 30),
    ("etcd-s3-proxy", 30),
    ("etcd-s3-retention", 34),
    ("etcd-s3-session-token", 33),
    ("etcd-snapshot-reconcile-interval", 32),
    ("helm-controller-arg", 33),
    ("helm-job-image", 27),
    ("image-service-endpoint", 28),
    ("kine-tls", 29),
    ("node-external-dns", 31),
    ("node-internal-dns", 31),
    ("nonroot-devices", 31),
    ("secrets-encryption-provider", 32),
    ("supervisor-metrics", 30),
    ("tls-san-security", 28),
    ("vpn-auth", 27),
    ("vpn-auth-file", 27),
    ("write-kubeconfig-group", 30),
];

/// Keys of other days, or of other programs, and what to write.
const INSTEAD: &[(&str, &str)] = &[
    ("cluster-secret", "k3s has no such key any more: `k3s.token` is what it was"),
    ("no-deploy", "k3s has no such key any more: list the components in `k3s.disable`"),
    ("no-flannel", "k3s has no such key any more: write `flannel-backend: none`"),
    (
        "tls-cipher-suites",
        "it is an argument of the API server: write `kube-apiserver-arg: [tls-cipher-suites=…]`",
    ),
    (
        "tls-min-version",
        "it is an argument of the API server: write `kube-apiserver-arg: [tls-min-version=VersionTLS12]`",
    ),
];

/// Keys that would end the cluster, or what keeps the VIP, since every server gets them and reads them at every start.
const REFUSED: &[(&str, &str)] = &[
    (
        "bind-address",
        "the health check asks 127.0.0.1 and the others ask the VIP: k3s must listen on all addresses",
    ),
    (
        "cluster-reset",
        "each server would forget the others at its start and be a cluster of its own; it is a flag for one start of one server, by hand",
    ),
    (
        "cluster-reset-restore-path",
        "each server would go back to the snapshot at its start; it is a flag for one start of one server, by hand",
    ),
    ("config", "k3s would read another file instead of the one that pxe-serve renders"),
    (
        "disable-apiserver",
        "no server would answer: no health check would be good, and nobody would hold the VIP",
    ),
    ("disable-controller-manager", "no server would have it, and the cluster would not work"),
    ("disable-etcd", "no server would keep the cluster's data"),
    ("https-listen-port", "the health check, the VIP and the joining nodes ask port 6443"),
];

/// What is known about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A key of k3s, from this minor on.
    Key(Minor),
    /// Not of k3s, or not any more; with what to write.
    Instead(&'static str),
    /// A key of k3s that no server may have; with the reason.
    Refused(&'static str),
}

/// `None`: no key of k3s that this table has.
pub fn lookup(key: &str) -> Option<Known> {
    let find =
        |table: &[(&str, &'static str)]| table.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
    if let Some(reason) = find(REFUSED) {
        return Some(Known::Refused(reason));
    }
    if let Some(instead) = find(INSTEAD) {
        return Some(Known::Instead(instead));
    }
    if let Some((_, minor)) = SINCE.iter().find(|(name, _)| *name == key) {
        return Some(Known::Key(*minor));
    }
    KEYS.contains(&key).then_some(Known::Key(0))
}

/// Every key that k3s takes, for "did you mean".
pub fn names() -> Vec<&'static str> {
    KEYS.iter().copied().chain(SINCE.iter().map(|(name, _)| *name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_the_table_once_and_those_refused_are_keys_of_k3s() {
        let mut names = names();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(REFUSED.iter().all(|(key, _)| names.contains(key)));
        assert!(INSTEAD.iter().all(|(key, _)| !names.contains(key)));
    }
}
