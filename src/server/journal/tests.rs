//! Journals that power cuts, bad flash and full disks have been at.

use std::fs;
use std::io;
use std::path::Path;

use crate::boot::{Choice, Dated, Doubt, Event, History, Moment};
use crate::ids::HostName;

use super::disk::{DiskJournal, LIVE_BYTES};
use super::line::End;
use super::{Chronicle, Journal};

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

/// A journal as it is written, and how far it goes after each of its lines.
fn written(path: &Path) -> (Vec<u8>, Vec<usize>) {
    let (journal, _) = opened(path);
    let mut ends = vec![fs::metadata(path).unwrap().len() as usize];
    for (host, event) in events() {
        journal.append(&host, &event).unwrap();
        ends.push(fs::metadata(path).unwrap().len() as usize);
    }
    (fs::read(path).unwrap(), ends)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

/// Nothing of it was acknowledged, so its witness is at its first line.
#[test]
fn a_journal_cut_off_at_any_byte_keeps_every_line_before_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let (whole, ends) = written(&path);
    let (late_host, late) = (host("three"), events[0].1.clone());
    for cut in ends[0]..=whole.len() {
        // As it is after a kill, and as ext4 leaves what it had not written at a power cut.
        for zeros in [0, 7] {
            fs::write(&path, [&whole[..cut], &vec![0; zeros]].concat()).unwrap();
            // A line is whole without its end, unless something else follows on it.
            let is_there = |end: &&usize| **end <= cut || **end == cut + 1 && zeros == 0;
            let complete = ends.iter().filter(is_there).count() - 1;
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
fn a_byte_gone_bad_costs_its_line_and_the_one_that_follows_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let (whole, ends) = written(&path);
    let evidence = path.with_extension("damaged");
    for at in ends[0]..whole.len() - 1 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        let found = opened(&path).1;
        assert_eq!(fs::read(&evidence).unwrap(), bytes, "byte {at}");
        assert_eq!(found.doubt, Some(Doubt::Damaged), "byte {at}");
        assert_eq!(found, opened(&path).1, "byte {at}: once, and for as long as the evidence lies there");
        assert_eq!(fs::read(&evidence).unwrap(), bytes, "byte {at}: not kept again");
        // The end of a line belongs to two of them, and the next one follows on its sum.
        let line = ends.iter().filter(|end| **end <= at).count() - 1;
        let far = |index: usize| index < line || index > line + 2;
        let mut expected: Vec<_> = events
            .iter()
            .enumerate()
            .filter(|(index, _)| far(*index))
            .map(|(_, event)| event.clone())
            .collect();
        expected.retain(|(_, dated)| !matches!(dated.event, Event::Armed { .. }));
        for (host, dated) in expected {
            let known = found.of(host.as_str()).unwrap();
            assert!(known.events.contains(&dated), "byte {at}: {dated:?}");
        }
        assert!(found.iter().all(|(_, known)| known.armed.is_none()), "byte {at}");
        fs::remove_file(&evidence).unwrap();
        remove(&super::witness::path(&path));
    }
}

#[test]
fn what_is_damaged_is_gone_at_once_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let events = events();
    let (whole, ends) = written(&path);
    fs::write(&path, [&whole[..ends[1]], b"garbage\n", &whole[ends[1]..], b"0123"].concat()).unwrap();
    let found = opened(&path).1;
    assert!(!fs::read_to_string(&path).unwrap().contains("garbage"));
    let mut expected = folded(&events);
    expected.disarm_all();
    expected.doubt();
    assert_eq!(found, expected);
    assert_eq!(opened(&path).1, expected, "until journal.damaged is deleted");
    fs::remove_file(path.with_extension("damaged")).unwrap();
    expected.doubt = None;
    assert_eq!(opened(&path).1, expected);
}

/// As versions before wrote it: each line covers itself alone, and there is no first line and no witness.
#[test]
fn a_journal_of_an_earlier_version_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut events = events();
    let old = |(host, event): &(HostName, Dated)| {
        let alone = End::default().then_event(host, event).0;
        String::from_utf8(alone).unwrap()
    };
    fs::write(&path, events.iter().map(old).collect::<String>()).unwrap();
    let (journal, history) = opened(&path);
    assert_eq!(history, folded(&events));
    for name in ["three", "four"] {
        events.push((host(name), events[2].1.clone()));
        journal.append(&host(name), &events[2].1).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(opened(&path).1, folded(&events));
    // From then on none can be lost.
    let text = fs::read_to_string(&path).unwrap();
    let without = |gone: usize| {
        let lines = text.lines().enumerate().filter(|(index, _)| *index != gone);
        lines.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    for gone in [5, 6] {
        fs::write(&path, without(gone)).unwrap();
        assert_eq!(opened(&path).1.doubt, Some(Doubt::Damaged), "line {gone}");
        fs::write(&path, &text).unwrap();
        remove(&path.with_extension("damaged"));
    }
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
    // And the first, which says what came before.
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
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
