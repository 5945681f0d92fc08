//! Programs on a node, run by the user's own `ssh` with its configuration, agent and known host keys.
//!
//! It asks for nothing (`BatchMode`), trusts no key by itself, ends with all its children when its time is over, and puts
//! nothing on a command line but scripts and paths: contents travel by stdin.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitStatus;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::ids::Invalid;
use crate::inventory::{Host, Inventory};

use super::program::{self, Ended, OUTPUT_BYTES_MAX};

/// Who logs in on Fedora CoreOS.
const DEFAULT_USER: &str = "core";
/// It edits one file.
const FORGET_LIMIT: Duration = Duration::from_secs(10);
/// A node on the same network answers in milliseconds, or is off.
const CONNECT_SECONDS: &str = "ConnectTimeout=3";

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

    /// As the user wrote it; a name of the inventory has the inventory's address.
    pub fn in_inventory(self, inventory: &Inventory) -> Self {
        let address = inventory.host(&self.host).map(Host::address);
        Destination { address, ..self }
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

/// A destination, and how ssh is to get there.
#[derive(Debug, Clone)]
pub struct Ssh {
    destination: Destination,
    configuration: Arc<Configuration>,
}

/// The user's own configuration with our defaults at its end, and one demand before it: the first word that was said on
/// a matter counts (ssh_config(5)). It has no name on any disk: ssh reads it through this process.
#[derive(Debug)]
struct Configuration(OwnedFd);

impl Configuration {
    fn of(destination: &Destination) -> std::io::Result<Self> {
        // First, so that no `no` for the user's convenience counts, nor for a host that ssh jumps over: what comes is
        // written as root.
        let mut text = "StrictHostKeyChecking yes\n".to_owned();
        text.push_str("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n");
        // For this host alone: one that ssh jumps over has a name of its own.
        text.push_str(&format!("Host {}\n    User {DEFAULT_USER}\n", destination.host));
        if let Some(address) = destination.address {
            text.push_str(&format!("    HostName {address}\n"));
        }
        let file = memfd_create("ssh_config", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(text.as_bytes())?;
        Ok(Configuration(file.into()))
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Why a script did not run to its good end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run ssh: {0}; install the OpenSSH client")]
    NoProgram(std::io::Error),

    #[error("cannot keep a configuration for ssh in memory: {0}; is /proc there?")]
    NoConfiguration(std::io::Error),

    #[error(
        "ssh to {destination} failed: {said}; mend what {by_hand} says, and accept the host's key there if it is right"
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
    /// Where the user's configuration says nothing about the destination, the user is `core` and the address is the
    /// inventory's.
    pub fn to(destination: Destination) -> Result<Ssh, Error> {
        let configuration = Configuration::of(&destination).map_err(Error::NoConfiguration)?;
        Ok(Ssh { destination, configuration: Arc::new(configuration) })
    }

    /// Runs it as root, by sudo, which must not ask for a password; gives its stdout.
    pub async fn run(&self, remote: Remote<'_>) -> Result<Vec<u8>, Error> {
        let words = [&["sudo", "-n", "sh", "-c", remote.script, "sh"], remote.arguments].concat();
        let line = words.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
        let configuration = self.configuration.path();
        let mut arguments = vec!["-F", &configuration, "-T", "-o", "BatchMode=yes", "-o", CONNECT_SECONDS];
        // What a user's configuration may have for terminals: tunnels that are open already, a command of its own, a
        // master that stays behind and holds stderr open.
        for option in ["ClearAllForwardings=yes", "RemoteCommand=none", "ControlMaster=no"] {
            arguments.extend(["-o", option]);
        }
        let destination = self.destination.to_string();
        arguments.extend(["--", &destination, &line]);
        let output = program::run("ssh", &arguments, remote.input, remote.limit).await;
        let output = match output {
            Ok(output) => output,
            Err(Ended::NotStarted(error)) => return Err(Error::NoProgram(error)),
            Err(Ended::TooSlow) => return Err(Error::TooSlow { destination, limit: remote.limit }),
        };
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
        let Destination { user, host, address } = &self.destination;
        let own = format!("`ssh {} true`", self.destination);
        match address {
            Some(address) => {
                let user = user.as_deref().unwrap_or(DEFAULT_USER);
                format!("{own} (if your ssh configuration has no {host}, `ssh {user}@{address} true`)")
            }
            None => own,
        }
    }
}

impl fmt::Display for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)
    }
}

/// Removes the keys that the user's ssh knows a host by. One that it does not know is no error.
pub async fn forget(name: &str) -> Result<(), Error> {
    let output = program::run("ssh-keygen", &["-R", name], &[], FORGET_LIMIT).await;
    match output {
        Ok(output) if output.status.success() => Ok(()),
        // Nobody has ever used ssh here.
        Ok(output) if output.said(&[]).contains("No such file or directory") => Ok(()),
        Ok(output) => Err(Error::Failed {
            destination: "this machine".to_owned(),
            status: output.status,
            said: output.said(&[]),
        }),
        Err(Ended::NotStarted(error)) => Err(Error::NoProgram(error)),
        Err(Ended::TooSlow) => {
            Err(Error::TooSlow { destination: "this machine".to_owned(), limit: FORGET_LIMIT })
        }
    }
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
