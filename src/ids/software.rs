//! What names software: versions, images, keys.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, text_newtype};

/// A k3s release such as `v1.37.0+k3s1`; ordered by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct K3sVersion {
    major: u32,
    minor: u32,
    patch: u32,
    k3s: u32,
}

impl K3sVersion {
    /// From these releases on, k3s leaves `anonymous-auth` to an `authentication-config` file if one is given
    /// (k3s 1.31.9, 1.32.5, 1.33.1), so `/readyz` can be open to an unauthenticated health check.
    pub fn has_authentication_config(&self) -> bool {
        match (self.major, self.minor) {
            (1, 31) => self.patch >= 9,
            (1, 32) => self.patch >= 5,
            (1, 33) => self.patch >= 1,
            other => other > (1, 33),
        }
    }

    /// From k3s 1.36.3 on (k3s pull requests 14280 and 14312, dynamiclistener 0.9) a wildcard of `tls-san` is put into the
    /// certificate; before, it is dropped, with a line in the log.
    pub fn shows_wildcards(&self) -> bool {
        (self.major, self.minor, self.patch) >= (1, 36, 3)
    }

    /// From Kubernetes 1.34 on AuthenticationConfiguration is stable (KEP-4633), as `v1`.
    pub fn has_stable_authentication_config(&self) -> bool {
        self.is_at_least_minor(34)
    }

    /// Whether it is of Kubernetes 1.`minor` or later.
    pub fn is_at_least_minor(&self, minor: u32) -> bool {
        (self.major, self.minor) >= (1, minor)
    }

    /// The `anonymous` field of an AuthenticationConfiguration is behind a feature gate that is off in Kubernetes 1.31.
    pub fn needs_anonymous_auth_gate(&self) -> bool {
        (self.major, self.minor) == (1, 31)
    }
}

impl FromStr for K3sVersion {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let (kubernetes, k3s) = text.strip_prefix('v')?.split_once("+k3s")?;
            let mut numbers = kubernetes.split('.').map(|part| part.parse().ok());
            let version = K3sVersion {
                major: numbers.next()??,
                minor: numbers.next()??,
                patch: numbers.next()??,
                k3s: k3s.parse().ok()?,
            };
            // "v1.032.5" reads as a number but is no release's name.
            (numbers.next().is_none() && version.to_string() == text).then_some(version)
        };
        parse().ok_or_else(|| {
            Invalid::new(
                format!("{text:?} is not a k3s release"),
                "write the release's full name, such as v1.37.0+k3s1, so that a reinstalled node gets the same one",
            )
        })
    }
}

impl fmt::Display for K3sVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}+k3s{}", self.major, self.minor, self.patch, self.k3s)
    }
}

text_newtype!(
    /// A container image with its registry: `docker.io/osixia/keepalived:2.0.20`, better with `@sha256:…`.
    ImageReference,
    |text| {
        let help = "name registry, repository and tag or digest, such as docker.io/osixia/keepalived:2.0.20";
        let bad = |why: &str| Invalid::new(format!("{text:?} {why}"), help);
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or("");
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                return Err(bad("has a bad digest"));
            }
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
        if name.len() > 255 || !name.bytes().all(good) || name.split('/').any(|part| part.is_empty() || part.starts_with(['.', '-'])) {
            return Err(bad("is not an image"));
        }
        // podman asks which registry a short name means; a unit at boot has nobody to ask.
        if !name.split_once('/').is_some_and(|(registry, _)| registry.contains(['.', ':']) || registry == "localhost") {
            return Err(bad("names no registry"));
        }
        let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
        if digest.is_none() && matches!(tag, None | Some("latest")) {
            return Err(Invalid::new(
                format!("{text:?} is whatever is newest on the day a node is installed"),
                "pin a tag, better a digest: osixia/keepalived:latest changed its config path and lost curl in 2026",
            ));
        }
        Ok(text.to_owned())
    }
);

impl ImageReference {
    /// Without registry digest: `docker.io/osixia/keepalived` and `2.0.20`, if a tag is there.
    pub fn repository_and_tag(&self) -> (&str, Option<&str>) {
        let name = self.as_str().split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        }
    }

    pub fn is_pinned_by_digest(&self) -> bool {
        self.as_str().contains('@')
    }
}

text_newtype!(
    /// An OpenSSH public key on one line, as in `authorized_keys`.
    SshPublicKey,
    |text| {
        let line = text.trim();
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or("");
        let blob = words.next().unwrap_or("");
        let known = ["ssh-ed25519", "ssh-rsa", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
        let good = (known.contains(&kind) || kind.starts_with("ecdsa-sha2-nistp"))
            && blob.starts_with("AAAA")
            && blob.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
            && !line.chars().any(char::is_control);
        if good {
            Ok(line.to_owned())
        } else {
            Err(Invalid::new(
                "this is not an OpenSSH public key",
                "paste the one line of a .pub file, such as `ssh-ed25519 AAAA… name`",
            ))
        }
    }
);

/// What Kubernetes takes in a label: `[A-Za-z0-9._-]`, 63 bytes at most, letters or digits at the ends.
fn label_word(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && end(text.as_bytes().first())
        && end(text.as_bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

text_newtype!(
    /// A label's key: a word, or a domain, a slash and a word.
    LabelKey,
    |text| {
        let good = match text.split_once('/') {
            Some((prefix, name)) => prefix.parse::<super::DnsName>().is_ok() && label_word(name),
            None => label_word(text),
        };
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a label's key"), "use letters, digits, `.`, `_` and `-`, as in gpu or example.com/gpu"))
        }
    }
);

text_newtype!(
    /// A label's value: a word, or nothing.
    LabelValue,
    |text| {
        if text.is_empty() || label_word(text) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a label's value"), "use at most 63 letters, digits, `.`, `_` and `-`"))
        }
    }
);

text_newtype!(
    /// The name of a k3s component that `disable:` may list, such as `traefik`.
    ComponentName,
    |text| {
        let good = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a k3s component"), "use names such as traefik, servicelb, local-storage"))
        }
    }
);
