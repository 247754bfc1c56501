//! Debian's Dovecot under the name and a certificate of the sandbox: IMAP, and the authentication of Postfix. XOAUTH2 is checked by
//! introspection. Left out, and said, where it is not installed or the tests are not root's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use patience::PATIENCE;
use sandbox::Description;

use crate::world::World;

/// Who says whether a token is good.
pub enum Introspection {
    /// The sandbox's Pro Santé Connect.
    Sandbox,
    /// A server of the test on this port, which names the user by `email`.
    Played(u16),
}

/// Dovecot, running.
pub struct Dovecot {
    pub folder: PathBuf,
    child: Child,
    pub port: u16,
}

/// Numbers of a user and of its group.
pub fn user(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find_map(|line| line.strip_prefix(&format!("{name}:")))?;
    let mut fields = line.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Dovecot {
    /// None where it cannot run.
    pub async fn start(world: &World, introspection: Introspection) -> Option<Dovecot> {
        let there = Path::new("/usr/sbin/dovecot").exists() && Path::new("/usr/lib/dovecot/imap").exists();
        // Only root may chown.
        let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let Some((uid, gid)) = user("mail").filter(|_| there && root) else {
            println!("left out: it needs root and dovecot-core, dovecot-imapd");
            return None;
        };
        let description = Description::read(world.path()).expect("written");
        let psc = &description.psc;
        let alpha = description.operators.iter().find(|o| o.name == "alpha").expect("alpha");
        // Sockets have short names.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/lps-dovecot-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mail = folder.join("mail");
        std::fs::create_dir_all(&mail).expect("a folder");
        std::os::unix::fs::chown(&mail, Some(uid), Some(gid)).expect("root may");
        let port = patience::free_port();
        let place = folder.display();
        // Whoever the sandbox's token is of opens the mailbox asked for: who may is the operator's to know, not Dovecot's. Its check of
        // the name is given a constant.
        let (url, name, more) = match introspection {
            Introspection::Sandbox => (
                psc.introspection_endpoint.replace("://", &format!("://{}:{}@", psc.client_id, psc.client_secret)),
                "typ",
                format!("username_format = Bearer\ntls_ca_cert_file = {place}/ca.pem\n"),
            ),
            Introspection::Played(port) => (format!("http://127.0.0.1:{port}/introspect"), "email", String::new()),
        };
        let oauth2 = format!(
            "introspection_mode = post\nintrospection_url = {url}\nactive_attribute = active\nactive_value = true\n\
             username_attribute = {name}\n{more}"
        );
        // Its own users may read there.
        std::fs::copy(world.path().join("pki/ca.pem"), folder.join("ca.pem")).expect("copied");
        std::fs::write(folder.join("oauth2.conf"), oauth2).expect("written");
        let file = |name: &str| world.path().join(name).display().to_string();
        let (certificate, key) = (file(&alpha.certificate), file(&alpha.key));
        let conf = format!(
            "protocols = imap\nbase_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\nauth_verbose = yes\n\
             ssl = required\nssl_cert = <{certificate}\nssl_key = <{key}\nauth_mechanisms = xoauth2\n\
             mail_location = maildir:{place}/mail/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={place}/mail/%n\n}}\n\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {place}/oauth2.conf\n}}\n\
             namespace inbox {{\n  inbox = yes\n  mailbox Sent {{\n    auto = create\n    special_use = \\Sent\n  }}\n}}\n\
             service auth {{\n  unix_listener {place}/auth {{\n    mode = 0666\n  }}\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n  \
             inet_listener imaps {{\n    port = 0\n  }}\n}}\n"
        );
        std::fs::write(folder.join("dovecot.conf"), conf).expect("written");
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(folder.join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is there");
        let dovecot = Dovecot { folder, child, port };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "{}", dovecot.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(dovecot)
    }

    /// Where Postfix asks about a login.
    pub fn auth(&self) -> PathBuf {
        self.folder.join("auth")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("dovecot.log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = Command::new("/usr/bin/doveadm").arg("-c").arg(self.folder.join("dovecot.conf")).arg("stop").output();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
