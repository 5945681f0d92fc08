//! A certificate as a server shows it: for whom, from whom, until when.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::catalogue::Sha256;
use crate::ids::Invalid;

/// Seconds since 1970, as certificates and HTTP have dates.
pub type UnixSeconds = i64;

/// A name or an address that a certificate is for. Names are compared in lower case, addresses by value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum San {
    Name(String),
    Address(IpAddr),
}

impl San {
    /// As `tls-san` has it: what reads as an address is one.
    pub fn of(text: &str) -> San {
        match text.parse() {
            Ok(address) => San::Address(address),
            Err(_) => San::Name(text.to_ascii_lowercase()),
        }
    }

    /// A wildcard stands for one label (RFC 6125 §6.4.3).
    fn covers(&self, other: &San) -> bool {
        match (self, other) {
            (San::Name(own), San::Name(name)) if own.starts_with("*.") => {
                name.split_once('.').is_some_and(|(_, rest)| rest == &own[2..])
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            San::Name(name) => name.fmt(f),
            San::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for San {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is known of a certificate; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// Sorted, each once.
    pub sans: Vec<San>,
    pub not_before: UnixSeconds,
    pub not_after: UnixSeconds,
    /// Of the whole certificate: two servers that show the same one have the same fingerprint.
    pub sha256: String,
}

impl Certificate {
    pub fn parse(der: &[u8]) -> Result<Certificate, Invalid> {
        let broken = |why: String| {
            let help = "look at what `openssl x509 -noout -text` says about it";
            Invalid::new(format!("this is no certificate: {why}"), help)
        };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| broken(error.to_string()))?;
        let names = parsed.subject_alternative_name().map_err(|error| broken(error.to_string()))?;
        let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
        let mut sans: Vec<San> = names.filter_map(san).collect();
        sans.sort();
        sans.dedup();
        Ok(Certificate {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            sans,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            sha256: Sha256::of(der).to_string(),
        })
    }
}

impl Certificate {
    /// Those of `demanded` that it is not for.
    pub fn lacks(&self, demanded: &[String]) -> Vec<San> {
        let demanded = demanded.iter().map(|name| San::of(name));
        demanded.filter(|san| !self.sans.iter().any(|shown| shown.covers(san))).collect()
    }
}

/// Mail addresses and the like are for nobody who asks for an API.
fn san(name: &GeneralName<'_>) -> Option<San> {
    match name {
        GeneralName::DNSName(name) => Some(San::Name(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(San::Address(IpAddr::from([a, b, c, d]))),
            ref bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| San::Address(IpAddr::from(bytes))),
        },
        _ => None,
    }
}
