//! The incumbent: Debian's Dovecot, IMAP over STARTTLS, any user, default fsync.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Mailstore;
use super::ours::{Introspection, PERSON, xoauth2};
use crate::postfix::{certificate, free_port, make, user, write};

/// How it is set up.
pub enum Setting {
    /// As it comes; whatever password is good.
    Default,
    /// For logins only: processes that serve many connections, as its documentation advises for speed.
    Tuned,
    /// The same, with XOAUTH2, each token asked about.
    TunedAsking(Introspection),
}

/// Dovecot, running.
pub struct Dovecot {
    folder: PathBuf,
    setting: Setting,
    child: Option<Child>,
    address: SocketAddr,
}

impl Dovecot {
    /// `format` of its mailboxes.
    pub fn start(base: &Path, format: &'static str, setting: Setting) -> Result<Self, String> {
        if !Path::new("/usr/sbin/dovecot").exists() || !Path::new("/usr/lib/dovecot/imap").exists() {
            return Err(
                "dovecot is missing: apt-get install dovecot-core dovecot-imapd; or measure with --only-ours".into()
            );
        }
        let suffix = match setting {
            Setting::Default => "",
            Setting::Tuned => "-tuned",
            Setting::TunedAsking(_) => "-tuned-asking",
        };
        let folder = std::path::absolute(base.join(format!("dovecot-{format}{suffix}")));
        let folder = folder.map_err(|e| e.to_string())?;
        let _ = std::fs::remove_dir_all(&folder);
        let port = free_port()?;
        let mail = user("mail")?;
        make(&folder, 0o755, None)?;
        make(&folder.join("mail"), 0o700, Some(mail))?;
        let pem = certificate(&folder)?;
        let (base, pem, (uid, gid)) = (folder.display(), pem.display(), mail);
        // For speed, its documentation has login processes serve any number of connections, and imap processes some hundreds of one user.
        let (login, imap) = match setting {
            Setting::Default => ("  process_limit = 3000\n", ""),
            Setting::Tuned | Setting::TunedAsking(_) => {
                ("  service_count = 0\n  process_min_avail = 2\n  client_limit = 4000\n", "  service_count = 256\n")
            }
        };
        let passwords = match &setting {
            Setting::Default | Setting::Tuned => "  driver = static\n  args = nopassword=y\n".to_owned(),
            Setting::TunedAsking(psc) => {
                let address = psc.url.strip_prefix("https://").ok_or("Pro Santé Connect is asked over https")?;
                let (id, secret) = (&psc.client_id, &psc.client_secret);
                // Its processes have a user of their own, who sees nothing of the sandbox.
                let anchors = std::fs::read_to_string(&psc.anchors).map_err(|e| e.to_string())?;
                write(&folder.join("anchors.pem"), &anchors)?;
                let file = folder.join("oauth2.conf");
                let text = format!(
                    "introspection_mode = post\nintrospection_url = https://{id}:{secret}@{address}\n\
                     username_attribute = preferred_username\nactive_attribute = active\nactive_value = true\nmax_parallel_connections = 8\n\
                     tls_ca_cert_file = {}\n",
                    folder.join("anchors.pem").display()
                );
                write(&file, &text)?;
                format!("  driver = oauth2\n  mechanisms = xoauth2\n  args = {}\n", file.display())
            }
        };
        let mechanisms = if matches!(setting, Setting::TunedAsking(_)) { "xoauth2" } else { "plain" };
        let text = format!(
            "protocols = imap\nbase_dir = {base}/run\nstate_dir = {base}/state\nlog_path = {base}/dovecot.log\nssl = required\nssl_cert = <{pem}\nssl_key = <{pem}\n\
             mail_location = {format}:{base}/mail/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 0\n\
             userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={base}/mail/%n\n}}\n\
             auth_mechanisms = {mechanisms}\npassdb {{\n{passwords}}}\n\
             service imap-login {{\n{login}  inet_listener imap {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
             service imap {{\n  process_limit = 3000\n{imap}}}\nservice anvil {{\n  client_limit = 9000\n}}\nservice auth {{\n  client_limit = 9000\n}}\ndefault_client_limit = 9000\n"
        );
        write(&folder.join("dovecot.conf"), &text)?;
        let mut dovecot = Dovecot { folder, setting, child: None, address: ([127, 0, 0, 1], port).into() };
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
        if self.only().is_some() { "Dovecot (tuned)" } else { "Dovecot" }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn login(&self, mailbox: usize) -> String {
        if let Setting::TunedAsking(psc) = &self.setting {
            // It wants the name that the token has.
            return xoauth2(PERSON, &psc.token);
        }
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
        (!matches!(self.setting, Setting::Default)).then_some("logins")
    }

    fn asks(&self) -> bool {
        matches!(self.setting, Setting::TunedAsking(_))
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.end();
    }
}
