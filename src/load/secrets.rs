//! The values behind secret references, from files and the environment. What is wrong with one is said at its reference,
//! and neither the value nor the name is: who wrote the secret itself where its name belongs would publish it.

use std::path::Path;

use crate::document::At;
use crate::ids::Invalid;
use crate::inventory::{
    AuthPass, DrainKubeconfig, HmacKey, Inventory, K3sToken, Phase, SecretReference, Secrets, TokenKind,
};

use super::Loader;

/// A secret is a line.
const MAX_SECRET_BYTES: u64 = 4096;

impl Loader {
    /// All of the site's, or `None` with an error in the report.
    pub fn secrets(&mut self, inventory: &Inventory, folder: &Path) -> Option<Secrets> {
        let keepalived = &inventory.keepalived;
        let auth_pass = self.optional_secret(keepalived.auth_pass.as_ref(), folder, AuthPass::parse);
        let auth_hmac = self.optional_secret(keepalived.auth_hmac.as_ref(), folder, HmacKey::parse);
        let k3s = &inventory.k3s;
        let k3s_token = self.secret(&k3s.token, folder, |text| server_token(text, k3s.phase));
        let k3s_agent_token = self.optional_secret(k3s.agent_token.as_ref(), folder, |text| {
            let token = K3sToken::parse(text)?;
            not_the_servers(&token, k3s_token.as_ref())?;
            Ok(token)
        });
        let drain = inventory.updates.drain_kubeconfig.as_ref();
        let drain_kubeconfig = self.optional_secret(drain, folder, DrainKubeconfig::parse);
        Some(Secrets {
            auth_pass: auth_pass?,
            auth_hmac: auth_hmac?,
            k3s_token: k3s_token?,
            k3s_agent_token: k3s_agent_token?,
            drain_kubeconfig: drain_kubeconfig?,
        })
    }

    /// `Some(None)` when the inventory asks for none; `None` when what it asks for cannot be had.
    fn optional_secret<T>(
        &mut self,
        reference: Option<&At<SecretReference>>,
        folder: &Path,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        match reference {
            Some(reference) => self.secret(reference, folder, parse).map(Some),
            None => Some(None),
        }
    }

    fn secret<T>(
        &mut self,
        reference: &At<SecretReference>,
        folder: &Path,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let text = match &reference.value {
            // Not by its name: who wrote the secret itself there would have it told to every machine that boots.
            SecretReference::Env(name) => std::env::var(name).map_err(|_| {
                Invalid::new(
                    "the environment variable named here is not set",
                    "write its name, not the secret, and set it for the process; or point to a file",
                )
            }),
            SecretReference::File(file) => self.secret_file(&folder.join(file)),
        };
        let is_public = text.as_ref().is_ok_and(|text| PUBLISHED.contains(&text.trim()));
        if is_public {
            let help =
                "make one: `openssl rand -hex 32` a token or a key, `openssl rand -hex 4` a VRRP password";
            self.report
                .push(reference.note("this is the example's secret, which everybody knows").help(help));
        }
        match text.and_then(|text| parse(&text)) {
            Ok(secret) => Some(secret),
            Err(Invalid { message, help }) => {
                self.report.push(reference.error(message).help(help));
                None
            }
        }
    }

    /// Says nothing of the name either.
    fn secret_file(&mut self, path: &Path) -> Result<String, Invalid> {
        let bytes = self.read_or_why(path, MAX_SECRET_BYTES).map_err(|error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "create it, relative to the inventory's folder: `openssl rand -hex 32` makes a token or a key, `openssl rand -hex 4` a VRRP password"
                }
                std::io::ErrorKind::PermissionDenied => "let the user that runs pxe-serve read it",
                _ => "a secret is a file of one line",
            };
            Invalid::new(format!("the file named here cannot be read: {error}"), help)
        })?;
        String::from_utf8(bytes)
            .map_err(|_| Invalid::new("the file named here is not UTF-8", "a secret is one line of text"))
    }
}

/// A token that the servers can be given.
fn server_token(text: &str, phase: Phase) -> Result<K3sToken, Invalid> {
    let token = K3sToken::parse(text)?;
    if token.kind() == TokenKind::Bootstrap {
        return Err(Invalid::new(
            "a bootstrap token (ID.SECRET) joins workers alone",
            "write it in k3s.agent_token; here belongs the servers' token, /var/lib/rancher/k3s/server/token on a server",
        ));
    }
    if token.ca_sha256().is_some() && phase == Phase::Bootstrap {
        return Err(Invalid::new(
            "the token names the CA of a cluster that is there, and k3s.phase: bootstrap starts a new one, whose CA nobody knows yet",
            "write only what stands behind `::server:`, which is the same token in its short form; or, to join the cluster that is there, `phase: reinstall`",
        ));
    }
    Ok(token)
}

/// A worker that had the servers' password could join as a server.
fn not_the_servers(token: &K3sToken, servers: Option<&K3sToken>) -> Result<(), Invalid> {
    match servers {
        Some(servers) if servers.credentials() == token.credentials() => Err(Invalid::new(
            "the agent token is the servers' token, and makes every worker an administrator of the cluster",
            "make another one with `openssl rand -hex 32`",
        )),
        _ => Ok(()),
    }
}

/// What the repository has in `secrets/`. Not by `include_str!`: who replaced them and builds would have their own in the
/// program.
const PUBLISHED: [&str; 3] = [
    "example-token-replace-me-with-openssl-rand-hex-32",
    "example-agent-token-replace-me-with-openssl-rand-hex-32",
    "k3skeep1",
];
