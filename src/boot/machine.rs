//! What a machine says about itself in the URL it asks for, read so that nothing it says can break anything.
//!
//! A field that is no fact is left out, the others stay: builds of iPXE write a byte above 0x7F of a serial number as
//! `%FFFFFFC3`, and vendors leave placeholders in the firmware.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::ids::{HostName, MacAddr, MachineUuid, Serial};

/// Something that an inventory may know a host by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Mac(MacAddr),
    Uuid(MachineUuid),
    Serial(Serial),
    /// Without its domain: that comes from whoever runs DHCP, and OpenWRT says `lan` unless told otherwise.
    Hostname(HostName),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    pub facts: Vec<Fact>,
    /// `x86_64`, `i386`, `arm64`: what iPXE was built for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buildarch: Option<String>,
    /// `efi` or `pcbios`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform: Option<String>,
}

/// A machine has some cards; what goes on for longer is a flood.
const FACTS_MAX: usize = 16;

/// Serial numbers and UUIDs that are the same on thousands of machines, in lower case.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "chassis serial number",
    "base board serial number",
    "not specified",
    "not applicable",
    "not available",
    "n/a",
    "none",
    "null",
    "unknown",
    "invalid",
    "empty",
    "oem",
    "o.e.m.",
    "123456789",
    "0123456789",
    "1234567890",
    // American Megatrends' sample value, in both byte orders.
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
];

/// Also `00000000`, `ffffffff-ffff-…` and `........`: one character for the whole of it.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut characters = lower.chars().filter(|c| !"- ".contains(*c));
    let first = characters.next();
    PLACEHOLDERS.contains(&lower.as_str()) || characters.all(|character| Some(character) == first)
}

impl Machine {
    /// From `name`, a MAC or host name out of the path, and a query; both as they stand in the URL.
    pub fn parse(name: Option<&str>, query: Option<&str>) -> Machine {
        let mut machine = Machine::default();
        if let Some(name) = name.and_then(decoded) {
            machine.add(name.parse().map(Fact::Mac).ok().or_else(|| hostname(&name)));
        }
        for field in query.unwrap_or_default().split('&') {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let Some(value) = decoded(value) else { continue };
            match key {
                "mac" => machine.add(value.parse().map(Fact::Mac).ok()),
                "uuid" => machine.add(uuid(&value)),
                "serial" => machine.add(serial(&value)),
                "hostname" => machine.add(hostname(&value)),
                "buildarch" => machine.buildarch = word(&value),
                "platform" => machine.platform = word(&value),
                _ => {}
            }
        }
        machine
    }

    fn add(&mut self, fact: Option<Fact>) {
        if let Some(fact) = fact.filter(|fact| !self.facts.contains(fact) && self.facts.len() < FACTS_MAX) {
            self.facts.push(fact);
        }
    }
}

/// A plus stays a plus (RFC 3986; only forms write blanks so): serial numbers may hold one.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn uuid(text: &str) -> Option<Fact> {
    text.parse().ok().map(Fact::Uuid).filter(|_| !is_placeholder(text))
}

fn serial(text: &str) -> Option<Fact> {
    text.parse().ok().map(Fact::Serial).filter(|_| !is_placeholder(text))
}

fn hostname(text: &str) -> Option<Fact> {
    let lower = text.to_ascii_lowercase();
    let short = lower.split('.').next()?;
    // What a live system calls itself until it is told better.
    (short != "localhost").then(|| short.parse().ok().map(Fact::Hostname)).flatten()
}

/// Shown to people only.
fn word(text: &str) -> Option<String> {
    let good =
        text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    good.then(|| text.to_owned())
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Mac(mac) => write!(f, "MAC {mac}"),
            Fact::Uuid(uuid) => write!(f, "UUID {uuid}"),
            Fact::Serial(serial) => write!(f, "serial number {serial}"),
            Fact::Hostname(name) => write!(f, "host name {name}"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts: Vec<String> = self.facts.iter().map(ToString::to_string).collect();
        f.write_str(if facts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&facts.join(", "))
    }
}
