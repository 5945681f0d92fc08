//! A big file beside the catalogue: never rendered or held, known by what it looked like when it was last seen.

use super::Sha256;

/// A file of `--static`, as a load found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticFile {
    pub stamp: Stamp,
    /// None until all of it has been read once; of the bytes that had this stamp.
    pub sha256: Option<Sha256>,
}

/// What stat(2) says of a file, to tell later whether it has changed.
///
/// A replaced file has another inode. One written in place has another time of change, which the kernel sets at each
/// write and nobody else can: an edit whose author put the time of modification back is told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Since the epoch, as the next.
    pub modified_ns: i64,
    pub changed_ns: i64,
}

impl Stamp {
    /// The kernel stamps with a clock that ticks at its HZ, 100 at the least. Two writes within a tick look the same.
    pub const GRANULARITY_NS: i64 = 10_000_000;

    /// Whether a write at `now_ns` could leave the stamp as it is. A time of change that lies ahead, of a clock that was
    /// put back since, is no such case.
    pub fn is_fresh(&self, now_ns: i64) -> bool {
        now_ns.saturating_sub(self.changed_ns).unsigned_abs() <= Self::GRANULARITY_NS.unsigned_abs()
    }
}

/// A time of stat(2) in nanoseconds; it suffices until 2262.
pub fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
