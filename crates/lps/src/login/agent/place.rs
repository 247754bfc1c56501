//! Where the socket is, and whose.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::AgentError;

/// Longest path of a Unix socket (`sun_path`, with its final zero).
const MAX_PATH: usize = 107;
/// The socket's name in its folder.
const SOCKET: &str = "agent.sock";
/// Held by the agent while it runs.
const LOCK: &str = "agent.lock";

/// Where the agent of this user is unless told otherwise: `$XDG_RUNTIME_DIR/vaguemestre/agent.sock`, which the system empties when the user
/// logs out, else `/tmp/vaguemestre-UID/agent.sock`.
#[must_use]
pub fn default_socket() -> PathBuf {
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir());
    match runtime {
        Some(runtime) => runtime.join("vaguemestre"),
        None => PathBuf::from(format!("/tmp/vaguemestre-{}", own_uid())),
    }
    .join(SOCKET)
}

/// The user this process acts for.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> AgentError + use<> {
    let path = path.to_owned();
    move |source| AgentError::Io { path: path.clone(), source }
}

/// The folder of a socket, which must be this user's alone.
fn folder(socket: &Path) -> Result<&Path, AgentError> {
    let bad = || AgentError::BadPath { path: socket.to_owned() };
    if socket.as_os_str().len() > MAX_PATH || !socket.is_absolute() || socket.file_name().is_none() {
        return Err(bad());
    }
    socket.parent().ok_or_else(bad)
}

/// Refuses a folder that others may enter, that is somebody else's, or that is a link.
fn check(folder: &Path) -> Result<(), AgentError> {
    let found = std::fs::symlink_metadata(folder).map_err(io(folder))?;
    if found.is_dir() && found.uid() == own_uid() && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(AgentError::Insecure { path: folder.to_owned() })
    }
}

/// Refuses whoever is at the other end unless it is this user.
pub(super) fn check_peer(stream: &UnixStream, socket: &Path) -> Result<(), AgentError> {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own_uid() => Ok(()),
        Ok(_) => Err(AgentError::Insecure { path: socket.to_owned() }),
        Err(error) => Err(io(socket)(error)),
    }
}

/// The place an agent listens at, free again when dropped.
pub(super) struct Place {
    pub listener: UnixListener,
    socket: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the place. The folder is made when missing.
    pub fn take(socket: &Path) -> Result<Place, AgentError> {
        let folder = folder(socket)?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(folder)(error)),
            _ => check(folder)?,
        }
        let path = folder.join(LOCK);
        let lock =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AgentError::Running),
            Err(TryLockError::Error(error)) => return Err(io(&path)(error)),
        }
        // Whoever held the lock before is gone: a socket that is still there is theirs, and dead.
        match std::fs::symlink_metadata(socket) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(socket).map_err(io(socket))?,
            Ok(_) => return Err(AgentError::BadPath { path: socket.to_owned() }),
            Err(_) => {}
        }
        // The folder keeps others out between these two lines.
        let listener = UnixListener::bind(socket).map_err(io(socket))?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(io(socket))?;
        Ok(Place { listener, socket: socket.to_owned(), _lock: lock })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // At worst a dead socket stays, which the next agent removes.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Connects to the agent of this user.
pub(super) async fn connect(socket: &Path) -> Result<UnixStream, AgentError> {
    let folder = folder(socket)?;
    if !folder.exists() {
        return Err(AgentError::NotRunning);
    }
    check(folder)?;
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => AgentError::NotRunning,
        _ => io(socket)(error),
    })?;
    check_peer(&stream, socket)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_folder_of_ones_own_will_do() {
        let temporary = tempfile::tempdir().expect("a folder");
        let open = temporary.path().join("open");
        std::fs::create_dir(&open).expect("made");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("set");
        let socket = open.join("agent.sock");
        assert!(matches!(Place::take(&socket), Err(AgentError::Insecure { .. })));
        assert!(matches!(connect(&socket).await, Err(AgentError::Insecure { .. })));

        let real = temporary.path().join("real");
        std::fs::create_dir(&real).expect("made");
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o700)).expect("set");
        let link = temporary.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("made");
        assert!(matches!(Place::take(&link.join("agent.sock")), Err(AgentError::Insecure { .. })));
        assert!(matches!(Place::take(Path::new("agent.sock")), Err(AgentError::BadPath { .. })));
        let long = temporary.path().join("x".repeat(120)).join("agent.sock");
        assert!(matches!(Place::take(&long), Err(AgentError::BadPath { .. })));
        // Something else than a socket is not removed.
        let file = real.join("agent.sock");
        std::fs::write(&file, "mine").expect("written");
        assert!(matches!(Place::take(&file), Err(AgentError::BadPath { .. })));
        assert_eq!(std::fs::read_to_string(&file).expect("still there"), "mine");
    }

    #[tokio::test]
    async fn one_agent_at_a_time() {
        let temporary = tempfile::tempdir().expect("a folder");
        let socket = temporary.path().join("made/agent.sock");
        assert!(matches!(connect(&socket).await, Err(AgentError::NotRunning)));
        let place = Place::take(&socket).expect("free");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(socket.parent().expect("a folder")), mode(&socket)), (0o700, 0o600));
        assert!(matches!(Place::take(&socket), Err(AgentError::Running)));
        connect(&socket).await.expect("connected");
        drop(place);
        assert!(matches!(connect(&socket).await, Err(AgentError::NotRunning)));
        // One that was killed leaves its socket.
        let dead = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        drop(dead);
        assert!(matches!(connect(&socket).await, Err(AgentError::NotRunning)));
        Place::take(&socket).expect("free");
    }
}
