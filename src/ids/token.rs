//! k3s' tokens: the one reading of every form that k3s takes, which are those of `parseToken` in its `pkg/clientaccess`.
//!
//! | Form | k3s takes it as |
//! |---|---|
//! | `PASSWORD` | a password of one's own, of whatever characters |
//! | `K10HASH::USER:PASSWORD` | the same password; the node checks the cluster's CA by HASH before it sends it |
//! | `ID.SECRET`, `K10HASH::ID.SECRET` | a bootstrap token: joins agents, while the cluster keeps it |
//!
//! k3s puts its own user in the place of USER (`server` or `node`), so that word decides nothing. HASH may be empty.
//! Nothing here shows the value: no message, no `Debug`.

use std::fmt;

use super::Invalid;

/// Hex digits of the CA's SHA-256 (`caHashLength`).
const HASH_DIGITS: usize = 64;
/// Ours; k3s takes any length. 16 random hex digits are 64 bits, which nobody guesses over a network.
const PASSWORD_BYTES_MIN: usize = 16;

/// What joins a node to the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct K3sToken {
    text: String,
    ca_sha256: Option<String>,
    credentials: String,
    kind: TokenKind,
}

/// Who may join by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Whoever knows it, for as long as the servers have it in their configuration.
    Password,
    /// Agents alone, while it is a secret of `kube-system`: `k3s token create` makes it, and it expires.
    Bootstrap,
}

impl K3sToken {
    /// Blanks and line ends around it are cut off, as k3s does with a token file.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let help = "make one with `openssl rand -hex 32`, or copy /var/lib/rancher/k3s/server/node-token from a server";
        if text.lines().count() > 1 {
            let help = "write it as one line; `openssl rand -base64` breaks long ones: join its lines, or take `openssl rand -hex 32`";
            return Err(Invalid::new(format!("the token has {} lines", text.lines().count()), help));
        }
        if text.contains(char::is_control) {
            return Err(Invalid::new("the token has a control character in it", help));
        }
        let (ca_sha256, credentials) = match text.strip_prefix("K10") {
            None => (None, text),
            Some(rest) => full(rest)?,
        };
        let (credentials, kind) = if is_bootstrap(credentials) {
            (credentials, TokenKind::Bootstrap)
        } else if text.starts_with("K10") {
            let help = "the form is K10HASH::server:PASSWORD, as in /var/lib/rancher/k3s/server/node-token; a password of your own must not begin with K10";
            let password = credentials.split_once(':').map(|(_, password)| password);
            let missing = || Invalid::new("the token begins with K10 and has no `USER:PASSWORD`", help);
            (password.filter(|password| !password.is_empty()).ok_or_else(missing)?, TokenKind::Password)
        } else {
            (credentials, TokenKind::Password)
        };
        if credentials.len() < PASSWORD_BYTES_MIN {
            let length = credentials.chars().count();
            let message = format!(
                "the token is too short: {length} {}, at least {PASSWORD_BYTES_MIN}",
                if length == 1 { "character" } else { "characters" }
            );
            return Err(Invalid::new(message, help));
        }
        Ok(K3sToken {
            text: text.to_owned(),
            ca_sha256: ca_sha256.map(str::to_owned),
            credentials: credentials.to_owned(),
            kind,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the node proves that it knows: the password, or `ID.SECRET`. By itself it is the short form of the token.
    pub fn credentials(&self) -> &str {
        &self.credentials
    }

    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Of the cluster's CA, where the token names one.
    pub fn ca_sha256(&self) -> Option<&str> {
        self.ca_sha256.as_deref()
    }

    /// Whether both join the same cluster; the short form says nothing about the CA.
    pub fn is_same(&self, other: &K3sToken) -> bool {
        let one_ca = match (&self.ca_sha256, &other.ca_sha256) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        one_ca && self.kind == other.kind && self.credentials == other.credentials
    }
}

/// What stands behind `K10`: the hash of the CA, if there is one, and the credentials.
fn full(rest: &str) -> Result<(Option<&str>, &str), Invalid> {
    let Some((hash, credentials)) = rest.split_once("::") else { return Ok((None, rest)) };
    let is_hash = hash.len() == HASH_DIGITS
        && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match hash {
        "" => Ok((None, credentials)),
        hash if is_hash => Ok((Some(hash), credentials)),
        hash => Err(Invalid::new(
            format!(
                "the token begins with K10 and names no CA: {} characters before `::`, not {HASH_DIGITS} of 0-9 and a-f",
                hash.chars().count()
            ),
            "copy /var/lib/rancher/k3s/server/node-token from a server once more, as a whole; a password of your own must not begin with K10",
        )),
    }
}

/// `[a-z0-9]{6}.[a-z0-9]{16}`, as kubeadm's.
fn is_bootstrap(text: &str) -> bool {
    let is_word = |word: &str, length: usize| {
        word.len() == length && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
    };
    text.split_once('.').is_some_and(|(id, secret)| is_word(id, 6) && is_word(secret, 16))
}

impl fmt::Debug for K3sToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("K3sToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126";
    const PASSWORD: &str = "50d858e0985ecc7f60418aaf0cc5ab58";

    #[test]
    fn every_form_that_k3s_takes_is_taken() {
        use TokenKind::{Bootstrap, Password};
        let full = |credentials: &str| format!("K10{HASH}::{credentials}");
        for (text, ca, credentials, kind) in [
            (PASSWORD.to_owned(), None, PASSWORD, Password),
            (format!("{PASSWORD}\r\n"), None, PASSWORD, Password),
            ("abc+def/ghijklmnopqrstuv==".to_owned(), None, "abc+def/ghijklmnopqrstuv==", Password),
            ("with blanks: and, \"quotes\" ::".to_owned(), None, "with blanks: and, \"quotes\" ::", Password),
            (full(&format!("server:{PASSWORD}")), Some(HASH), PASSWORD, Password),
            (full(&format!("node:{PASSWORD}")), Some(HASH), PASSWORD, Password),
            (full(&format!(":{PASSWORD}")), Some(HASH), PASSWORD, Password),
            (format!("K10::server:{PASSWORD}"), None, PASSWORD, Password),
            (format!("K10server:{PASSWORD}"), None, PASSWORD, Password),
            ("abcdef.0123456789abcdef".to_owned(), None, "abcdef.0123456789abcdef", Bootstrap),
            (full("abcdef.0123456789abcdef"), Some(HASH), "abcdef.0123456789abcdef", Bootstrap),
            // No bootstrap token: its second part is too long.
            ("abcdef.0123456789abcdef0".to_owned(), None, "abcdef.0123456789abcdef0", Password),
        ] {
            let token = K3sToken::parse(&text).unwrap();
            assert_eq!(
                (token.ca_sha256(), token.credentials(), token.kind()),
                (ca, credentials, kind),
                "{text}"
            );
            assert_eq!(token.as_str(), text.trim());
        }
    }

    #[test]
    fn what_k3s_refuses_is_refused_and_never_shown() {
        for text in [
            "",
            "short-canary",
            "canary-in-two\nlines-of-a-file",
            "canary\u{1}canary-canary",
            "K10canarycanarycanary",
            "K10canary::server:canarycanarycanary",
            &format!("K10{}::server:canarycanarycanary", HASH.to_uppercase()),
            &format!("K10{HASH}::canarycanarycanary"),
            &format!("K10{HASH}::server:"),
        ] {
            let Invalid { message, help } = K3sToken::parse(text).unwrap_err();
            assert!(!message.contains("canary") && !help.contains("canary") && !help.is_empty(), "{message}");
        }
    }

    #[test]
    fn two_tokens_are_the_same_by_their_credentials_unless_both_name_a_ca() {
        let other_hash = HASH.replace('6', "7");
        let with = |hash: &str, user: &str| format!("K10{hash}::{user}:{PASSWORD}");
        for (one, other, same) in [
            (PASSWORD.to_owned(), PASSWORD.to_owned(), true),
            (PASSWORD.to_owned(), with(HASH, "server"), true),
            (PASSWORD.to_owned(), with(HASH, "node"), true),
            (with(HASH, "server"), with(HASH, "node"), true),
            (with(HASH, "server"), with(&other_hash, "server"), false),
            (PASSWORD.to_owned(), format!("{PASSWORD}0"), false),
        ] {
            let (one, other) = (K3sToken::parse(&one).unwrap(), K3sToken::parse(&other).unwrap());
            assert_eq!((one.is_same(&other), other.is_same(&one)), (same, same));
        }
    }
}
