//! Sending to a server that is not ours: Debian's Postfix, which asks Dovecot about XOAUTH2, which asks an introspection endpoint.
//! As root, where both are installed; passed over elsewhere, and said.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lps::Explain;
use lps::compose::{Attachment, Limits, Origin, Source};
use lps::send::{Cause, Notices, SendOptions, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::send::{built, bytes, draft, marie, to, tokens};
use crate::world::{ALPHA, World, serve};

/// What Postfix takes, in octets.
const LIMIT: usize = 3_000_000;

struct Postfix {
    folder: PathBuf,
    dovecot: Child,
    port: u16,
}

/// Number of a user and of its group.
fn user(name: &str) -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let line = users.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).expect("the user");
    let mut numbers = line.split(':').skip(1).map(|n| n.parse().expect("a number"));
    (numbers.next().expect("a user"), numbers.next().expect("a group"))
}

fn present() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0);
    root && ["/usr/sbin/postfix", "/usr/sbin/dovecot"].iter().all(|program| Path::new(program).exists())
}

impl Postfix {
    async fn start(world: &World, introspection: u16) -> Self {
        let folder = world.path().join("postfix");
        let owned = |path: &str, owner: Option<(u32, u32)>| {
            let path = folder.join(path);
            std::fs::create_dir_all(&path).expect("made");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changed");
            if let Some((uid, gid)) = owner {
                chown(&path, Some(uid), Some(gid)).expect("changed");
            }
        };
        let mail = user("mail");
        std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
        for (path, owner) in
            [("", None), ("conf", None), ("queue", None), ("data", Some(user("postfix"))), ("mail", Some(mail))]
        {
            owned(path, owner);
        }
        let port = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a port").port();
        let base = folder.display();
        let pki = world.path().join("pki");
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
        write(
            "dovecot.conf",
            format!(
                "protocols = lmtp\nbase_dir = {base}/run\nstate_dir = {base}/state\nlog_path = {base}/dovecot.log\nssl = no\n\
                 mail_location = maildir:{base}/none/%n\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nauth_mechanisms = xoauth2\n\
                 passdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {base}/oauth2.conf\n}}\n\
                 userdb {{\n  driver = static\n  args = uid={} gid={} home={base}/none\n}}\n\
                 service auth {{\n  unix_listener {base}/auth {{\n    mode = 0666\n  }}\n}}\n",
                mail.0, mail.1
            ),
        );
        write(
            "oauth2.conf",
            format!(
                "introspection_mode = post\nintrospection_url = http://127.0.0.1:{introspection}/introspect\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"
            ),
        );
        write(
            "conf/main.cf",
            format!(
                "compatibility_level = 3.6\nqueue_directory = {base}/queue\ndata_directory = {base}/data\n\
                 maillog_file = {base}/queue/log\nmaillog_file_prefixes = {base}\n\
                 inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = lps.{ALPHA}\nmydestination =\nmynetworks =\n\
                 alias_maps =\nalias_database =\nlocal_recipient_maps =\nmessage_size_limit = {LIMIT}\nvirtual_mailbox_limit = 0\n\
                 mailbox_size_limit = 0\n\
                 virtual_mailbox_domains = {ALPHA}\nvirtual_mailbox_base = {base}/mail\n\
                 virtual_mailbox_maps = inline:{{ paul.durand@{ALPHA}=box/ }}\n\
                 virtual_minimum_uid = 1\nvirtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\n\
                 smtpd_tls_cert_file = {pki}/alpha.pem\nsmtpd_tls_key_file = {pki}/alpha.key\nsmtpd_tls_security_level = encrypt\n\
                 smtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {base}/auth\n\
                 smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
                 smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
                mail.0,
                mail.1,
                pki = pki.display(),
            ),
        );
        let service = |(name, limit, program): (&str, &str, &str)| format!("{name} unix - n n - {limit} {program}\n");
        let services = [
            ("rewrite", "-", "trivial-rewrite"),
            ("bounce", "0", "bounce"),
            ("defer", "0", "bounce"),
            ("trace", "0", "bounce"),
            ("verify", "1", "verify"),
            ("proxymap", "-", "proxymap"),
            ("virtual", "-", "virtual"),
            ("error", "-", "error"),
            ("retry", "-", "error"),
            ("anvil", "1", "anvil"),
            ("scache", "1", "scache"),
        ];
        write(
            "conf/master.cf",
            format!(
                "127.0.0.1:{port} inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n\
                 qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\npostlog unix-dgram n - n - 1 postlogd\n{}",
                services.map(service).concat()
            ),
        );
        let mut dovecot = Command::new("/usr/sbin/dovecot");
        dovecot.args(["-F", "-c"]).arg(folder.join("dovecot.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let dovecot = dovecot.spawn().expect("Dovecot");
        let postfix = Postfix { folder, dovecot, port };
        postfix.control("start");
        for _ in 0..600 {
            let up = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            if up && postfix.folder.join("auth").exists() {
                return postfix;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Postfix does not start: {}", postfix.logs());
    }

    fn control(&self, command: &str) {
        let done = Command::new("/usr/sbin/postfix").arg("-c").arg(self.folder.join("conf")).arg(command).output();
        let done = done.expect("postfix");
        assert!(done.status.success() || command == "stop", "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        format!("{}\n{}", read("queue/log"), read("dovecot.log"))
    }

    /// What was delivered, once there are so many.
    async fn delivered(&self, count: usize) -> Vec<Vec<u8>> {
        for _ in 0..600 {
            let files = std::fs::read_dir(self.folder.join("mail/box/new")).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
            if paths.len() >= count {
                paths.sort();
                return paths.iter().map(|path| std::fs::read(path).expect("read")).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not delivered: {}", self.logs());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
        let _ = self.dovecot.kill();
        let _ = self.dovecot.wait();
    }
}

/// Says of every token but the first that it is Marie's.
async fn introspection() -> (u16, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let port = serve(move |mut tcp| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let (mut request, mut block) = (Vec::new(), [0; 4096]);
            // A form whose field is the token, of the length that the header says.
            loop {
                let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                    if body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length")) {
                        break;
                    }
                }
                match tcp.read(&mut block).await {
                    Ok(count @ 1..) => request.extend_from_slice(&block[..count]),
                    _ => return,
                }
            }
            let body = match first {
                true => "{\"active\":false}".to_owned(),
                false => format!("{{\"active\":true,\"email\":\"marie.martin@{ALPHA}\"}}"),
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = tcp.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (port, asked)
}

/// The message as it was given, behind what the server put in front.
fn unchanged(delivered: &[u8], given: &[u8]) -> bool {
    // Lines of a Maildir end with LF.
    let given = String::from_utf8_lossy(given).replace("\r\n", "\n");
    String::from_utf8_lossy(delivered).ends_with(&given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_postfix() {
    if !present() {
        eprintln!("passed over: Postfix and Dovecot are not installed, or not root");
        return;
    }
    let world = World::start().await;
    let space = world.space();
    let (port, asked) = introspection().await;
    let postfix = Postfix::start(&world, port).await;
    let source = tokens(&world, &[]);
    let account = marie(&world, source.clone(), Some(postfix.port));
    let options = SendOptions { notices: Some(Notices::all()), ..SendOptions::default() };
    let paul = || to(&format!("paul.durand@{ALPHA}"));
    let octets = async |message: &lps::compose::Outgoing| {
        let mut octets = Vec::new();
        message.write_to(&mut octets).await.expect("written");
        octets
    };

    // The first token is refused with a challenge, the second taken; an unknown recipient beside a known one.
    let message =
        draft(&space).to(paul()).cc(to(&format!("personne@{ALPHA}"))).subject("Été").text("Voilà\n.\n..x\nFrom moi\n");
    let message = built(message.attach(Attachment::new("a.bin", "application/x-a", bytes(500_000)))).await;
    let sent = send(&space, &account, &message, &options).await;
    let sent = sent.unwrap_or_else(|error| panic!("{error}\n{}", postfix.logs()));
    assert_eq!((source.given.load(Ordering::Relaxed), asked.load(Ordering::Relaxed)), (2, 2));
    let refused: Vec<_> = sent.refused().map(|outcome| outcome.cause).collect();
    assert_eq!((refused, sent.notices), (vec![Some(Cause::Unknown)], true));
    let delivered = postfix.delivered(1).await;
    assert!(unchanged(&delivered[0], &octets(&message).await));

    // 8 bits, which a forwarded message may have.
    let whole = "Subject: x\r\nFrom: p@x.fr\r\n\r\nDéjà lu\r\n.\r\n";
    let forwarded = draft(&space).to(paul()).forward(Origin::of_header(whole.as_bytes()), Source::Bytes(whole.into()));
    let forwarded = built(forwarded).await;
    assert!(forwarded.is_eight_bit());
    send(&space, &account, &forwarded, &options).await.expect("sent");
    let delivered = postfix.delivered(2).await;
    let given = octets(&forwarded).await;
    assert!(delivered.iter().any(|message| unchanged(message, &given)));

    // Its limit, from EHLO: nothing is begun.
    let large = draft(&space).to(paul()).subject("x").limits(Limits::default());
    let large = built(large.attach(Attachment::new("a.bin", "application/x-a", bytes(LIMIT)))).await;
    let error = send(&space, &account, &large, &options).await.expect_err("too large");
    assert_eq!(error.code(), "send.too-large");
    drop(postfix);
    world.sandbox.stop().await;
}
