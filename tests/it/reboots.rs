//! Three servers that want to reboot, a pxe-serve that is killed meanwhile, and API servers that it asks over TLS.

use std::net::SocketAddr;
use std::time::Duration;

use pxe_serve::load::Sources;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::api::Does;
use crate::api::lab::{LENOVOS, Lab};
use crate::serving::{Served, operator};

/// A guard against hanging: the server waits 5 s for the API servers.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    lab: Lab,
    sources: Sources,
    runtime: Runtime,
}

impl Cluster {
    fn new() -> Cluster {
        let lab = Lab::whole();
        std::fs::create_dir(lab.path("secrets")).unwrap();
        for name in ["secrets/k3s-token", "secrets/keepalived-auth-pass"] {
            std::fs::copy(name, lab.path(name)).unwrap();
        }
        let sources = Sources { inventory: lab.path("inventory.yaml"), templates: None, static_dir: None };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Cluster { lab, sources, runtime }
    }

    fn serve(&self) -> Served {
        let state = self.lab.path("state");
        Served::start(&self.sources, &["--state-dir", state.to_str().unwrap()])
    }

    /// As Zincati asks, from the host's own address; `None` where the connection ends without an answer.
    async fn says(&self, host: u8, server: SocketAddr, path: &str) -> Option<(u16, String)> {
        let asks = async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(self.lab.address(host).parse().unwrap(), 0)).unwrap();
            let mut stream = socket.connect(server).await.ok()?;
            let body = format!(r#"{{"client_params":{{"id":"id-{host}","group":"control-plane"}}}}"#);
            let head = format!("POST {path} HTTP/1.1\r\nHost: {server}\r\nfleet-lock-protocol: true\r\n");
            let text = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            let (head, body) = answer.split_once("\r\n\r\n")?;
            Some((head.split(' ').nth(1)?.parse().unwrap(), body.to_owned()))
        };
        tokio::time::timeout(PATIENCE, asks).await.expect("an answer in time")
    }

    /// Who of the three is told that it may.
    async fn all_ask(&self, server: SocketAddr) -> Vec<u8> {
        let ask = |host| self.says(host, server, "/v1/pre-reboot");
        let answers = tokio::join!(ask(LENOVOS[0]), ask(LENOVOS[1]), ask(LENOVOS[2]));
        let answers = [answers.0, answers.1, answers.2];
        let may = |answer: &Option<(u16, String)>| answer.as_ref().is_some_and(|(status, _)| *status == 200);
        LENOVOS.into_iter().zip(answers).filter(|(_, answer)| may(answer)).map(|(host, _)| host).collect()
    }
}

#[test]
fn whenever_the_server_is_killed_the_same_one_of_three_may_reboot_afterwards() {
    let cluster = Cluster::new();
    for killed_after in [1, 3, 6, 10, 20, 100] {
        let mut server = cluster.serve();
        let address = server.address;
        let told = cluster.runtime.block_on(async {
            let killed = async {
                tokio::time::sleep(Duration::from_millis(killed_after)).await;
                server.kill();
            };
            tokio::join!(cluster.all_ask(address), killed).0
        });
        assert!(told.len() <= 1, "{told:?} after {killed_after} ms");
        let server = cluster.serve();
        let may = cluster.runtime.block_on(cluster.all_ask(server.address));
        let [holder] = may[..] else { panic!("{may:?} after {killed_after} ms") };
        assert!(told.iter().all(|host| *host == holder), "{told:?}, then {holder}, after {killed_after} ms");
        let back = cluster.runtime.block_on(cluster.says(holder, server.address, "/v1/steady-state"));
        assert_eq!(back.unwrap().0, 200);
    }
}

#[test]
fn a_server_that_does_not_answer_counts_as_down_and_an_operator_sees_and_ends_a_lock() {
    let mut cluster = Cluster::new();
    let (server, state) = (cluster.serve(), cluster.lab.path("state"));
    cluster.lab.stop(7);
    let asked = cluster.says(5, server.address, "/v1/pre-reboot");
    let (status, body) = cluster.runtime.block_on(asked).unwrap();
    assert_eq!(status, 409);
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["kind"], "no_majority");
    assert_eq!(
        error["value"],
        "of the other 2 servers 2 must be ready, and lenovo3 is not: connection refused"
    );
    assert!(!operator(&state, &["hosts"]).contains("reboot lock"));

    cluster.lab.start(7, Does::Answers);
    assert_eq!(cluster.runtime.block_on(cluster.all_ask(server.address)).len(), 1);
    let hosts = operator(&state, &["hosts"]);
    let line = hosts.lines().find(|line| line.contains(" holds the reboot lock since ")).expect(&hosts);
    let holder = line.split(' ').next().unwrap();
    assert_eq!(operator(&state, &["unlock", holder]), format!("{holder} holds the reboot lock no more\n"));
    assert!(!operator(&state, &["hosts"]).contains("holds the reboot lock"));
}
