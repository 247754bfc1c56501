//! The incumbent: Debian's Postfix with Dovecot's LMTP behind it, default fsync, configured in a folder of their own.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::Entrance;
use crate::{Delivery, Server};

/// How long the queue may take to drain after the last 250.
const DRAIN: Duration = Duration::from_secs(300);
/// Between two counts of what is delivered.
const POLL: Duration = Duration::from_millis(20);

/// What is run, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("/usr/sbin/postfix", "postfix"),
    ("/usr/sbin/dovecot", "dovecot-core"),
    ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd"),
    ("/usr/bin/openssl", "openssl"),
];

/// Postfix and Dovecot, running.
pub struct Postfix {
    folder: PathBuf,
    /// Under us, not a daemon, so that a signal to us ends it too.
    postfix: Option<Child>,
    dovecot: Child,
    entrance: Entrance,
    recipients: Vec<String>,
    sdbox: bool,
}

/// Says what is missing: without LMTP messages would be taken and never come to a mailbox.
pub fn present() -> Result<(), String> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|(program, _)| !Path::new(program).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let of = |part: fn(&(&'static str, &'static str)) -> &'static str| missing.iter().map(part).collect::<Vec<_>>();
    let (programs, packages) = (of(|m| m.0).join(", "), of(|m| m.1).join(" "));
    Err(format!("missing: {programs}; apt-get install {packages}, or measure with --only-ours"))
}

impl Postfix {
    /// Configures and starts both; they serve when this returns.
    pub fn start(options: &Delivery) -> Result<Self, String> {
        let folder = std::path::absolute(options.folder.join("postfix")).map_err(|e| e.to_string())?;
        let _ = std::fs::remove_dir_all(&folder);
        let sdbox = options.format == "sdbox";
        let (smtp, lmtp) = (free_port()?, free_port()?);
        let mail = user("mail")?;
        make(&folder, 0o755, None)?;
        make(&folder.join("mail"), 0o700, Some(mail))?;
        let certificate = certificate(&folder)?;
        dovecot_configuration(&folder, &options.format, lmtp, mail)?;
        postfix_configuration(&folder, smtp, lmtp, &certificate)?;
        let dovecot = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(folder.join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("dovecot: {e}"))?;
        let mut postfix = Postfix {
            entrance: Entrance {
                address: ([127, 0, 0, 1], smtp).into(),
                sender: "bench@sender.test".into(),
                certificate: None,
            },
            recipients: (0..options.mailboxes).map(|n| format!("bench{n}@bench.test")).collect(),
            folder,
            postfix: None,
            dovecot,
            sdbox,
        };
        let log = postfix.folder.join("postfix.log");
        let said = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let child = postfix.command("start-fg").stdout(Stdio::null()).stderr(said).spawn();
        let child = postfix.postfix.insert(child.map_err(|e| format!("postfix: {e}"))?);
        let start = Instant::now();
        while std::net::TcpStream::connect(postfix.entrance.address).is_err() {
            let ended = child.try_wait().is_ok_and(|status| status.is_some());
            if ended || start.elapsed() > Duration::from_secs(20) {
                return Err(format!("Postfix does not start, see {} and the mail log", log.display()));
            }
            std::thread::sleep(POLL);
        }
        Ok(postfix)
    }

    /// Postfix's own command, on our configuration.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.join("postfix")).arg(name);
        command
    }

    fn count(&self) -> usize {
        let files = |folder: PathBuf| {
            std::fs::read_dir(folder).map_or(0, |files| {
                files.flatten().filter(|f| !self.sdbox || f.file_name().to_string_lossy().starts_with("u.")).count()
            })
        };
        let boxes = std::fs::read_dir(self.folder.join("mail")).into_iter().flatten().flatten();
        boxes
            .map(|mailbox| match self.sdbox {
                true => files(mailbox.path().join("mailboxes/INBOX/dbox-Mails")),
                false => files(mailbox.path().join("new")) + files(mailbox.path().join("cur")),
            })
            .sum()
    }
}

impl Server for Postfix {
    fn name(&self) -> &'static str {
        "Postfix + Dovecot"
    }

    fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    fn recipients(&self) -> &[String] {
        &self.recipients
    }

    fn accepts_by_delivering(&self) -> bool {
        false
    }

    fn delivered(&self, expected: usize) -> Result<usize, String> {
        let start = Instant::now();
        loop {
            let count = self.count();
            if count >= expected || start.elapsed() > DRAIN {
                return Ok(count);
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.command("stop").output();
        if let Some(mut postfix) = self.postfix.take() {
            let _ = postfix.wait();
        }
        let _ = Command::new("/usr/bin/doveadm").arg("-c").arg(self.folder.join("dovecot.conf")).arg("stop").output();
        let _ = self.dovecot.kill();
        let _ = self.dovecot.wait();
    }
}

pub fn make(folder: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), String> {
    let text = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::create_dir_all(folder).map_err(text)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).map_err(text)?;
    if let Some((uid, gid)) = owner {
        chown(folder, Some(uid), Some(gid))
            .map_err(|e| format!("{}: {e}; the benchmark of Postfix runs as root", folder.display()))?;
    }
    Ok(())
}

pub fn user(name: &str) -> Result<(u32, u32), String> {
    let users = std::fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let line = users.lines().find_map(|l| l.strip_prefix(&format!("{name}:"))).ok_or(format!("no user {name}"))?;
    let mut numbers = line.split(':').skip(1).filter_map(|n| n.parse().ok());
    numbers.next().zip(numbers.next()).ok_or(format!("/etc/passwd: {line}"))
}

pub fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|a| a.port()).map_err(|e| e.to_string())
}

/// RSA 2048, as ours.
pub fn certificate(folder: &Path) -> Result<PathBuf, String> {
    let file = folder.join("server.pem");
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout"])
        .arg(&file)
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .output()
        .map_err(|e| format!("openssl: {e}"))?;
    if !output.status.success() {
        return Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let chain = std::fs::read_to_string(folder.join("certificate.pem")).map_err(|e| e.to_string())?;
    let key = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
    write(&file, &format!("{key}{chain}"))?;
    Ok(file)
}

pub fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn dovecot_configuration(folder: &Path, format: &str, lmtp: u16, mail: (u32, u32)) -> Result<(), String> {
    let base = folder.display();
    let (uid, gid) = mail;
    let text = format!(
        "protocols = lmtp\nbase_dir = {base}/dovecot\nlog_path = {base}/dovecot.log\nssl = no\n\
         mail_location = {format}:{base}/mail/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
         userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={base}/mail/%n\n}}\n\
         passdb {{\n  driver = static\n  args = nopassword=y\n}}\n\
         service lmtp {{\n  process_limit = 100\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n}}\n\
         service anvil {{\n  client_limit = 2000\n}}\n"
    );
    write(&folder.join("dovecot.conf"), &text)
}

fn postfix_configuration(folder: &Path, smtp: u16, lmtp: u16, certificate: &Path) -> Result<(), String> {
    let postfix = user("postfix")?;
    make(&folder.join("postfix"), 0o755, None)?;
    make(&folder.join("queue"), 0o755, None)?;
    make(&folder.join("data"), 0o755, Some(postfix))?;
    let (base, certificate) = (folder.display(), certificate.display());
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {base}/queue\ndata_directory = {base}/data\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.bench.test\nmydestination =\n\
         mynetworks = 127.0.0.0/8\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         virtual_mailbox_domains = bench.test\nvirtual_transport = lmtp:inet:127.0.0.1:{lmtp}\n\
         message_size_limit = 52428800\nvirtual_mailbox_limit = 0\nsmtpd_client_connection_count_limit = 0\n\
         smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {certificate}\nsmtpd_tls_security_level = encrypt\n\
         smtpd_peername_lookup = no\nsmtpd_relay_restrictions = permit_mynetworks, reject\n"
    );
    write(&folder.join("postfix/main.cf"), &main)?;
    let service = |name: &str, kind: &str, private: &str, wake: &str, limit: &str, command: &str| {
        format!("{name} {kind} {private} - n {wake} {limit} {command}\n")
    };
    let mut master = service(&format!("127.0.0.1:{smtp}"), "inet", "n", "-", "-", "smtpd");
    master += &service("pickup", "unix", "n", "60", "1", "pickup");
    master += &service("cleanup", "unix", "n", "-", "0", "cleanup");
    master += &service("qmgr", "unix", "n", "300", "1", "qmgr");
    master += &service("tlsmgr", "unix", "-", "1000?", "1", "tlsmgr");
    for (name, command) in
        [("rewrite", "trivial-rewrite"), ("bounce", "bounce"), ("defer", "bounce"), ("trace", "bounce")]
    {
        master += &service(name, "unix", "-", "-", "0", command);
    }
    master += &service("verify", "unix", "-", "-", "1", "verify");
    master += &service("flush", "unix", "n", "1000?", "0", "flush");
    master += &service("proxymap", "unix", "-", "-", "-", "proxymap");
    for name in ["error", "retry"] {
        master += &service(name, "unix", "-", "-", "-", "error");
    }
    master += &service("discard", "unix", "-", "-", "-", "discard");
    master += &service("lmtp", "unix", "-", "-", "-", "lmtp");
    master += &service("anvil", "unix", "-", "-", "1", "anvil");
    master += &service("scache", "unix", "-", "-", "1", "scache");
    write(&folder.join("postfix/master.cf"), &master)
}
