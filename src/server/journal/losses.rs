//! Whatever a disk does to a journal whose events were acknowledged: nobody is installed, and no arming comes back.

use std::fs;
use std::path::Path;

use crate::boot::{Choice, Dated, Doubt, Event, History, Moment, decide};
use crate::ids::HostName;
use crate::inventory::Inventory;

use super::Journal as _;
use super::disk::{DiskJournal, LIVE_BYTES};

const HOSTS: [&str; 3] = ["lenovo1", "lenovo2", "lenovo3"];
const BEGIN: u64 = 1_800_000_000;

fn inventory() -> Inventory {
    let hosts: String = HOSTS
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!("  {name}: {{address: 192.168.26.{}, mac: 52:54:00:00:00:0{index}}}\n", 5 + index)
        })
        .collect();
    let text = format!(
        "\
vips: {{control_planes: 192.168.26.253}}
router: {{base_url: http://192.168.26.1}}
network: {{cidr: 192.168.26.0/24, domain: lab.internal}}
ssh_authorized_keys: [ssh-ed25519 AAAA me]
keepalived: {{virtual_router_id: 26}}
k3s: {{version: v1.32.5+k3s1, token: {{env: TOKEN}}, phase: bootstrap}}
defaults: {{role: control_plane, interface: eth0, install_device: /dev/nvme0n1}}
hosts:
{hosts}"
    );
    crate::inventory::parse("inventory.yaml", text.as_bytes()).0.expect("a good inventory")
}

fn now() -> Moment {
    Moment::from_unix(BEGIN + 1000)
}

/// Each host was armed for a week, asked, fetched, reported as installed and then up: the arming is used up.
fn lives(path: &Path) {
    let (journal, mut history) = DiskJournal::open(path, LIVE_BYTES).unwrap();
    let config = |host: &str| match host {
        "lenovo1" => "lenovo1-bootstrap".to_owned(),
        other => other.to_owned(),
    };
    for (index, host) in HOSTS.iter().enumerate() {
        let until = Moment::from_unix(BEGIN + 7 * 86_400);
        let events = [
            Event::Armed { until, bootstrap: false },
            Event::Script { boots: Choice::Install(config(host)) },
            Event::File { path: "pxe/boot.ipxe".into(), sha256: None },
            Event::Ignition { config: config(host), sha256: crate::catalogue::Sha256::of(b"") },
            Event::Installed { config: config(host), ignition: None },
            Event::Script { boots: Choice::Local },
            Event::Booted { config: config(host), ignition: None, again: false },
        ];
        let name: HostName = host.parse().unwrap();
        for (second, event) in events.into_iter().enumerate() {
            let at = Moment::from_unix(BEGIN + 60 * index as u64 + second as u64);
            let is_acknowledged =
                !matches!(event, Event::Script { .. } | Event::File { .. } | Event::Ignition { .. });
            let dated = Dated { at, event };
            journal.append(&name, &dated).unwrap();
            history.apply(&name, dated);
            if is_acknowledged {
                journal.sync().unwrap();
            }
        }
    }
}

/// What is left, each time in a folder like that of the first server.
struct Bench {
    folder: tempfile::TempDir,
    inventory: Inventory,
    whole: Vec<u8>,
    witness: Vec<u8>,
    tried: usize,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        lives(&path);
        let (whole, witness) = (fs::read(&path).unwrap(), fs::read(path.with_extension("head")).unwrap());
        Bench { folder, inventory: inventory(), whole, witness, tried: 0 }
    }

    fn lines(&self) -> Vec<&[u8]> {
        self.whole.split_inclusive(|byte| *byte == b'\n').collect()
    }

    /// Starts over what is left of the journal, twice, since the first start may mend; nobody may be installed. Gives
    /// whether it was noticed.
    fn starts(&mut self, journal: Option<&[u8]>, what: &str) -> bool {
        self.tried += 1;
        let path = self.folder.path().join("journal");
        for name in ["journal", "journal.head", "journal.damaged"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
        if let Some(journal) = journal {
            fs::write(&path, journal).unwrap();
        }
        fs::write(path.with_extension("head"), &self.witness).unwrap();
        let mut is_noticed = true;
        for start in ["at once", "after a restart"] {
            let history = DiskJournal::open(&path, LIVE_BYTES).unwrap().1;
            self.installs_nobody(&history, &format!("{what}, {start}"));
            is_noticed &= history.doubt == Some(Doubt::Damaged) && path.with_extension("damaged").exists();
        }
        is_noticed
    }

    fn installs_nobody(&self, history: &History, what: &str) {
        for host in &self.inventory.hosts {
            let decision = decide(&self.inventory, host, history, now());
            assert_eq!(decision.boots, Choice::Local, "{what}: {}: {}", host.name, decision.why);
            let armed = history.of(host.name.as_str()).is_some_and(|known| known.armed.is_some());
            assert!(!armed, "{what}: the arming of {} is back", host.name);
        }
        // Armed anew, the first host may not make a second cluster.
        let mut armed = history.clone();
        let until = Moment::from_unix(BEGIN + 2000);
        let event = Event::Armed { until, bootstrap: false };
        armed.apply(&self.inventory.hosts[0].name, Dated { at: now(), event });
        let joins = decide(&self.inventory, &self.inventory.hosts[0], &armed, now());
        assert_eq!(joins.boots, Choice::Install("lenovo1-reinstall".into()), "{what}");
    }
}

#[test]
fn a_journal_that_is_whole_is_not_called_damaged() {
    let mut bench = Bench::new();
    let whole = bench.whole.clone();
    assert!(!bench.starts(Some(&whole), "whole"));
    assert!(!bench.folder.path().join("journal.damaged").exists());
}

#[test]
fn a_journal_that_is_cut_anywhere_installs_nobody() {
    let mut bench = Bench::new();
    let whole = bench.whole.clone();
    let mut end = 0;
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(13).collect();
    for line in bench.lines() {
        end += line.len();
        cuts.extend([end - 1, end, end + 1]);
    }
    // Without its last end the last line is there all the same.
    for cut in cuts.into_iter().filter(|cut| *cut < whole.len() - 1) {
        assert!(bench.starts(Some(&whole[..cut]), &format!("cut at {cut}")), "cut at {cut} is not noticed");
    }
    assert!(bench.tried > 134, "{}", bench.tried);
}

#[test]
fn a_bit_that_flips_is_noticed() {
    let mut bench = Bench::new();
    let whole = bench.whole.clone();
    for (number, at) in (0..whole.len()).step_by(whole.len() / 160).enumerate() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (number % 8);
        assert!(bench.starts(Some(&bytes), &format!("bit {} of byte {at}", number % 8)), "byte {at}");
    }
    assert!(bench.tried > 80, "{}", bench.tried);
}

#[test]
fn a_line_that_is_lost_swapped_or_doubled_is_noticed() {
    let mut bench = Bench::new();
    let whole = bench.whole.clone();
    let lines: Vec<Vec<u8>> = bench.lines().into_iter().map(<[u8]>::to_vec).collect();
    for at in 0..lines.len() {
        let mut lost = lines.clone();
        lost.remove(at);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        let mut swapped = lines.clone();
        swapped.swap(at, (at + 1) % lines.len());
        for (what, lines) in [("lost", lost), ("doubled", doubled), ("swapped", swapped)] {
            let bytes = lines.concat();
            assert_ne!(bytes, whole);
            assert!(bench.starts(Some(&bytes), &format!("{what} at {at}")), "{what} at {at}");
        }
    }
    assert!(bench.tried > 60, "{}", bench.tried);
}

#[test]
fn a_journal_that_is_gone_empty_or_zeros_is_noticed_where_the_folder_was_used() {
    let mut bench = Bench::new();
    let length = bench.whole.len();
    assert!(bench.starts(None, "gone"));
    for (what, left) in [("empty", vec![]), ("zeros", vec![0; length]), ("some zeros", vec![0; 800])] {
        assert!(bench.starts(Some(&left), what), "{what}");
    }
    // Without its witness, but with the archive.
    for name in ["index.json", "blobs/x"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join(name), "").unwrap();
        let history = DiskJournal::open(&path, LIVE_BYTES).unwrap().1;
        bench.installs_nobody(&history, name);
        assert_eq!(history.doubt, Some(Doubt::Damaged), "{name}");
    }
}

/// There it cannot be known that there was another folder: nobody was armed, so nobody is installed.
#[test]
fn an_empty_mount_point_installs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let history = DiskJournal::open(&folder.path().join("journal"), LIVE_BYTES).unwrap().1;
    let inventory = inventory();
    for host in &inventory.hosts {
        assert_eq!(decide(&inventory, host, &history, now()).boots, Choice::Local);
    }
    assert_eq!(history, History::default());
}

/// The witness is written after the journal: each one that there was is behind the journal or equal.
#[test]
fn a_crash_between_the_journal_and_its_witness_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, mut history) = DiskJournal::open(&path, 1).unwrap();
    let name: HostName = "lenovo1".parse().unwrap();
    let mut witnesses = vec![fs::read(path.with_extension("head")).unwrap()];
    for second in 0..20 {
        let config = "lenovo1".to_owned();
        let event = Event::Installed { config, ignition: None };
        let dated = Dated { at: Moment::from_unix(BEGIN + second), event };
        journal.append(&name, &dated).unwrap();
        history.apply(&name, dated);
        // Each time it is written anew.
        if second % 3 == 0 {
            journal.condense(&history);
        }
        let before: Vec<_> = witnesses.clone();
        let left = fs::read(&path).unwrap();
        for witness in before.iter().rev().take(3) {
            let folder = tempfile::tempdir().unwrap();
            let crashed = folder.path().join("journal");
            fs::write(&crashed, &left).unwrap();
            fs::write(crashed.with_extension("head"), witness).unwrap();
            let found = DiskJournal::open(&crashed, LIVE_BYTES).unwrap().1;
            assert_eq!(found, history, "second {second}");
        }
        journal.sync().unwrap();
        witnesses.push(fs::read(path.with_extension("head")).unwrap());
    }
}
