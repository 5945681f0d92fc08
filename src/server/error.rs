//! Why the server could not start. Once it runs, nothing ends it but a signal.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {source}; {}", bind_help(source.kind(), address))]
    Bind { address: SocketAddr, source: io::Error },
    #[error("cannot use {} as --state-dir: {source}", path.display())]
    StateDir { path: PathBuf, source: io::Error },
    #[error("--state-dir {} is in use by another pxe-serve; give each its own", path.display())]
    StateDirInUse { path: PathBuf },
    #[error("cannot make the operator's socket {}: {source}; --state-dir needs a folder on a file system with unix sockets (not FAT), and its path at most 93 bytes (unix(7))", path.display())]
    OperatorSocket { path: PathBuf, source: io::Error },
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

fn bind_help(kind: io::ErrorKind, address: &SocketAddr) -> String {
    match kind {
        io::ErrorKind::PermissionDenied => {
            format!("port {} needs root or CAP_NET_BIND_SERVICE, 8080 does not", address.port())
        }
        io::ErrorKind::AddrInUse => "something listens there already (`ss -ltnp` shows what)".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address (`ip address` shows them)".to_owned()
        }
        _ => "choose another with --listen".to_owned(),
    }
}
