//! The journal as a file: one line an event, appended; written anew as one line a host when it has grown.
//!
//! A last line without its end, as a power cut leaves it, was never acknowledged and is cut off. Any other line that is
//! damaged is lost: the file is then kept beside as `journal.damaged`, and as long as that lies there, nobody is taken
//! for new.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::boot::{Dated, History};
use crate::ids::HostName;

use super::super::state_dir::{read_at_most, replace, sync_name, write_atomically};
use super::{Journal, line};

/// Events beyond the hosts' lines: some 8,000. A boot is twenty, so flash sees a rewrite every few hundred boots.
pub const LIVE_BYTES: usize = 1024 * 1024;

/// Ten thousand hosts, each with all the events that are kept of it.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct DiskJournal {
    path: PathBuf,
    live_bytes: usize,
    open: Mutex<Open>,
    /// How many of the appended lines are on the medium. Held while it is written to: who waits here has its line synced
    /// by the next one in.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    appended: u64,
    /// Since it was last written anew.
    bytes: usize,
    /// The last line may have no end: a write that failed halfway.
    is_torn: bool,
    /// Whether a power cut leaves this file, or the one before it.
    is_name_synced: bool,
}

impl DiskJournal {
    pub fn open(path: &Path, live_bytes: usize) -> io::Result<(Self, History)> {
        let content = match read_at_most(path, FILE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // So that its name outlives a power cut, too.
                write_atomically(path, b"")?;
                Vec::new()
            }
            read => read?,
        };
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let mut history = History::default();
        let lines = content[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lost = lines.filter(|line| !line::read_into(line, &mut history)).count();
        let is_torn = whole < content.len();
        let file = append_to(path)?;
        if is_torn && !line::read_into(&content[whole..], &mut history) {
            file.set_len(whole as u64)?;
        }
        let evidence = path.with_extension("damaged");
        if lost > 0 {
            tracing::error!(
                file = %path.display(), kept = %evidence.display(), lost,
                "lines of the journal are damaged: hosts that no install is known of are not installed until they are armed, or until the kept file is deleted"
            );
            write_atomically(&evidence, &content)?;
            history.disarm_all();
        }
        if evidence.exists() {
            history.doubt();
        }
        let open = Open {
            file,
            appended: 0,
            // Written anew with the next event.
            bytes: if lost > 0 { live_bytes } else { content.len() },
            is_torn,
            is_name_synced: true,
        };
        let journal = DiskJournal {
            path: path.to_owned(),
            live_bytes,
            open: Mutex::new(open),
            synced: Mutex::default(),
        };
        Ok((journal, history))
    }

    /// From the rename on it is the new file that is written to, whatever fails afterwards.
    fn rewrite(&self, open: &mut Open, history: &History) -> io::Result<()> {
        open.file = Arc::new(replace(&self.path, &snapshot(history))?);
        open.is_torn = false;
        open.is_name_synced = false;
        Ok(())
    }
}

fn snapshot(history: &History) -> Vec<u8> {
    history.iter().flat_map(|(host, known)| line::known(host, known)).collect()
}

fn append_to(path: &Path) -> io::Result<Arc<File>> {
    Ok(Arc::new(OpenOptions::new().append(true).open(path)?))
}

impl Journal for DiskJournal {
    fn append(&self, host: &HostName, event: &Dated) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = line::event(host, event);
        if open.is_torn {
            line.insert(0, b'\n');
        }
        open.is_torn = true;
        // In one write, so that another program that reads sees whole lines.
        (&*open.file).write_all(&line)?;
        open.is_torn = false;
        open.bytes += line.len();
        open.appended += 1;
        Ok(())
    }

    fn condense(&self, history: &History) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.bytes < self.live_bytes {
            return;
        }
        if let Err(error) = self.rewrite(&mut open, history) {
            tracing::error!(file = %self.path.display(), %error, "cannot write the journal anew; it grows on");
        }
        // Also then: what fails now is tried again after as many events, not with each.
        open.bytes = 0;
    }

    fn sync(&self) -> io::Result<()> {
        let appended = || {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            (open.file.clone(), open.appended, open.is_name_synced)
        };
        let (_, wanted, _) = appended();
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced < wanted {
            // A file that was replaced since holds nothing that the new one does not, and that one was synced.
            let (file, now, is_name_synced) = appended();
            file.sync_data()?;
            if !is_name_synced {
                sync_name(&self.path)?;
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                // Unless it was replaced once more meanwhile.
                open.is_name_synced |= Arc::ptr_eq(&open.file, &file);
            }
            *synced = now;
        }
        Ok(())
    }
}
