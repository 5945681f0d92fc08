//! A program of the user's, run with its input, a limit on its time and a bound on what it says.
#![expect(clippy::disallowed_methods, reason = "this is where programs are started")]

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// What is read here are configurations and credentials, of a few KiB.
pub(super) const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// So much of what a program says on stderr is shown.
const SAID_CHARS_MAX: usize = 400;
/// Words as long as this that went through the pipes may be secrets, and are hidden in what is shown.
const SECRET_CHARS_MIN: usize = 12;

/// A program that was started ended by itself, with these.
pub(super) struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
}

pub(super) enum Ended {
    NotStarted(std::io::Error),
    TooSlow,
}

impl Output {
    /// The end of stderr on one line, without control characters, and without what went through the pipes.
    pub fn said(&self, input: &[u8]) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let words =
            stderr.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let mut said = words.collect::<Vec<_>>().join(" ");
        for passed_by in [input, &self.stdout].map(String::from_utf8_lossy) {
            let words = passed_by.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
            for word in words.filter(|word| word.len() >= SECRET_CHARS_MIN) {
                said = said.replace(word, "(hidden)");
            }
        }
        let skipped = said.chars().count().saturating_sub(SAID_CHARS_MAX);
        match said.char_indices().nth(skipped) {
            Some((at, _)) if skipped > 0 => format!("… {}", &said[at..]),
            Some(_) => said,
            None => "it said nothing".to_owned(),
        }
    }
}

/// Runs a program in a process group of its own, which is ended when the time is over or nobody waits any more.
pub(super) async fn run(
    program: &str,
    arguments: &[&str],
    input: &[u8],
    limit: Duration,
) -> Result<Output, Ended> {
    let mut command = Command::new(program);
    // What it says is compared with words of ours.
    command.args(arguments).env("LC_ALL", "C").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group(command.spawn().map_err(Ended::NotStarted)?);
    let child = &mut group.0;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // Who ends without reading all of it says why by its status.
            let _ = stdin.write_all(input).await;
        }
    };
    let talking = async {
        let ((), stdout, stderr) = tokio::join!(feeding, all_of(stdout), all_of(stderr));
        // Not before: as long as nobody has waited for it, its id, and so its group's, is no stranger's.
        (child.wait().await, stdout, stderr)
    };
    let (status, stdout, stderr) = tokio::time::timeout(limit, talking).await.map_err(|_| Ended::TooSlow)?;
    Ok(Output { status: status.map_err(Ended::NotStarted)?, stdout, stderr })
}

/// To the end, with one byte more than is allowed as the sign that there is more.
async fn all_of(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes).await;
    }
    bytes
}

/// A child that is ended together with those that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // There is an id only as long as nobody has waited for it.
        if let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let arguments = ["-c", "sleep 60 & echo $! > \"$0\"; exit 0", file.to_str().unwrap()];
        let ended = run("sh", &arguments, &[], Duration::from_millis(500)).await;
        assert!(matches!(ended, Err(Ended::TooSlow)));
        let pid = std::fs::read_to_string(&file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let ended = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            state().is_empty() || state().contains(") Z ")
        });
        assert!(ended, "{}", state());
    }

    #[tokio::test]
    async fn what_a_program_says_is_shown_without_what_went_through_its_pipes() {
        let script = "read -r line; echo token-of-the-node; echo \"bad \x1b[31m'$line' token-of-the-node\" >&2; exit 3";
        let input = b"canary-of-the-input\n";
        let output = run("sh", &["-c", script], input, Duration::from_secs(10)).await.ok().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.said(input), "bad [31m'(hidden)' (hidden)");
    }
}
