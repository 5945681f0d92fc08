//! `snapshots`: which snapshots of the cluster's etcd the server keeps, and whether the newest is too old.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;

use crate::boot::Moment;
use crate::server::{SnapshotEntry, SnapshotList};

use super::ask::OperatorArgs;
use super::hosts::{ago, warn_of_snapshots};

/// Say which snapshots of the cluster's etcd the server keeps, the newest first
///
/// Exit 1: none has arrived, or the newest is older than twice the time between two.
#[derive(Debug, clap::Args)]
pub struct SnapshotsArgs {
    /// The same as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    operator: OperatorArgs,
}

pub fn run(args: SnapshotsArgs) -> anyhow::Result<ExitCode> {
    let body = super::wait_for(args.operator.answer(Method::GET, "/pxe/snapshots", Bytes::new()))??;
    let list: SnapshotList =
        serde_json::from_slice(&body).context("this is not the answer of a pxe-serve of this version")?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match args.json {
        true => super::print(&body)?,
        false => super::print(to_text(&list, Moment::from_unix(since.as_secs())).as_bytes())?,
    }
    Ok(match list.warning {
        Some(_) => ExitCode::from(1),
        None => ExitCode::SUCCESS,
    })
}

fn to_text(list: &SnapshotList, now: Moment) -> String {
    let mut text = list.warning.as_deref().map(warn_of_snapshots).unwrap_or_default();
    let mut rows = vec![["HOST", "AGO", "MIB", "SNAPSHOT", "SHA256"].map(str::to_owned)];
    rows.extend(list.snapshots.iter().map(|snapshot| row(snapshot, now)));
    super::table(&rows, &mut text);
    text
}

fn row(snapshot: &SnapshotEntry, now: Moment) -> [String; 5] {
    let SnapshotEntry { host, name, taken, bytes, sha256 } = snapshot;
    let ago = match now.since(*taken) {
        // A node whose clock is ahead: by this name it stays the newest.
        Duration::ZERO if *taken > now => format!("in the future ({taken})"),
        time => ago(time),
    };
    let mebibytes = format!("{:.1}", *bytes as f64 / (1024.0 * 1024.0));
    [host.to_string(), ago, mebibytes, name.to_string(), sha256.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Sha256;

    #[test]
    fn the_table_says_host_age_size_name_and_hash() {
        let taken = Moment::from_unix(1_764_028_800);
        let snapshot = SnapshotEntry {
            host: "lenovo1".parse().unwrap(),
            name: "etcd-snapshot-lenovo1-1764028800".parse().unwrap(),
            taken,
            bytes: 23 * 1024 * 1024,
            sha256: Sha256::of(b""),
        };
        let list = SnapshotList { warning: Some("old".into()), snapshots: vec![snapshot] };
        let text = to_text(&list, taken.plus(Duration::from_secs(3 * 86_400 + 60)));
        let digest = Sha256::of(b"");
        assert_eq!(
            text,
            format!(
                "Snapshots: old\n\
                 HOST     AGO       MIB   SNAPSHOT                          SHA256\n\
                 lenovo1  3days 1m  23.0  etcd-snapshot-lenovo1-1764028800  {digest}\n"
            )
        );
        assert!(to_text(&list, Moment::from_unix(0)).contains("in the future (2025-11-25T00:00:00Z)"));
    }
}
