//! Programs on a node, run by the user's own `ssh` with its configuration, agent and known host keys.
//!
//! It asks for nothing (`BatchMode`), trusts no key by itself, ends with all its children when its time is over, and puts
//! nothing on a command line but scripts and paths: contents travel by stdin.

use std::fmt;
use std::net::IpAddr;
use std::process::ExitStatus;
use std::str::FromStr;
use std::time::Duration;

use crate::ids::Invalid;
use crate::inventory::Host;

use super::program::{self, Ended, OUTPUT_BYTES_MAX, Output};

/// Who logs in on Fedora CoreOS.
const DEFAULT_USER: &str = "core";
/// A node on the same network answers in milliseconds, or is off.
const CONNECT_SECONDS: &str = "ConnectTimeout=3";
/// `ssh -G` only reads files.
const RESOLVE_LIMIT: Duration = Duration::from_secs(3);

/// `[USER@]HOST`, as one writes it for ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    user: Option<String>,
    host: String,
    /// Where the inventory says that the host is.
    address: Option<IpAddr>,
}

impl Destination {
    /// A host of the inventory: by its name, so that `Host NAME` in the user's configuration counts.
    pub fn of(host: &Host) -> Self {
        Destination { user: None, host: host.name.to_string(), address: Some(host.address()) }
    }
}

impl FromStr for Destination {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        // A leading dash would be an option; the rest is what names of users and hosts, and IPv6 with a zone, consist of.
        let good = |part: &str| {
            (1..=255).contains(&part.len())
                && !part.starts_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte))
        };
        if user.is_none_or(good) && good(host) {
            Ok(Destination { user: user.map(str::to_owned), host: host.to_owned(), address: None })
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a destination for ssh"),
                "write HOST or USER@HOST, such as core@lenovo1 or core@192.168.26.5",
            ))
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// A shell script for the node; `$1`, `$2` … are `arguments`, and stdin is `input`.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    pub script: &'a str,
    pub arguments: &'a [&'a str],
    pub input: &'a [u8],
    pub limit: Duration,
}

/// A destination, and the options that say what the user's configuration leaves open.
#[derive(Debug, Clone)]
pub struct Ssh {
    destination: Destination,
    options: Vec<String>,
}

/// Why a script did not run to its good end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run ssh: {0}; install the OpenSSH client")]
    NoProgram(std::io::Error),

    #[error(
        "ssh to {destination} failed: {said}; mend what `{by_hand}` says, and accept the host's key there if it is right"
    )]
    Unreachable { destination: String, said: String, by_hand: String },

    #[error("on {destination} it ended with {status}: {said}")]
    Failed { destination: String, status: ExitStatus, said: String },

    #[error("ssh to {destination} took longer than {} s", limit.as_secs())]
    TooSlow { destination: String, limit: Duration },

    #[error("{destination} sent more than {OUTPUT_BYTES_MAX} bytes; is it the right machine?")]
    TooLong { destination: String },
}

impl Ssh {
    /// Asks ssh itself (`ssh -G`) what the user's configuration says about the destination. Where it says nothing, the
    /// user is `core` and the address is the inventory's.
    pub async fn resolve(destination: Destination) -> Result<Ssh, Error> {
        let own = settings(&destination, &[]).await?;
        let nothing = settings(&destination, &["-F", "none"]).await?;
        let is_open = |key: &str| {
            own.iter().find(|(name, _)| name == key) == nothing.iter().find(|(name, _)| name == key)
        };
        let mut options = Vec::new();
        if destination.user.is_none() && is_open("user") {
            options.push(format!("User={DEFAULT_USER}"));
        }
        if let Some(address) = destination.address.filter(|_| is_open("hostname")) {
            options.push(format!("HostName={address}"));
        }
        Ok(Ssh { destination, options })
    }

    /// Runs it as root, by sudo, which must not ask for a password; gives its stdout.
    pub async fn run(&self, remote: Remote<'_>) -> Result<Vec<u8>, Error> {
        let words = [&["sudo", "-n", "sh", "-c", remote.script, "sh"], remote.arguments].concat();
        let line = words.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
        let mut arguments = vec!["-T", "-o", "BatchMode=yes", "-o", CONNECT_SECONDS];
        // What a user's configuration may have for terminals: tunnels that are open already, a command of its own, a
        // master that stays behind and holds stderr open.
        for option in ["ClearAllForwardings=yes", "RemoteCommand=none", "ControlMaster=no"] {
            arguments.extend(["-o", option]);
        }
        for option in &self.options {
            arguments.extend(["-o", option]);
        }
        let destination = self.destination.to_string();
        arguments.extend(["--", &destination, &line]);
        let output = start(&arguments, remote.input, &destination, remote.limit).await?;
        if output.stdout.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(Error::TooLong { destination });
        }
        // ssh(1): 255 is its own, everything else the remote command's.
        match output.status.code() {
            Some(0) => Ok(output.stdout),
            Some(255) => Err(Error::Unreachable {
                destination,
                said: output.said(remote.input),
                by_hand: self.by_hand(),
            }),
            _ => Err(Error::Failed { destination, status: output.status, said: output.said(remote.input) }),
        }
    }

    /// What a person types to see the same.
    fn by_hand(&self) -> String {
        let options: String = self.options.iter().map(|option| format!("-o {option} ")).collect();
        format!("ssh {options}{} true", self.destination)
    }
}

impl fmt::Display for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)
    }
}

/// What `ssh -G` prints: a keyword and its value a line.
async fn settings(destination: &Destination, options: &[&str]) -> Result<Vec<(String, String)>, Error> {
    let destination = destination.to_string();
    let arguments = [options, &["-G", "--", &destination]].concat();
    let output = start(&arguments, &[], &destination, RESOLVE_LIMIT).await?;
    if !output.status.success() {
        let by_hand = format!("ssh -G {destination}");
        return Err(Error::Unreachable { destination, said: output.said(&[]), by_hand });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}

async fn start(
    arguments: &[&str],
    input: &[u8],
    destination: &str,
    limit: Duration,
) -> Result<Output, Error> {
    program::run("ssh", arguments, input, limit).await.map_err(|ended| match ended {
        Ended::NotStarted(error) => Error::NoProgram(error),
        Ended::TooSlow => Error::TooSlow { destination: destination.to_owned(), limit },
    })
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_cannot_be_an_option_or_several_words() {
        for good in ["lenovo1", "core@lenovo1", "192.168.26.5", "core@fe80::1%eth0", "my.user@host-1.lab"] {
            assert_eq!(good.parse::<Destination>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "core@-x",
            "-x@host",
            "a b",
            "a\nb",
            "@host",
            "core@",
            "host;id",
            "$(id)",
            "a'b",
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_quoted_word_is_one_word_for_a_shell() {
        for word in ["", "a b", "it's", "'", "$HOME `id` \"\\", "a\nb", "--", "*"] {
            let line = format!("printf '%s|' {}", quoted(word));
            let output = program::run("sh", &["-c", &line], &[], Duration::from_secs(10)).await.ok().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{word}|"));
        }
    }
}
