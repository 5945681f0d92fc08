//! The values behind secret references: checked, and never shown by `Debug`, errors or logs.

use std::fmt;

use crate::catalogue::Sha256;
use crate::ids::{Invalid, K3sToken, TokenKind};

/// VRRP's password, at most eight characters.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthPass(String);

/// The key of keepalived's `auth_hmac`, 32 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey(String);

/// With which a node cordons and drains itself.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainKubeconfig(String);

/// All secret values of a site.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub auth_pass: Option<AuthPass>,
    pub auth_hmac: Option<HmacKey>,
    /// Servers join by it; whoever has it is the cluster's administrator.
    pub k3s_token: K3sToken,
    /// Workers join by it, and by nothing else.
    pub k3s_agent_token: Option<K3sToken>,
    pub drain_kubeconfig: Option<DrainKubeconfig>,
}

impl Secrets {
    /// All values, each under the name that templates know it by.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let auth_pass = self.auth_pass.iter().map(|secret| ("keepalived_auth_pass", secret.0.as_str()));
        let auth_hmac = self.auth_hmac.iter().map(|secret| ("keepalived_auth_hmac", secret.0.as_str()));
        let kubeconfig = self.drain_kubeconfig.iter().map(|secret| ("drain_kubeconfig", secret.0.as_str()));
        let agent_token = self.k3s_agent_token.iter().map(|token| ("k3s_agent_token", token.as_str()));
        let agent_password = self.agent_password().into_iter().map(|text| ("k3s_agent_password", text));
        let server = [("k3s_token", self.k3s_token.as_str())];
        auth_pass.chain(auth_hmac).chain(server).chain(agent_token).chain(agent_password).chain(kubeconfig)
    }

    /// What servers have in `agent-token-file`. Of the short form: k3s (`getNodePass`) compares what is in the file, as it
    /// is, with the password that a worker sends. A bootstrap token is in the cluster, and in no server's configuration.
    pub fn agent_password(&self) -> Option<&str> {
        let token = self.k3s_agent_token.as_ref();
        token.filter(|token| token.kind() == TokenKind::Password).map(K3sToken::credentials)
    }

    /// What k3s would draw at random on a node's first start, and hold against the node from then on: so derived that
    /// the host has the same one after each install. Whoever has the servers' token can compute it, and so no worker:
    /// each gets its own alone.
    pub fn node_password(&self, host: &str) -> String {
        // The length of what k3s draws: 16 bytes in hex.
        const HEX_DIGITS: usize = 32;
        let text = format!("pxe-serve node password 1\n{}\n{host}\n", self.k3s_token.credentials());
        let mut hex = Sha256::of(text.as_bytes()).to_string();
        hex.truncate(HEX_DIGITS);
        hex
    }
}

impl AuthPass {
    /// One line at the end is cut off, as editors write it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = one_line(text);
        // keepalived(5): auth_pass is at most 8 characters; keepalived 2.2 truncates a longer one and `-t` exits 5.
        if text.is_empty() || text.len() > 8 {
            return Err(Invalid::new(
                format!("the password has {} characters, VRRP takes 1 to 8", text.chars().count()),
                "use 8 letters and digits; where nodes already run with a longer one, its first 8 characters are what keepalived uses",
            ));
        }
        // `#` and `!` begin a comment, `$` a variable, `@` a condition, silently; quotes and braces end the value.
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            Ok(AuthPass(text.to_owned()))
        } else {
            Err(Invalid::new(
                "the password has characters that keepalived reads as syntax",
                "use only letters and digits: `#`, `!`, `$`, `@`, quotes, braces and blanks change or cut the value silently",
            ))
        }
    }
}

impl HmacKey {
    /// keepalived.conf(5) of 2.4: an ASCII key of 32 to 64 bytes. A colon would begin its `hex:` and `file:` forms.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = one_line(text);
        if (32..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(HmacKey(text.to_owned()))
        } else {
            Err(Invalid::new(
                format!(
                    "this is no key of 32 to 64 letters and digits (it has {} characters)",
                    text.chars().count()
                ),
                "make one with `openssl rand -hex 32`",
            ))
        }
    }
}

impl DrainKubeconfig {
    /// Looked at just enough to tell it from another file.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let has = |key: &str| text.lines().any(|line| line.trim_start_matches(['-', ' ']).starts_with(key));
        let is_whole = ["clusters:", "contexts:", "users:", "server:"].into_iter().all(has);
        match is_whole && !text.contains('\0') {
            true => Ok(DrainKubeconfig(text.trim_end().to_owned())),
            false => Err(Invalid::new(
                "this is no kubeconfig: it has no clusters, contexts, users or no server",
                "docs/updates.md says how to make one that may drain nodes and no more",
            )),
        }
    }
}

fn one_line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

impl fmt::Debug for AuthPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthPass(…)")
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

impl fmt::Debug for DrainKubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DrainKubeconfig(…)")
    }
}
