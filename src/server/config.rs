//! What the server is told: where to listen, whom to give secrets, and its limits with the reason for each number.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::access::SecretsPolicy;
use super::log::LogFormat;
use super::readiness::AskReadiness;

/// Everything `serve` decides about the server; the sources of the site belong to the loader.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    pub secrets: SecretsPolicy,
    /// Where generations survive a restart; none: in memory only.
    pub state_dir: Option<PathBuf>,
    /// How long `?sha256=` still answers with an artifact after it was replaced.
    pub keep_generations_for: Duration,
    pub log_format: LogFormat,
    /// Whether the cluster's servers are ready, before one of them reboots.
    pub readiness: AskReadiness,
    pub limits: Limits,
}

/// Bounds on time and memory. Tests make them small; nobody else needs to touch them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the moment a connection is idle to the last byte of the next request's header.
    pub header_read: Duration,
    /// A peer that takes next to nothing for this long is gone.
    pub write_stall: Duration,
    /// One request's header, in bytes.
    pub header_bytes: usize,
    pub connections: usize,
    /// From SIGTERM until what is still in flight is cut off.
    pub stop: Duration,
    /// Retired artifacts that are kept for boots under way, in bytes: for a small site, and for a big one.
    pub archive_bytes: RangeInclusive<usize>,
    /// How long the inputs must be quiet before a load.
    pub debounce: Duration,
    /// Between two looks at the inputs where there is no inotify.
    pub poll: Duration,
    /// Between two looks at the inputs where inotify works.
    pub poll_beside_inotify: Duration,
}

/// A boot client sends its header in one segment. Ten seconds forgive three lost SYN-ACKs (RFC 6298: 1 + 2 + 4 s).
const HEADER_READ: Duration = Duration::from_secs(10);

/// A link that comes back behind spanning tree is silent for 30 s (802.1D: twice a forward delay of 15 s).
const WRITE_STALL: Duration = Duration::from_secs(60);

/// Twice what Apache takes; what boots sends less than 1 KiB.
const HEADER_BYTES: usize = 16 * 1024;

/// A rack that boots at once, several times over; with the header's buffer full on each that is 4 MiB.
const CONNECTIONS: usize = 256;

/// OpenWRT's procd kills five seconds after SIGTERM, podman ten, systemd ninety.
const STOP: Duration = Duration::from_secs(4);

/// An edit of a site of 1000 hosts replaces 7 MB that were promised. So the first is two such edits, on a router with 128
/// MiB; the other is two of 4500 hosts, whose own files take 120 MB beside it.
const ARCHIVE_BYTES: RangeInclusive<usize> = 16 * 1024 * 1024..=64 * 1024 * 1024;

/// Editors write a temporary file, sync and rename within some 50 ms.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Soon enough for somebody who saves a file and looks.
const POLL: Duration = Duration::from_secs(2);

/// inotify says nothing about changes made elsewhere to NFS, 9p and virtiofs (inotify(7), "Limitations").
const POLL_BESIDE_INOTIFY: Duration = Duration::from_secs(30);

/// A node that was started before an edit fetches its last file within the hour; a day forgives an evening's break.
pub const KEEP_GENERATIONS_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_read: HEADER_READ,
            write_stall: WRITE_STALL,
            header_bytes: HEADER_BYTES,
            connections: CONNECTIONS,
            stop: STOP,
            archive_bytes: ARCHIVE_BYTES,
            debounce: DEBOUNCE,
            poll: POLL,
            poll_beside_inotify: POLL_BESIDE_INOTIFY,
        }
    }
}

impl Default for Config {
    /// Loopback only: what is served holds secrets, so the network is asked for, not assumed.
    fn default() -> Self {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            secrets: SecretsPolicy::default(),
            state_dir: None,
            keep_generations_for: KEEP_GENERATIONS_FOR,
            log_format: LogFormat::default(),
            readiness: AskReadiness::default(),
            limits: Limits::default(),
        }
    }
}
