//! The cluster by the user's own `kubectl`, with the user's own credentials: what may be done is what the user may do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{self, Ended, OUTPUT_BYTES_MAX};

/// The user's kubeconfig, or kubectl's own choice.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run kubectl: {0}; install it")]
    NoProgram(std::io::Error),

    #[error("`kubectl {command}` failed: {said}")]
    Failed { command: String, said: String },

    #[error("`kubectl {command}` took longer than {} s", limit.as_secs())]
    TooSlow { command: String, limit: Duration },

    #[error("`kubectl {0}` said more than {OUTPUT_BYTES_MAX} bytes")]
    TooLong(String),
}

impl Kubectl {
    pub fn new(kubeconfig: Option<&Path>) -> Self {
        Kubectl { kubeconfig: kubeconfig.map(Path::to_owned) }
    }

    /// Runs it, and gives its stdout.
    pub async fn run(&self, arguments: &[&str], limit: Duration) -> Result<Vec<u8>, Error> {
        let kubeconfig = self.kubeconfig.as_ref().map(|file| format!("--kubeconfig={}", file.display()));
        let all: Vec<&str> = kubeconfig.as_deref().into_iter().chain(arguments.iter().copied()).collect();
        let command = arguments.join(" ");
        match program::run("kubectl", &all, &[], limit).await {
            Ok(output) if output.stdout.len() as u64 > OUTPUT_BYTES_MAX => Err(Error::TooLong(command)),
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => Err(Error::Failed { command, said: output.said(&[]) }),
            Err(Ended::NotStarted(error)) => Err(Error::NoProgram(error)),
            Err(Ended::TooSlow) => Err(Error::TooSlow { command, limit }),
        }
    }
}
