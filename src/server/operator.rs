//! The operator's socket: `operator.sock` in the state folder, mode 0600. Who may open it is the operator.
//!
//! An address proves nothing on a machine where something forwards; the owner of a file does (unix(7)). It serves the same
//! routes as the network, so `curl --unix-socket` works. Connections to it have a limit of their own: whoever fills up
//! those of the network keeps no operator out.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::{UnixListener, UnixSocket};

use super::Error;
use super::state_dir::StateDir;

/// Its name in the state folder.
pub const OPERATOR_SOCKET: &str = "operator.sock";

const OWNER_ONLY: u32 = 0o600;

/// Connections that wait to be accepted; a person and some scripts.
const BACKLOG: u32 = 16;

/// `None` when the disk is full: machines that boot are served all the same.
pub fn bind(dir: &StateDir) -> Result<Option<UnixListener>, Error> {
    let path = dir.join(OPERATOR_SOCKET);
    match bind_at(&path) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            tracing::error!(path = %path.display(), %error, "cannot make the operator's socket: nobody can arm a host until there is space and a restart");
            Ok(None)
        }
        Err(source) => Err(Error::OperatorSocket { path, source }),
    }
}

/// What lies there is of a process that was killed: the lock of the folder is ours.
fn bind_at(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Before it listens, so that nobody else was ever connected, whatever the umask and the folder's mode.
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    socket.listen(BACKLOG)
}
