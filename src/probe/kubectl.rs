//! The cluster by the user's own `kubectl`, with the user's own credentials: what may be done is what the user may do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{self, Ended, OUTPUT_BYTES_MAX};

/// The user's kubeconfig and context, or kubectl's own choice.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
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
    pub fn new(kubeconfig: Option<&Path>, context: Option<&str>) -> Self {
        Kubectl { kubeconfig: kubeconfig.map(Path::to_owned), context: context.map(str::to_owned) }
    }

    /// By which name its kubeconfig knows the cluster that it asks.
    pub async fn context(&self, limit: Duration) -> Result<String, Error> {
        // `config current-context` says what the file says, whatever --context is.
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        let said = self.run(&["config", "current-context"], limit).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Runs it, and gives its stdout.
    pub async fn run(&self, arguments: &[&str], limit: Duration) -> Result<Vec<u8>, Error> {
        let kubeconfig = self.kubeconfig.as_ref().map(|file| format!("--kubeconfig={}", file.display()));
        let context = self.context.as_ref().map(|context| format!("--context={context}"));
        let all: Vec<&str> = [&kubeconfig, &context]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .collect();
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
