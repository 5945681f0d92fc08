//! A TLS connection, and the certificate that is really shown on it.
//!
//! A [`Client`] either trusts one CA, and may then have a certificate of its own, or looks only: that one accepts every
//! certificate and has none to send. No third kind can be made.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cluster::{ANEW, Access, Certificate, Failure, Stage};
use crate::ids::Invalid;

/// Whom it trusts, and as whom it comes.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

/// A client certificate, its chain and its key; `Debug` of the key shows nothing.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Client {
    /// Looks at whoever answers, and says nothing about itself.
    pub fn that_only_looks() -> Client {
        let provider = provider();
        let verifier = Arc::new(Looks(provider.clone()));
        let builder = builder(provider).dangerous().with_custom_certificate_verifier(verifier);
        Client(Arc::new(builder.with_no_client_auth()))
    }

    /// As whom and with whom a kubeconfig says.
    pub fn with(access: &Access) -> Result<Client, Invalid> {
        let bad = |what: &str, error| Invalid::new(format!("{what} is not good PEM: {error}"), ANEW);
        let certificates = |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let cas = certificates(&access.cas).map_err(|error| bad("the CA's certificate", error))?;
        let chain = certificates(&access.chain).map_err(|error| bad("the client's certificate", error))?;
        // Not the error: it may quote what stands in the place of a key.
        let key = PrivateKeyDer::from_pem_slice(&access.key)
            .map_err(|_| Invalid::new("there is no private key in client-key-data", ANEW))?;
        Client::that_trusts(cas, Some(Identity { chain, key }))
    }

    /// Trusts the CAs alone.
    pub fn that_trusts(
        cas: impl IntoIterator<Item = CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<Client, Invalid> {
        let mut roots = RootCertStore::empty();
        for ca in cas {
            let bad = |error| Invalid::new(format!("the CA's certificate is not good: {error}"), ANEW);
            roots.add(ca).map_err(bad)?;
        }
        if roots.is_empty() {
            return Err(Invalid::new("there is no CA's certificate", ANEW));
        }
        let builder = builder(provider()).with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        Invalid::new("the client's key does not belong to its certificate", ANEW)
                    }
                    error => {
                        Invalid::new(format!("the client's certificate or key is not good: {error}"), ANEW)
                    }
                })?
            }
        };
        Ok(Client(Arc::new(config)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions.expect("ring does both versions of TLS")
}

/// Connects and shakes hands. `name` is what the certificate must be for; an address sends no SNI.
pub async fn connect(
    client: &Client,
    address: SocketAddr,
    name: ServerName<'static>,
    deadline: Instant,
) -> Result<TlsStream<TcpStream>, Failure> {
    let timed_out = |stage| move |_| Failure::TimedOut(stage);
    let connecting = timeout_at(deadline, TcpStream::connect(address)).await;
    let tcp = connecting.map_err(timed_out(Stage::Connect))?.map_err(|error| not_connected(&error))?;
    let handshake = TlsConnector::from(client.0.clone()).connect(name, tcp);
    let handshake = timeout_at(deadline, handshake).await.map_err(timed_out(Stage::Handshake))?;
    handshake.map_err(|error| not_secured(&error))
}

/// The certificate that the server showed.
pub fn shown(stream: &TlsStream<TcpStream>) -> Result<Certificate, Failure> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let first = certificates.first().map_or(&[][..], |first| first.as_ref());
    Certificate::parse(first).map_err(|error| Failure::BadCertificate(error.message))
}

/// What a server shows to anybody who asks.
pub async fn look(address: SocketAddr, limit: Duration) -> Result<Certificate, Failure> {
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connect(&Client::that_only_looks(), address, name, Instant::now() + limit).await?;
    shown(&stream)
}

pub(super) fn not_connected(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        // The kernel's own patience, where it ends before ours.
        io::ErrorKind::TimedOut => Failure::TimedOut(Stage::Connect),
        _ => Failure::Unreachable(error.to_string()),
    }
}

/// What an error on a connection means once there is TLS.
pub(super) fn not_secured(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => tls_failure(error),
        None => Failure::Broken(error.to_string()),
    }
}

fn tls_failure(error: &rustls::Error) -> Failure {
    use CertificateError as Bad;
    match error {
        rustls::Error::AlertReceived(alert) => Failure::Alert(format!("{alert:?}")),
        rustls::Error::InvalidMessage(_) => Failure::NotTls,
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::NotForName,
            Bad::Expired | Bad::ExpiredContext { .. } => Failure::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => Failure::NotYetValid,
            // A CA that was made anew has the old one's name, and then only the signature is wrong.
            Bad::UnknownIssuer | Bad::BadSignature => Failure::UnknownCa,
            other => Failure::BadCertificate(other.to_string()),
        },
        other => Failure::Broken(other.to_string()),
    }
}

/// Accepts whoever proves to have the key of the certificate shown.
#[derive(Debug)]
struct Looks(Arc<CryptoProvider>);

impl ServerCertVerifier for Looks {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
