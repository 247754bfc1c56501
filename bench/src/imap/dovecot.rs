//! The incumbent: Debian's Dovecot, IMAP over STARTTLS, any user, default fsync.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Mailstore;
use crate::postfix::{certificate, free_port, make, user, write};

/// Dovecot, running.
pub struct Dovecot {
    folder: PathBuf,
    tuned: bool,
    child: Option<Child>,
    address: SocketAddr,
}

impl Dovecot {
    /// `format` of its mailboxes; `tuned`: for logins only, with login processes that serve many connections, as its documentation
    /// advises for speed.
    pub fn start(base: &Path, format: &'static str, tuned: bool) -> Result<Self, String> {
        if !Path::new("/usr/sbin/dovecot").exists() || !Path::new("/usr/lib/dovecot/imap").exists() {
            return Err(
                "dovecot is missing: apt-get install dovecot-core dovecot-imapd; or measure with --only-ours".into()
            );
        }
        let folder = std::path::absolute(base.join(format!("dovecot-{format}{}", if tuned { "-tuned" } else { "" })));
        let folder = folder.map_err(|e| e.to_string())?;
        let _ = std::fs::remove_dir_all(&folder);
        let port = free_port()?;
        let mail = user("mail")?;
        make(&folder, 0o755, None)?;
        make(&folder.join("mail"), 0o700, Some(mail))?;
        let pem = certificate(&folder)?;
        let (base, pem, (uid, gid)) = (folder.display(), pem.display(), mail);
        let login = if tuned {
            "  service_count = 0\n  process_min_avail = 2\n  client_limit = 4000\n"
        } else {
            "  process_limit = 3000\n"
        };
        let text = format!(
            "protocols = imap\nbase_dir = {base}/run\nstate_dir = {base}/state\nlog_path = {base}/dovecot.log\nssl = required\nssl_cert = <{pem}\nssl_key = <{pem}\n\
             mail_location = {format}:{base}/mail/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 0\n\
             userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={base}/mail/%n\n}}\n\
             passdb {{\n  driver = static\n  args = nopassword=y\n}}\n\
             service imap-login {{\n{login}  inet_listener imap {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
             service imap {{\n  process_limit = 3000\n}}\nservice anvil {{\n  client_limit = 9000\n}}\nservice auth {{\n  client_limit = 9000\n}}\ndefault_client_limit = 9000\n"
        );
        write(&folder.join("dovecot.conf"), &text)?;
        let mut dovecot = Dovecot { folder, tuned, child: None, address: ([127, 0, 0, 1], port).into() };
        dovecot.begin()?;
        Ok(dovecot)
    }

    fn begin(&mut self) -> Result<(), String> {
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(self.folder.join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("dovecot: {e}"))?;
        self.child = Some(child);
        let start = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("Dovecot does not start, see {}/dovecot.log", self.folder.display()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn end(&mut self) {
        let _ = Command::new("/usr/bin/doveadm").arg("-c").arg(self.folder.join("dovecot.conf")).arg("stop").output();
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

impl Mailstore for Dovecot {
    fn name(&self) -> &'static str {
        if self.tuned { "Dovecot (tuned)" } else { "Dovecot" }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn login(&self, mailbox: usize) -> String {
        let plain = openssl::base64::encode_block(format!("\0bench{mailbox}\0x").as_bytes());
        format!("AUTHENTICATE PLAIN {plain}")
    }

    fn restart(&mut self) -> Result<(), String> {
        self.end();
        self.begin()
    }

    fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    fn only(&self) -> Option<&'static str> {
        self.tuned.then_some("logins")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.end();
    }
}
