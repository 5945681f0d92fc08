//! The journal as a file: one line an event, appended; written anew as one line a host when it has grown.
//!
//! Where something of it is lost, by `read`, the file is kept beside as `journal.damaged`, no arming holds any more, and as long
//! as that lies there nobody is taken for new. A journal that is gone or empty, while the folder shows that it was
//! used, is lost, too. A disk that is full keeps nobody from being served.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::boot::{Dated, History};
use crate::ids::HostName;

use super::super::state_dir::{read_at_most, replace, sync_name};
use super::line::{Condensed, Content, End};
use super::read::{Read, read};
use super::{Journal, witness};

/// Events beyond the hosts' lines: some 8,000. A boot is twenty, so flash sees a rewrite every few hundred boots.
pub const LIVE_BYTES: usize = 1024 * 1024;

/// Ten thousand hosts, each with all the events that are kept of it.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct DiskJournal {
    path: PathBuf,
    live_bytes: usize,
    open: Mutex<Open>,
    /// How many of its lines are on the medium. Held while it is written to: who waits here has its line synced
    /// by the next one in.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    /// How far it goes.
    end: End,
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let witness = witness::read(path)?;
        let Read { mut history, end, good_bytes, is_torn, damage } = read(&content, witness.as_ref());
        let is_gone = content.is_empty() && was_used(path);
        let damage = if is_gone { Some("it is gone or empty") } else { damage };
        let evidence = path.with_extension("damaged");
        if let Some(why) = damage {
            tracing::error!(
                file = %path.display(), kept = %evidence.display(), why,
                "the journal is damaged: no arming holds any more, and hosts that no install is known of may be installed, until the kept file is deleted"
            );
            history.disarm_all();
        }
        let is_kept = damage.is_some() && keep(&evidence, &content);
        // If nothing can be kept, nothing is cut off either.
        let is_torn = is_torn || damage.is_some() && good_bytes < content.len();
        if damage.is_some() || evidence.exists() {
            history.doubt();
        }
        let open = Open { file: append_to(path)?, end, bytes: content.len(), is_torn, is_name_synced: false };
        let synced = Mutex::default();
        let journal = DiskJournal { path: path.to_owned(), live_bytes, open: Mutex::new(open), synced };
        {
            let mut open = journal.open.lock().unwrap_or_else(PoisonError::into_inner);
            if damage.is_none() && !content.is_empty() {
                if good_bytes < content.len() {
                    open.file.set_len(good_bytes as u64)?;
                }
            } else if (is_kept || damage.is_none())
                && let Err(error) = journal.begins_anew(&mut open, &history)
            {
                tracing::error!(file = %path.display(), %error, "cannot begin the journal; a restart will try again");
            }
        }
        Ok((journal, history))
    }

    /// After damage, or for the first time: what is left is all there is.
    fn begins_anew(&self, open: &mut Open, history: &History) -> io::Result<()> {
        self.rewrite(open, history)?;
        sync_name(&self.path)?;
        open.is_name_synced = true;
        witness::write(&self.path, &open.end)
    }

    /// From the rename on it is the new file that is written to, whatever fails afterwards.
    fn rewrite(&self, open: &mut Open, history: &History) -> io::Result<()> {
        let (bytes, end) = snapshot(history, &open.end);
        open.file = Arc::new(replace(&self.path, &bytes)?);
        open.end = end;
        open.bytes = 0;
        open.is_torn = false;
        open.is_name_synced = false;
        Ok(())
    }
}

fn snapshot(history: &History, end: &End) -> (Vec<u8>, End) {
    let hosts = history.iter().count() as u64;
    let condensed = Condensed { records: end.records, last: end.sum.clone(), hosts };
    let (mut bytes, mut end) = end.then(&Content::Condensed { condensed });
    for (host, known) in history.iter() {
        let known = Content::Known { host: host.clone(), history: Cow::Borrowed(known) };
        let (line, with_line) = end.then(&known);
        bytes.extend(line);
        end = with_line;
    }
    (bytes, end)
}

/// Whether there was a journal once: the witness and the archive are written after it.
fn was_used(journal: &Path) -> bool {
    let beside = |name| journal.with_file_name(name);
    let has_blobs = fs::read_dir(beside("blobs")).is_ok_and(|mut blobs| blobs.next().is_some());
    has_blobs || witness::path(journal).exists() || beside("index.json").exists()
}

/// Behind what was kept of earlier damage. Whether it could be.
fn keep(evidence: &Path, content: &[u8]) -> bool {
    let write = || {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(evidence)?;
        file.write_all(content)?;
        file.sync_all()?;
        sync_name(evidence)
    };
    let written = write();
    if let Err(error) = &written {
        tracing::error!(file = %evidence.display(), %error, "cannot keep the damaged journal; it stays where it is");
    }
    written.is_ok()
}

fn append_to(path: &Path) -> io::Result<Arc<File>> {
    Ok(Arc::new(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?))
}

impl Journal for DiskJournal {
    fn append(&self, host: &HostName, event: &Dated) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut line, end) = open.end.then_event(host, event);
        if open.is_torn {
            line.insert(0, b'\n');
        }
        let before = open.file.metadata()?.len();
        // In one write, so that another program that reads sees whole lines.
        if let Err(error) = (&*open.file).write_all(&line) {
            // A full disk takes half a line.
            open.is_torn |= open.file.set_len(before).is_err();
            return Err(error);
        }
        open.is_torn = false;
        open.bytes += line.len();
        open.end = end;
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
            (open.file.clone(), open.end.clone(), open.is_name_synced)
        };
        let wanted = appended().1.records;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced < wanted {
            // A file that was replaced since holds nothing that the new one does not, and that one was synced.
            let (file, end, is_name_synced) = appended();
            file.sync_data()?;
            if !is_name_synced {
                sync_name(&self.path)?;
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                // Unless it was replaced once more meanwhile.
                open.is_name_synced |= Arc::ptr_eq(&open.file, &file);
            }
            *synced = end.records;
            // What is acknowledged is on the medium all the same.
            if let Err(error) = witness::write(&self.path, &end) {
                tracing::warn!(file = %self.path.display(), %error, "cannot write journal.head: a journal cut short may not be noticed");
            }
        }
        Ok(())
    }
}
