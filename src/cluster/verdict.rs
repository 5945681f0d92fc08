//! One thing that was looked at in the living cluster, and what came of it.

use serde::Serialize;

use crate::report::Severity;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What kind of thing: `vip`, `tls-san`, `clock` …
    pub check: &'static str,
    /// Of whom: a host, an address, a name.
    pub subject: String,
    /// `None`: it is as it should be.
    pub severity: Option<Severity>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Verdict {
    pub fn fine(check: &'static str, subject: impl ToString, message: impl Into<String>) -> Verdict {
        Verdict { check, subject: subject.to_string(), severity: None, message: message.into(), help: None }
    }

    pub fn wrong(
        severity: Severity,
        check: &'static str,
        subject: impl ToString,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Verdict {
        let help = Some(help.into());
        Verdict { severity: Some(severity), help, ..Verdict::fine(check, subject, message) }
    }
}
