//! `journal.head`, beside the journal: how far it went when the last acknowledged event was on the medium.
//!
//! It is written after the journal is synced, so it is behind or equal, whenever the power fails: a journal that does not
//! reach it was cut short. Only for what is acknowledged, some three times a boot, which is gentle to flash.

use std::io;
use std::path::{Path, PathBuf};

use super::super::state_dir::{read_at_most, replace};
use super::line::End;

/// A number and sixteen digits.
const BYTES_MAX: usize = 64;

pub fn path(journal: &Path) -> PathBuf {
    journal.with_extension("head")
}

/// Also an unreadable one is a witness, to which no journal reaches: it is only ever replaced as a whole.
pub fn read(journal: &Path) -> io::Result<Option<End>> {
    let content = match read_at_most(&path(journal), BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Vec::new(),
        read => read?,
    };
    Ok(Some(parse(&content).unwrap_or(End { records: u64::MAX, sum: String::new() })))
}

fn parse(content: &[u8]) -> Option<End> {
    let (records, sum) = std::str::from_utf8(content).ok()?.strip_suffix('\n')?.split_once(' ')?;
    Some(End { records: records.parse().ok()?, sum: sum.to_owned() })
}

/// Old or new. Which of both a power cut leaves does not matter: the older is behind.
pub fn write(journal: &Path, end: &End) -> io::Result<()> {
    replace(&path(journal), format!("{} {}\n", end.records, end.sum).as_bytes()).map(drop)
}
