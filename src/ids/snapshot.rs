//! What k3s calls a snapshot of etcd.

use super::{Invalid, text_newtype};

/// A file name of 255 bytes must have room for the digest and an ending behind it.
const LENGTH_MAX: usize = 150;

text_newtype!(
    /// A snapshot's file name, such as `etcd-snapshot-lenovo1-1764028800`; with `.zip` where k3s compresses.
    SnapshotName,
    |text| {
        let good = (1..=LENGTH_MAX).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            // etcd writes NAME.part and renames it when it is whole (client/v3/snapshot).
            && !text.ends_with(".part")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not the name of a snapshot"),
                "write it as `pxe-serve snapshots` shows it, such as etcd-snapshot-lenovo1-1764028800",
            ))
        }
    }
);

impl SnapshotName {
    /// Seconds since 1970: behind the last dash of its name, where k3s writes and reads them (pkg/etcd/snapshot.go).
    pub fn taken_unix(&self) -> Option<u64> {
        let name = self.0.strip_suffix(".zip").unwrap_or(&self.0);
        name.rsplit_once('-')?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_file_name_and_says_when_it_was_taken() {
        for (name, taken) in [
            ("etcd-snapshot-lenovo1-1764028800", Some(1_764_028_800)),
            ("on-demand-lenovo1.lab-1764028800.zip", Some(1_764_028_800)),
            ("before-the-upgrade", None),
            ("mine", None),
        ] {
            assert_eq!(name.parse::<SnapshotName>().unwrap().taken_unix(), taken, "{name}");
        }
        let long = "x".repeat(LENGTH_MAX + 1);
        for bad in ["", ".", "..", ".hidden", "a/b", "a b", "a\n", "etcd-snapshot-1.part", "-x", "ä", &long]
        {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad}");
        }
    }
}
