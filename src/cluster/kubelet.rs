//! The certificate of a server's kubelet, on port 10250: by it one sees that k3s was not restarted for months.

use std::net::IpAddr;

use crate::ids::HostName;
use crate::report::Severity;

use super::certificate::{Certificate, UnixSeconds};
use super::failure::Failure;
use super::kubeconfig::SOON_DAYS;
use super::verdict::Verdict;

/// What a server's kubelet shows.
#[derive(Debug, Clone)]
pub struct KubeletLook {
    pub host: HostName,
    pub address: IpAddr,
    pub certificate: Result<Certificate, Failure>,
}

/// Unlike that of port 6443 it is renewed only when k3s starts, and so are etcd's, which cannot be seen without a client
/// certificate.
pub fn kubelet(look: &KubeletLook, now: UnixSeconds) -> Verdict {
    let subject = format!("{} ({})", look.host, look.address);
    let wrong = |severity, message: String| {
        let help = "restart k3s there, one server after the other: what expires within 90 days (120 in newer releases) it renews at a start, etcd's certificates as well";
        Verdict::wrong(severity, "kubelet", &subject, message, help)
    };
    match &look.certificate {
        Ok(certificate) => match (certificate.not_after - now).div_euclid(86_400) {
            left if left < 0 => wrong(Severity::Error, "its certificate has expired".into()),
            left if left < SOON_DAYS => {
                wrong(Severity::Warning, format!("its certificate expires in {left} days"))
            }
            left => Verdict::fine("kubelet", subject, format!("its certificate is good for {left} days")),
        },
        Err(failure) => {
            let message = format!("its certificate cannot be seen from here: {failure}");
            let help = "look on the server: `k3s certificate check`";
            Verdict::wrong(Severity::Note, "kubelet", subject, message, help)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelets_certificate_is_wrong_when_it_ends_soon_and_only_noted_when_it_cannot_be_seen() {
        let now = 1_000_000_000;
        let severity = |seconds_left: Option<i64>| {
            let certificate = Certificate {
                subject: String::new(),
                issuer: String::new(),
                sans: Vec::new(),
                not_before: 0,
                not_after: now + seconds_left.unwrap_or_default(),
                sha256: String::new(),
            };
            let certificate = match seconds_left {
                Some(_) => Ok(certificate),
                None => Err(Failure::Broken("refused".into())),
            };
            let look = KubeletLook {
                host: "a".parse().unwrap(),
                address: "127.0.0.1".parse().unwrap(),
                certificate,
            };
            kubelet(&look, now).severity
        };
        let day = 86_400;
        assert_eq!(severity(Some(-1)), Some(Severity::Error));
        assert_eq!(severity(Some(29 * day)), Some(Severity::Warning));
        assert_eq!(severity(Some(30 * day)), None);
        assert_eq!(severity(None), Some(Severity::Note));
    }
}
