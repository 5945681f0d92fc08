//! `pxe-serve serve`: the options of the server, and what they mean.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::pki_types::ServerName;

use crate::cluster::API_PORT;
use crate::load::{Hashing, load_with};
use crate::probe::{api, tls};
use crate::server::{self, AskReadiness, Config, Limits, LogFormat, SecretsPolicy};

use super::SourceArgs;

/// Serve everything the inventory describes over HTTP, and follow edits of it.
///
/// A broken edit changes nothing: the last good state is served and the log, /healthz and /readyz say what is wrong.
/// SIGHUP loads at once, SIGTERM and SIGINT stop after what is in flight.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub sources: SourceArgs,

    /// Where to listen; give it again for more. 0.0.0.0:80 is the whole network on the port nodes expect
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: Vec<SocketAddr>,

    /// Who may fetch files that carry a secret, by the address they come from; what came through a proxy never may
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    pub secrets: SecretsPolicy,

    /// A folder of its own, made if need be, in which what happened to the hosts and earlier generations survive a
    /// restart, and in which the operator's socket lies; it will hold secrets [default: keep all in memory, arm nobody]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// How long URLs with ?sha256= answer with an artifact after it was replaced, for boots under way
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub keep_generations_for: Duration,

    /// How the log on standard error is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 24h, 90min or 2days"))
}

impl ServeArgs {
    pub fn config(&self) -> Config {
        Config {
            listen: self.listen.clone(),
            secrets: self.secrets,
            state_dir: self.state_dir.clone(),
            keep_generations_for: self.keep_generations_for,
            log_format: self.log_format,
            limits: Limits::default(),
            readiness: AskReadiness::by(readyz),
        }
    }
}

/// Less than what the server waits for.
const READYZ_WITHIN: Duration = Duration::from_secs(4);

/// As the health check asks: of whoever answers there, since the cluster's CA is known to nobody on a router.
async fn readyz(address: IpAddr) -> Result<u16, String> {
    let name = ServerName::IpAddress(address.into());
    let client = tls::Client::that_only_looks();
    let answer = api::get(&client, (address, API_PORT).into(), name, "/readyz", READYZ_WITHIN).await;
    answer.map(|answer| answer.status).map_err(|failure| failure.to_string())
}

/// Serves until a signal ends it.
pub fn run(arguments: ServeArgs) -> anyhow::Result<ExitCode> {
    let sources = arguments.sources.sources();
    // 1.4 GB of images are no reason to answer later.
    let digests = Arc::default();
    server::run(arguments.config(), move || load_with(&sources, &digests, Hashing::Later))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    #[test]
    fn without_options_it_is_the_servers_own_default() {
        let config = Program::parse_from(["serve"]).serve.config();
        let default = Config::default();
        assert_eq!(config.listen, default.listen);
        assert_eq!(config.secrets, default.secrets);
        assert_eq!(config.keep_generations_for, default.keep_generations_for);
        assert_eq!(config.log_format, default.log_format);
    }
}
