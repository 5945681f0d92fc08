//! Programs that a test needs, and running them with a bound on their time.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Whether all of `programs` are here, as root if the test makes namespaces. Says so when not, and fails when the
/// environment says that they are required.
pub fn have(programs: &[&str], needs_root: bool) -> bool {
    let search = format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let is_here = |program: &str| {
        program.starts_with('/') && Path::new(program).exists()
            || search.split(':').any(|folder| Path::new(folder).join(program).exists())
    };
    let mut missing: Vec<String> =
        programs.iter().filter(|program| !is_here(program)).map(|name| (*name).to_owned()).collect();
    if needs_root && !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    if missing.is_empty() {
        return true;
    }
    let message = format!("needs {}, which is not here", missing.join(", "));
    assert_ne!(std::env::var("PXE_SERVE_E2E").as_deref(), Ok("required"), "{message}");
    eprintln!("SKIPPED: {message}");
    false
}

/// A command with the folders of Debian's system programs on its path.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")).stdin(Stdio::null());
    command
}

/// Runs to the end, which must come within `limit`: `timeout` ends what does not end by itself.
pub fn run(command: &Command, limit: Duration) -> Output {
    let mut bounded = Command::new("timeout");
    bounded
        .arg("--kill-after=5")
        .arg(limit.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    bounded.stdin(Stdio::null()).output().unwrap()
}

/// What a program said, for the message of a failed assertion.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
