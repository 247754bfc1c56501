//! Debian's Dovecot under a certificate of the sandbox, so that our client takes it for an operator: XOAUTH2 with any token for us, PLAIN
//! with any password for others, a Maildir that is filled from outside.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postfix::{free_port, make, user, write};

/// The user.
pub const USER: &str = "bench0";

/// Dovecot, running.
pub struct Dovecot {
    folder: PathBuf,
    child: Child,
    /// STARTTLS.
    pub port: u16,
}

impl Dovecot {
    /// With that certificate and key; `fill` puts messages into the Maildir's `cur`.
    pub fn start(
        base: &Path,
        certificate: &Path,
        key: &Path,
        fill: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<Self, String> {
        if !Path::new("/usr/lib/dovecot/imap").exists() {
            return Err("dovecot is missing: apt-get install dovecot-core dovecot-imapd".into());
        }
        let folder = std::path::absolute(base.join("dovecot")).map_err(|e| e.to_string())?;
        let _ = std::fs::remove_dir_all(&folder);
        let port = free_port()?;
        let mail = user("mail")?;
        make(&folder, 0o755, None)?;
        make(&folder.join("mail"), 0o700, Some(mail))?;
        let maildir = folder.join("mail").join(USER);
        for place in ["", "cur", "new", "tmp"] {
            make(&maildir.join(place), 0o700, Some(mail))?;
        }
        fill(&maildir.join("cur"))?;
        let (place, (uid, gid)) = (folder.display(), mail);
        let (certificate, key) = (certificate.display(), key.display());
        let owned = Command::new("chown").args(["-R", &format!("{uid}:{gid}")]).arg(&maildir).status();
        if !owned.is_ok_and(|status| status.success()) {
            return Err("chown: only root can run Dovecot as another".into());
        }
        write(
            &folder.join("dovecot.conf"),
            &format!(
                "protocols = imap\nbase_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\n\
                 ssl = required\nssl_cert = <{certificate}\nssl_key = <{key}\nauth_mechanisms = plain xoauth2\n\
                 mail_location = maildir:{place}/mail/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
                 userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={place}/mail/%n\n}}\n\
                 passdb {{\n  driver = static\n  args = nopassword=y\n}}\n\
                 service imap-login {{\n  inet_listener imap {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n  \
                 inet_listener imaps {{\n    port = 0\n  }}\n}}\n"
            ),
        )?;
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(folder.join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("dovecot: {e}"))?;
        let dovecot = Dovecot { folder, child, port };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("Dovecot does not start, see {}/dovecot.log", dovecot.folder.display()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(dovecot)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = Command::new("/usr/bin/doveadm").arg("-c").arg(self.folder.join("dovecot.conf")).arg("stop").output();
        let _ = self.child.wait();
    }
}
