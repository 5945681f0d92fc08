//! Every way in which a server can fail is told apart, within the deadline.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pxe_serve::cluster::{Failure, San, Stage};
use pxe_serve::probe::api::{self, Answer};
use pxe_serve::probe::tls::{self, Client, Identity};
use rustls::pki_types::ServerName;

use crate::api::{A_YEAR, Api, BlackHole, Ca, Does, Issued};

/// Short where it is to run out, and long enough for a busy machine where it is not.
const SHORT: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn get(client: &Client, address: SocketAddr, limit: Duration) -> Result<Answer, Failure> {
    let name = ServerName::IpAddress(address.ip().into());
    block_on(api::get(client, address, name, "/readyz", limit)).and_then(Answer::ok)
}

fn identity(issued: &Issued) -> Identity {
    Identity { chain: issued.chain.clone(), key: issued.key.clone_key() }
}

fn client(ca: &Ca) -> Client {
    Client::that_trusts([ca.der()], Some(identity(&ca.issue(&[], A_YEAR)))).unwrap()
}

/// Any free port: what is shown depends on the address alone.
const HERE: &str = "127.0.0.1:0";

fn for_here(ca: &Ca) -> Issued {
    ca.issue(&["127.0.0.1".to_owned(), "::1".to_owned(), "k3s.lab.internal".to_owned()], A_YEAR)
}

#[test]
fn a_good_server_answers_a_client_of_its_ca() {
    let ca = Ca::new();
    for address in [HERE, "[::1]:0"] {
        let server = Api::start(address, &ca, &for_here(&ca), Does::AnswersClients);
        let answer = get(&client(&ca), server.address, LONG).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
        assert!(answer.date.is_some());
        assert!(server.seen()[0].with_certificate);
        // Without a certificate of its own it is told so.
        let stranger = Client::that_trusts([ca.der()], None).unwrap();
        assert_eq!(get(&stranger, server.address, LONG).unwrap_err(), Failure::Status(401));
    }
}

#[test]
fn a_server_is_asked_for_by_its_name_as_well() {
    let ca = Ca::new();
    let server = Api::start(HERE, &ca, &for_here(&ca), Does::Answers);
    let ask = |name: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        block_on(api::get(&client(&ca), server.address, name, "/version", LONG))
    };
    assert_eq!(ask("k3s.lab.internal").unwrap().status, 200);
    assert!(server.seen()[0].head.contains(&format!("host: k3s.lab.internal:{}\r\n", server.address.port())));
    assert_eq!(ask("other.lab.internal").unwrap_err(), Failure::NotForName);
}

#[test]
fn each_failure_is_told_apart() {
    let (ca, other) = (Ca::new(), Ca::new());
    let good = for_here(&ca);
    let here = ["127.0.0.1".to_owned()];
    let elsewhere = ca.issue(&["127.0.0.2".to_owned()], A_YEAR);
    let cases = [
        (Does::Status(500), &good, Failure::Status(500)),
        (Does::Status(401), &good, Failure::Status(401)),
        (Does::Answers, &elsewhere, Failure::NotForName),
        (Does::Answers, &ca.issue(&here, -20..-10), Failure::Expired),
        (Does::Answers, &ca.issue(&here, 1..10), Failure::NotYetValid),
        (Does::Answers, &other.issue(&here, A_YEAR), Failure::UnknownCa),
        (Does::Alerts, &good, Failure::Alert("HandshakeFailure".into())),
        (Does::Plain, &good, Failure::NotTls),
        (Does::Accepts, &good, Failure::TimedOut(Stage::Handshake)),
        (Does::Hangs, &good, Failure::TimedOut(Stage::Answer)),
    ];
    for (does, shows, expected) in cases {
        let server = Api::start(HERE, &ca, shows, does);
        let limit = if matches!(expected, Failure::TimedOut(_)) { SHORT } else { LONG };
        assert_eq!(get(&client(&ca), server.address, limit).unwrap_err(), expected);
    }
    let gone = Api::start(HERE, &ca, &good, Does::Answers).address;
    assert_eq!(get(&client(&ca), gone, LONG).unwrap_err(), Failure::Refused);
}

#[test]
fn a_client_certificate_that_the_server_refuses_is_an_alert_not_a_broken_connection() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = Api::start(HERE, &ca, &for_here(&ca), Does::RequiresCertificate);
    let stranger = Client::that_trusts([ca.der()], Some(identity(&other.issue(&[], A_YEAR)))).unwrap();
    let failure = get(&stranger, server.address, LONG).unwrap_err();
    assert!(matches!(failure, Failure::Alert(_)), "{failure:?}");
}

#[test]
fn a_black_hole_costs_no_more_than_the_limit() {
    let ca = Ca::new();
    let hole = BlackHole::start(HERE);
    let begin = Instant::now();
    assert_eq!(get(&client(&ca), hole.address, SHORT).unwrap_err(), Failure::TimedOut(Stage::Connect));
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < LONG);
}

#[test]
fn who_only_looks_sees_any_certificate_and_sends_none() {
    let ca = Ca::new();
    let expired =
        ca.issue(&["other.lab.internal".to_owned(), "10.0.0.1".to_owned(), "fd00::1".to_owned()], -9..-1);
    let server = Api::start(HERE, &ca, &expired, Does::Answers);
    let certificate = block_on(tls::look(server.address, LONG)).unwrap();
    assert_eq!(certificate.sans, ["other.lab.internal", "10.0.0.1", "fd00::1"].map(San::of));
    assert!(certificate.not_after < certificate.not_before + 9 * 86_400);
    assert_eq!(certificate.issuer, "CN=k3s-server-ca");
    // Also where the server would have liked one.
    let server = Api::start(HERE, &ca, &expired, Does::RequiresCertificate);
    assert!(block_on(tls::look(server.address, LONG)).is_ok());
    let server = Api::start(HERE, &ca, &expired, Does::Answers);
    assert!(get(&Client::that_only_looks(), server.address, LONG).is_ok());
    assert!(server.seen().iter().all(|seen| !seen.with_certificate && !seen.head.contains("uthorization")));
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_before_anything_is_sent() {
    let ca = Ca::new();
    let (one, two) = (ca.issue(&[], A_YEAR), ca.issue(&[], A_YEAR));
    let mixed = Identity { chain: one.chain.clone(), key: two.key.clone_key() };
    let error = Client::that_trusts([ca.der()], Some(mixed)).err().unwrap();
    assert!(error.message.contains("does not belong"), "{error}");
}
