//! A kubeconfig as text: taking a cluster's access out of one, and writing one.
//!
//! It holds private keys. So no finding draws a line of it, no message quotes it, and `Debug` shows nothing of a key.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::document::Document;
use crate::ids::Invalid;
use crate::report::Report;

use super::certificate::{Certificate, UnixSeconds};

/// What lets one into a cluster: whom to trust, and as whom to come. Certificates and key are PEM.
#[derive(Clone)]
pub struct Access {
    pub cas: Vec<u8>,
    pub chain: Vec<u8>,
    pub key: Vec<u8>,
    /// The client's own certificate, the first of the chain.
    pub client: Certificate,
    authorities: Vec<Certificate>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({}, …)", self.client.subject)
    }
}

/// The remedy for whatever is wrong with it.
pub const ANEW: &str = "fetch /etc/rancher/k3s/k3s.yaml from a server anew";
const DAY: UnixSeconds = 86_400;
/// k3s renews client certificates, the kubelet's and etcd's, when they expire within 90 days (120 since 2025), but only when
/// it starts: what has less than this was not restarted for months. What port 6443 shows it renews while it runs.
pub const SOON_DAYS: UnixSeconds = 30;

impl Access {
    /// The cluster and the user of the current context, or of the only one.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Access, Invalid> {
        let (config, _) = parse(file, bytes)?;
        let invalid = |message: String| Invalid::new(format!("{file} {message}"), ANEW);
        let contexts = config["contexts"].as_array().map_or(&[][..], Vec::as_slice);
        let context = match (config["current-context"].as_str().filter(|name| !name.is_empty()), contexts) {
            (Some(name), _) => named(&config, "contexts", name)
                .ok_or_else(|| invalid(format!("has no context {name:?}, which is its current one")))?,
            (None, [only]) => only,
            (None, []) => return Err(invalid("has no context: is it a kubeconfig?".into())),
            (None, _) => {
                let help = "choose one with `kubectl config use-context NAME`";
                return Err(Invalid::new(format!("{file} has several contexts, and none is current"), help));
            }
        };
        let part = |section: &str, kind: &str| {
            let name = context["context"][kind].as_str().unwrap_or_default();
            let entry = named(&config, section, name);
            entry.map(|entry| &entry[kind]).ok_or_else(|| invalid(format!("has no {kind} {name:?}")))
        };
        let (cluster, user) = (part("clusters", "cluster")?, part("users", "user")?);
        let data = |map: &Value, key: &str| {
            let missing = || {
                let help = "k3s' own /etc/rancher/k3s/k3s.yaml holds everything; of others `kubectl config view --raw --flatten --minify` does";
                Invalid::new(format!("{file} has no {key}"), help)
            };
            let text = map[key].as_str().ok_or_else(missing)?;
            BASE64.decode(text.trim()).map_err(|_| invalid(format!("has a {key} that is not base64")))
        };
        let cas = data(cluster, "certificate-authority-data")?;
        let chain = data(user, "client-certificate-data")?;
        let key = data(user, "client-key-data")?;
        let authorities = certificates(&cas, "certificate-authority-data")?;
        let client = certificates(&chain, "client-certificate-data")?.swap_remove(0);
        Ok(Access { cas, chain, key, client, authorities })
    }

    /// Nothing to do with a certificate that is out of date; a word about one that soon will be.
    pub fn check_dates(&self, now: UnixSeconds) -> Result<Option<Invalid>, Invalid> {
        // Of several CAs one that is good suffices.
        let ca = self.authorities.iter().max_by_key(|ca| ca.not_after);
        let all = [("the client's certificate", Some(&self.client)), ("the CA's certificate", ca)];
        let mut soon = None;
        for (whose, certificate) in all.into_iter().filter_map(|(whose, found)| Some((whose, found?))) {
            let left = certificate.not_after - now;
            if left <= 0 {
                return Err(Invalid::new(format!("{whose} has expired"), ANEW));
            }
            if certificate.not_before > now {
                let help = "compare the clocks of this machine and of the server that made it";
                return Err(Invalid::new(format!("{whose} is not valid yet"), help));
            }
            if left < SOON_DAYS * DAY {
                let help = "restart k3s on a server, which renews it, and fetch k3s.yaml anew";
                soon = Some(Invalid::new(format!("{whose} expires in {} days", left / DAY), help));
            }
        }
        Ok(soon)
    }

    /// The entry of each section that makes up `name`.
    pub(super) fn entries(&self, name: &str, server: &str) -> [Entry; 3] {
        [
            Entry {
                section: "clusters",
                kind: "cluster",
                fields: vec![
                    ("certificate-authority-data", BASE64.encode(&self.cas)),
                    ("server", server.to_owned()),
                ],
            },
            Entry {
                section: "contexts",
                kind: "context",
                fields: vec![("cluster", name.to_owned()), ("user", name.to_owned())],
            },
            Entry {
                section: "users",
                kind: "user",
                fields: vec![
                    ("client-certificate-data", BASE64.encode(&self.chain)),
                    ("client-key-data", BASE64.encode(&self.key)),
                ],
            },
        ]
    }

    /// A whole kubeconfig for this cluster alone.
    pub fn kubeconfig(&self, name: &str, server: &str) -> String {
        let mut text = format!("apiVersion: v1\nkind: Config\ncurrent-context: {}\n", scalar(name));
        for entry in self.entries(name, server) {
            text.push_str(&format!("{}:\n{}", entry.section, entry.item(name, "")));
        }
        text
    }

    /// Whether a cluster of a kubeconfig is this one: it trusts one of the same CAs. k3s keeps the old one in the bundle
    /// while it is replaced.
    pub(super) fn is_of(&self, cluster: &Value) -> bool {
        let key = "certificate-authority-data";
        let theirs = cluster[key].as_str().and_then(|text| BASE64.decode(text.trim()).ok());
        let theirs = theirs.and_then(|pem| certificates(&pem, key).ok()).unwrap_or_default();
        theirs.iter().any(|theirs| self.authorities.contains(theirs))
    }
}

/// One named entry of `clusters`, `contexts` or `users`.
pub(super) struct Entry {
    pub section: &'static str,
    pub kind: &'static str,
    pub fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// As an item of a block list.
    pub fn item(&self, name: &str, indent: &str) -> String {
        let mut text = format!("{indent}- name: {}\n{indent}  {}:\n", scalar(name), self.kind);
        for (key, value) in &self.fields {
            text.push_str(&format!("{indent}    {key}: {}\n", scalar(value)));
        }
        text
    }

    pub fn value(&self, name: &str) -> Value {
        let fields = self.fields.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
        json!({ "name": name, self.kind: Value::Object(fields.collect()) })
    }
}

/// Plain where YAML surely reads it as that text, else quoted as in JSON, which is YAML.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./:=+-_[]".contains(&byte))
        && !text.ends_with(':')
        && text.contains(['.', '/', '=', '-']);
    if plain { text.to_owned() } else { json!(text).to_string() }
}

/// As data, and as a tree with places. What is wrong is said without the text, which may hold a key.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Value, Option<Document>), Invalid> {
    let report = RefCell::new(Report::new());
    let document = Document::parse(file, bytes, &report);
    let report = report.into_inner();
    match document {
        Some(document) => Ok((document.root.to_json(), Some(document))),
        // An empty file is a kubeconfig with nothing in it.
        None if bytes.iter().all(u8::is_ascii_whitespace) => Ok((Value::Null, None)),
        None => {
            let place = report.findings().iter().find_map(|finding| finding.place.as_ref());
            let line = place.map(|place| format!(", line {}", place.line)).unwrap_or_default();
            Err(Invalid::new(
                format!("{file} is not one YAML document{line}"),
                "mend it there, or write it anew with `(umask 077; kubectl --kubeconfig FILE config view --raw >NEW)`",
            ))
        }
    }
}

/// The item of a section that has this name.
pub(super) fn named<'c>(config: &'c Value, section: &str, name: &str) -> Option<&'c Value> {
    config[section].as_array()?.iter().find(|item| item["name"] == name)
}

/// At least one.
fn certificates(pem: &[u8], key: &str) -> Result<Vec<Certificate>, Invalid> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(pem);
    let certificates = blocks.filter_map(Result::ok).filter(|block| block.label == "CERTIFICATE");
    let certificates = certificates.map(|block| Certificate::parse(&block.contents));
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(Invalid::new(format!("there is no certificate in {key}"), ANEW));
    }
    Ok(certificates)
}
