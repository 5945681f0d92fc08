//! Who answered for an IPv4 address on this network, as the kernel remembers.
#![expect(clippy::disallowed_methods, reason = "the kernel tells by a file")]

/// `/proc/net/arp`; empty where there is none, as on other systems than Linux.
pub fn neighbours() -> String {
    std::fs::read_to_string("/proc/net/arp").unwrap_or_default()
}
