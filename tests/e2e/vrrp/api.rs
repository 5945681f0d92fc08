//! The API server of a node: nothing but a status, over TLS.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use crate::namespace::{Namespace, Process};

/// What it answers; read anew for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Healthy,
    Status(u16),
    /// Takes the request and never answers.
    Hangs,
    /// Nobody listens.
    Refused,
}

const SERVER: &str = r"
import socket, ssl, sys, threading, time
folder, answer = sys.argv[1:]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(folder + '/cert', folder + '/key')
def serve(connection):
    try:
        connection.settimeout(10)
        connection = tls.wrap_socket(connection, server_side=True)
        connection.recv(4096)
        status = open(answer).read()
        if status == 'hang':
            time.sleep(10)
        connection.sendall(('HTTP/1.1 %s x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' % status).encode())
        connection.close()
    except OSError:
        pass
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', 6443))
listener.listen(64)
print('ready', flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

pub struct Api {
    tls_folder: PathBuf,
    answer_file: PathBuf,
    process: Option<Process>,
}

impl Api {
    /// `tls_folder` has the certificate; `folder` is the node's own.
    pub fn new(tls_folder: &Path, folder: &Path) -> Api {
        Api { tls_folder: tls_folder.to_owned(), answer_file: folder.join("answer"), process: None }
    }

    /// Makes the certificate that every API of a lab has.
    pub fn prepare(tls_folder: &Path) {
        std::fs::write(tls_folder.join("api.py"), SERVER).unwrap();
        let mut openssl = crate::tools::command("openssl");
        openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '));
        openssl.args("-subj /CN=k3s -keyout key -out cert".split(' ')).current_dir(tls_folder);
        let output = crate::tools::run(&openssl, std::time::Duration::from_secs(20));
        assert!(output.status.success(), "{}", crate::tools::said(&output));
    }

    pub fn answers(&mut self, answer: Answer, namespace: &Namespace) {
        let text = match answer {
            Answer::Healthy => "200".to_owned(),
            Answer::Status(status) => status.to_string(),
            Answer::Hangs => "hang".to_owned(),
            Answer::Refused => {
                self.process = None;
                return;
            }
        };
        // A rename, so that no request reads half of it.
        let new = self.answer_file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.answer_file).unwrap();
        if self.process.is_none() {
            // A shim of a version manager takes its time.
            let debian = "/usr/bin/python3";
            let python = if Path::new(debian).exists() { debian } else { "python3" };
            let mut server = namespace.command(python);
            server.arg(self.tls_folder.join("api.py")).arg(&self.tls_folder).arg(&self.answer_file);
            let (process, mut output) = Process::piped(&mut server);
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            self.process = Some(process);
        }
    }
}
