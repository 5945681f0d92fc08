//! Reading a journal: what it folds to, how far it goes, and whether something of it is lost.
//!
//! A last line without its end, as a power cut leaves it, was never acknowledged, and is no damage. Lost is what a sum does not
//! fit, what the first line says should follow, and what the witness beside the journal has seen. A damaged line
//! costs itself and the one that follows on it; what else is there is kept. The lines of earlier versions covered themselves
//! alone: such a file is read, and goes on with lines that cover the one before.

use crate::boot::History;

use super::line::{Condensed, Content, End, SUM_DIGITS, sum};

/// What a file held.
pub struct Read {
    pub history: History,
    pub end: End,
    /// So many bytes are whole lines, or a last one that lacks only its end.
    pub good_bytes: usize,
    /// The last line has no end.
    pub is_torn: bool,
    /// What is wrong, for the log.
    pub damage: Option<&'static str>,
}

struct Reader<'w> {
    history: History,
    end: End,
    witness: Option<&'w End>,
    is_witness_met: bool,
    /// No line yet covered the one before it.
    is_old: bool,
    /// How far the journal must go at least, by the first line.
    promised: u64,
    lost: usize,
}

/// `witness` is how far the journal went once, for sure.
pub fn read(content: &[u8], witness: Option<&End>) -> Read {
    let is_witness_met = witness.is_none();
    let (history, end) = Default::default();
    let mut reader = Reader { history, end, witness, is_witness_met, is_old: true, promised: 0, lost: 0 };
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    for line in content[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if !reader.takes(line) {
            reader.skips(line);
        }
    }
    let is_torn = whole < content.len() && reader.takes(&content[whole..]);
    let damage = match () {
        () if reader.lost > 0 => Some("lines are damaged, lost or out of order"),
        () if reader.end.records == 0 && !content.is_empty() => Some("it is no journal"),
        () if reader.end.records < reader.promised => Some("hosts are missing"),
        () if !reader.is_witness_met => Some("it does not reach as far as journal.head has seen it"),
        () => None,
    };
    let good_bytes = if is_torn { content.len() } else { whole };
    Read { history: reader.history, end: reader.end, good_bytes, is_torn, damage }
}

impl Reader<'_> {
    /// Whether the line is one, and follows on the one before.
    fn takes(&mut self, line: &[u8]) -> bool {
        let Some((written, json)) = parts(line) else { return false };
        let follows = sum(&self.end.sum, json) == written;
        let is_alone = self.is_old && sum("", json) == written;
        if !follows && !is_alone {
            return false;
        }
        let is_first = self.end.records == 0;
        match serde_json::from_slice(json) {
            Ok(Content::Condensed { condensed }) if is_first => self.begins_with(&condensed),
            Ok(Content::Known { host, history }) => self.history.insert(host, history.into_owned()),
            Ok(Content::Happened { host, event }) => self.history.apply(&host, event),
            // What a newer version has written.
            Ok(Content::Condensed { .. }) | Err(_) => return false,
        }
        self.is_old &= is_first || !follows;
        self.goes_on(written);
        true
    }

    /// The next line may follow on what is left of this one.
    fn skips(&mut self, line: &[u8]) {
        self.lost += 1;
        if let Some((written, _)) = parts(line) {
            self.goes_on(written);
        }
    }

    fn begins_with(&mut self, condensed: &Condensed) {
        self.is_old = false;
        self.promised = condensed.records.saturating_add(1).saturating_add(condensed.hosts);
        self.end = End { records: condensed.records, sum: condensed.last.clone() };
        // A crash between the new file and its witness leaves one of the file before.
        self.is_witness_met |= self.witness.is_some_and(|witness| witness.records < self.end.records);
        self.meets_witness();
    }

    fn goes_on(&mut self, sum: &str) {
        self.end = End { records: self.end.records.saturating_add(1), sum: sum.to_owned() };
        self.meets_witness();
    }

    fn meets_witness(&mut self) {
        self.is_witness_met |= self.witness == Some(&self.end);
    }
}

fn parts(line: &[u8]) -> Option<(&str, &[u8])> {
    let (written, rest) = line.split_at_checked(SUM_DIGITS)?;
    Some((std::str::from_utf8(written).ok()?, rest.strip_prefix(b" ")?))
}
