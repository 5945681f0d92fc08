//! The command line: one verb a file, and each is load → pure call → print.
//!
//! Owns the exit status: 0 fine, 1 findings or differences, 2 could not do it (a usage error too).
//! Findings go to stderr, except `check`'s, which are what it was asked for.
#![expect(clippy::disallowed_methods, reason = "the command line is where the world is touched")]

mod arm;
mod ask;
mod butane;
mod check;
mod completions;
mod doctor;
mod failover;
mod first_server;
mod hosts;
mod image;
mod kubeconfig;
mod man;
mod prepare_reinstall;
mod progress;
mod render;
mod serve;
mod show;
mod snapshots;
mod sources;
mod target;
mod tls_san;
mod token;
mod unlock;
mod verdicts;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory, Parser, Subcommand};

use crate::cluster::UnixSeconds;
use crate::ids::Invalid;

pub use sources::{InventoryArg, SourceArgs};

/// One inventory in, everything a freshly reinstalled Fedora CoreOS k3s node needs out: keepalived and k3s
/// configuration, Butane, Ignition and iPXE, rendered, hashed and served.
#[derive(Debug, Parser)]
#[command(name = "pxe-serve", version, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_STATUS: &str = "Exit status: 0 fine, 1 findings or differences, 2 could not do it.";

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::ServeArgs),
    Render(render::RenderArgs),
    Check(check::CheckArgs),
    Hosts(hosts::HostsArgs),
    Snapshots(snapshots::SnapshotsArgs),
    Arm(arm::ArmArgs),
    Unlock(unlock::UnlockArgs),
    Failover(failover::FailoverArgs),
    Butane(butane::ButaneArgs),
    Show(show::ShowArgs),
    Kubeconfig(kubeconfig::KubeconfigArgs),
    TlsSan(tls_san::TlsSanArgs),
    Token(token::TokenArgs),
    PrepareReinstall(prepare_reinstall::PrepareReinstallArgs),
    Doctor(doctor::DoctorArgs),
    Image(image::ImageArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A usage error ends the process here with status 2, `--help` and `--version` with 0.
    let outcome = match Cli::parse_from(args).verb {
        Verb::Serve(args) => serve::run(args),
        Verb::Render(args) => render::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Hosts(args) => hosts::run(args),
        Verb::Snapshots(args) => snapshots::run(args),
        Verb::Arm(args) => arm::run(args),
        Verb::Unlock(args) => unlock::run(args),
        Verb::Failover(args) => failover::run(args),
        Verb::Butane(args) => Ok(butane::run(&args)),
        Verb::Show(args) => show::run(args),
        Verb::Kubeconfig(args) => kubeconfig::run(args),
        Verb::TlsSan(args) => tls_san::run(args),
        Verb::Token(args) => token::run(args),
        Verb::PrepareReinstall(args) => prepare_reinstall::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Image(args) => image::run(args),
        Verb::Completions(args) => completions::run(args),
        Verb::Man(args) => man::run(args),
    };
    outcome.unwrap_or_else(|error| {
        tell(&format!("error: {error:#}\n"));
        ExitCode::from(2)
    })
}

/// The definition that help, completions and man pages come from.
pub fn command() -> clap::Command {
    Cli::command()
}

/// To end a program's group is one system call; a look-up that hangs is not waited for any longer.
const LETTING_GO: std::time::Duration = std::time::Duration::from_millis(500);

/// Runs what waits for the network, or until a signal asks for the end: then programs that were started are ended as
/// well, which in a group of their own hear no Ctrl-C. A look-up of a name that hangs in the C library is left behind.
fn wait_for<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => Ok(result),
            signal = asked_to_end() => Err(Ended(signal?).into()),
        }
    });
    match &result {
        Ok(_) => runtime.shutdown_background(),
        // What runs beside has the programs; it must have let go of them before this process is gone.
        Err(_) => runtime.shutdown_timeout(LETTING_GO),
    }
    result
}

/// Why [`wait_for`] gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("ended by {0}; what was begun may be half done")]
struct Ended(&'static str);

async fn asked_to_end() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = hang_up.recv() => "SIGHUP",
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

/// The error of a verb that says what to do.
fn refusal(invalid: Invalid) -> anyhow::Error {
    anyhow::anyhow!("{}; {}", invalid.message, invalid.help)
}

/// Seconds since 1970.
fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(UnixSeconds::MAX)
}

/// Columns as wide as their widest cell, two blanks between them.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], text: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| anyhow::anyhow!("cannot write to stdout: {error}")),
    }
}

/// Writes to stderr. Unlike `eprint!`, it does not end the program when nobody reads that.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether to colour what goes to this stream: for people only, and not for those who say no (no-color.org).
fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn every_option_of_every_verb_explains_itself() {
        fn explained(verb: &clap::Command) {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for argument in verb.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
            verb.get_subcommands().for_each(explained);
        }
        super::command().get_subcommands().for_each(explained);
    }
}
