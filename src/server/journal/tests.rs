//! Journals that power cuts, bad flash and full disks have been at.

use std::fs;
use std::io;
use std::path::Path;

use crate::boot::{Choice, Dated, Event, History, Moment};
use crate::ids::HostName;

use super::disk::{DiskJournal, LIVE_BYTES};
use super::{Chronicle, Journal, line};

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn events() -> Vec<(HostName, Dated)> {
    let config = || "one".to_owned();
    let all = [
        ("one", Event::Script { boots: Choice::Install(config()) }),
        ("one", Event::File { path: "pxe/configs/k3s-token".into(), sha256: None }),
        ("one", Event::Installed { config: config(), ignition: None }),
        ("two", Event::Armed { until: Moment::from_unix(2_000_000_000), bootstrap: false }),
        ("one", Event::Booted { config: config(), ignition: None, again: false }),
    ];
    let dated = |(seconds, (name, event)): (usize, (&str, Event))| {
        (host(name), Dated { at: Moment::from_unix(1_800_000_000 + seconds as u64), event })
    };
    all.into_iter().enumerate().map(dated).collect()
}

fn folded(events: &[(HostName, Dated)]) -> History {
    let mut history = History::default();
    events.iter().for_each(|(host, event)| history.apply(host, event.clone()));
    history
}

fn opened(path: &Path) -> (DiskJournal, History) {
    DiskJournal::open(path, LIVE_BYTES).unwrap()
}

#[test]
fn a_journal_cut_off_at_any_byte_keeps_every_line_before_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let lines: Vec<Vec<u8>> = events.iter().map(|(host, event)| line::event(host, event)).collect();
    let whole = lines.concat();
    let (late_host, late) = (host("three"), events[0].1.clone());
    for cut in 0..=whole.len() {
        // As it is after a kill, and as ext4 leaves what it had not written at a power cut.
        for zeros in [0, 7] {
            fs::write(&path, [&whole[..cut], &vec![0; zeros]].concat()).unwrap();
            let mut end = 0;
            let complete = lines
                .iter()
                .take_while(|line| {
                    end += line.len();
                    // A line is whole without its end, unless something else follows on it.
                    end <= cut || end == cut + 1 && zeros == 0
                })
                .count();
            let (journal, history) = opened(&path);
            assert_eq!(history, folded(&events[..complete]), "cut at {cut}, {zeros} zeros");
            journal.append(&late_host, &late).unwrap();
            drop(journal);
            let mut expected = events[..complete].to_vec();
            expected.push((late_host.clone(), late.clone()));
            assert_eq!(opened(&path).1, folded(&expected), "cut at {cut}, {zeros} zeros, and on");
        }
    }
}

#[test]
fn a_byte_gone_bad_costs_its_line_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let lines: Vec<Vec<u8>> = events.iter().map(|(host, event)| line::event(host, event)).collect();
    let whole = lines.concat();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        let mut start = 0;
        let is_good = |line: &Vec<u8>| {
            start += line.len();
            // The end of a line belongs to two of them.
            !(start - line.len()..start).contains(&at) && at + 1 != start - line.len()
        };
        let good: Vec<bool> = lines.iter().map(is_good).collect();
        let left: Vec<_> =
            events.iter().zip(good).filter(|(_, good)| *good).map(|(event, _)| event.clone()).collect();
        let mut expected = folded(&left);
        let evidence = path.with_extension("damaged");
        let found = opened(&path).1;
        // Without its end, the last line is one that was never acknowledged.
        if at + 1 < whole.len() {
            expected.disarm_all();
            expected.doubt();
            assert_eq!(fs::read(&evidence).unwrap(), bytes, "byte {at}");
            fs::remove_file(&evidence).unwrap();
        }
        assert!(!evidence.exists(), "byte {at}");
        assert_eq!(found, expected, "byte {at}");
    }
}

#[test]
fn what_is_damaged_is_gone_with_the_next_event_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let first = line::event(&events[0].0, &events[0].1);
    fs::write(&path, [b"garbage\n".as_slice(), &first, b"0123"].concat()).unwrap();
    let (journal, mut history) = opened(&path);
    journal.append(&events[1].0, &events[1].1).unwrap();
    history.apply(&events[1].0, events[1].1.clone());
    journal.condense(&history);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("garbage") && text.lines().count() == 1, "{text}");
    let mut expected = folded(&events[..2]);
    expected.doubt();
    assert_eq!(opened(&path).1, expected, "until journal.damaged is deleted");
    fs::remove_file(path.with_extension("damaged")).unwrap();
    assert_eq!(opened(&path).1, folded(&events[..2]));
}

#[test]
fn it_is_written_anew_when_it_has_grown_and_stays_within_bounds() {
    const LIVE: usize = 4096;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, history) = DiskJournal::open(&path, LIVE).unwrap();
    let chronicle = Chronicle::over(journal, history);
    let mut longest = 0;
    for number in 0..3000 {
        let path_of_file = format!("pxe/configs/{number}");
        chronicle.note(
            &host(["one", "two", "three"][number % 3]),
            Event::File { path: path_of_file, sha256: None },
        );
        longest = longest.max(fs::metadata(&path).unwrap().len());
    }
    // Three hosts with forty events each, and the lines since.
    assert!(longest < 3 * 40 * 100 + LIVE as u64 + 200, "{longest}");
    assert_eq!(opened(&path).1, *chronicle.history());
}

#[test]
fn a_machine_that_asks_again_and_again_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, history) = opened(&path);
    let chronicle = Chronicle::over(journal, history);
    (0..50).for_each(|_| chronicle.note(&host("one"), Event::Script { boots: Choice::Local }));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert_eq!(chronicle.history().of("one").unwrap().events.len(), 1);
}

#[derive(Debug)]
struct Full;

impl Journal for Full {
    fn append(&self, _: &HostName, _: &Dated) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn condense(&self, _: &History) {}
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged_and_not_acted_upon() {
    let chronicle = Chronicle::over(Full, History::default());
    let armed = Event::Armed { until: Moment::from_unix(2_000_000_000), bootstrap: true };
    assert!(chronicle.record(&host("one"), armed).await.is_err());
    assert_eq!(chronicle.history().of("one"), None);
    // What was only seen counts as long as the process lives.
    chronicle.note(&host("one"), Event::Script { boots: Choice::Local });
    assert!(chronicle.history().of("one").is_some());
}

#[test]
fn a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fs::create_dir(&path).unwrap();
    assert!(DiskJournal::open(&path, LIVE_BYTES).is_err());
}

#[test]
fn what_comes_after_it_was_written_anew_lies_in_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    // Each event fills it.
    let (journal, mut history) = DiskJournal::open(&path, 1).unwrap();
    for (host, event) in events() {
        journal.append(&host, &event).unwrap();
        history.apply(&host, event);
        journal.condense(&history);
        let (late_host, late) = (self::host("three"), events()[0].1.clone());
        journal.append(&late_host, &late).unwrap();
        history.apply(&late_host, late);
        journal.sync().unwrap();
        assert_eq!(opened(&path).1, history);
    }
}
