//! Debian's PostgreSQL, in a folder of its own, as whoever PostgreSQL lets run it: never root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use desk::db::{Db, postgres::Settings};
use desk::error::Broken;
use patience::PATIENCE;

pub const PASSWORD: &str = "un mot de passe de base";
/// Root becomes this one: every Debian has it.
const NOBODY: u32 = 65534;

/// A server that runs.
pub struct Server {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql: ./test installs it");
    let mut found: Vec<PathBuf> = versions.flatten().map(|one| one.path().join("bin")).collect();
    found.sort();
    found.pop().expect("a version of it")
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn give(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("given");
    }
}

impl Server {
    pub async fn start() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        give(folder.path(), 0o755);
        std::fs::write(at("password"), PASSWORD).expect("written");
        give(&at("password"), 0o600);
        let made = command(&programs().join("initdb"))
            .current_dir(folder.path())
            .args([
                "-D",
                "data",
                "-U",
                "controle",
                "--auth=scram-sha-256",
                "--pwfile=password",
                "-E",
                "UTF8",
                "--no-sync",
            ])
            .status();
        assert!(made.expect("initdb").success());
        let subject = ["-subj", "/CN=essai", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "serveur.key", "-out", "serveur.pem"])
            .args(subject)
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl").success());
        give(&at("serveur.key"), 0o600);
        give(&at("serveur.pem"), 0o644);
        let port = patience::free_port();
        let mut server = Server { folder, port, child: None };
        server.run();
        server
    }

    /// Starts it, again when it was killed.
    pub fn run(&mut self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let options = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.folder.path().display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", at("serveur.pem")),
            format!("ssl_key_file={}", at("serveur.key")),
            // A process that is killed loses nothing by that; only a machine would.
            "fsync=off".to_owned(),
        ];
        let mut command = command(&programs().join("postgres"));
        command.args(["-D", &at("data")]).stderr(Stdio::null());
        for option in options {
            command.args(["-c", &option]);
        }
        self.child = Some(command.spawn().expect("postgres"));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("over");
        }
    }

    pub fn anchors(&self) -> PathBuf {
        self.folder.path().join("serveur.pem")
    }

    pub fn settings(&self, password: &str, anchors: Option<&Path>) -> Settings {
        let url = format!("postgres://controle@127.0.0.1:{}/postgres?sslmode=require", self.port);
        Settings::new(&url, Some(password), anchors).expect("an address")
    }

    /// Connects, as soon as it is up.
    pub async fn connect(&mut self) -> Db {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match Db::connect(self.settings(PASSWORD, Some(&self.anchors()))).await {
                Ok(db) => return db,
                Err(Broken::Away(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
            // Killed a moment ago, and its other processes still there: it does not start beside them.
            if self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some())) {
                self.run();
            }
        }
        panic!("PostgreSQL does not come up");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // At once, but with what it shares taken away.
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}
