//! Sending to a server that is not ours: Debian's Postfix, which asks Dovecot about XOAUTH2 and delivers into its mailboxes.
//! As root, where both are installed; passed over elsewhere, and said.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lps::Explain;
use lps::compose::{Attachment, Limits, Origin, Source};
use lps::send::{Cause, Notices, SendOptions, send};
use patience::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dovecot::{Dovecot, Introspection, user};
use crate::people::{built, bytes, draft, marie, to, tokens};
use crate::world::{ALPHA, World, serve};

/// What Postfix takes, in octets.
const LIMIT: usize = 3_000_000;

pub struct Postfix {
    folder: PathBuf,
    pub port: u16,
}

impl Postfix {
    /// None where it cannot run. Marie's and Paul's mailboxes of alpha are Dovecot's.
    pub async fn start(world: &World, dovecot: &Dovecot) -> Option<Self> {
        let (Some(mail), Some(postfix), true) =
            (user("mail"), user("postfix"), Path::new("/usr/sbin/postfix").exists())
        else {
            println!("left out: it needs postfix");
            return None;
        };
        let folder = world.path().join("postfix");
        let owned = |path: &str, owner: Option<(u32, u32)>| {
            let path = folder.join(path);
            std::fs::create_dir_all(&path).expect("made");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changed");
            if let Some((uid, gid)) = owner {
                chown(&path, Some(uid), Some(gid)).expect("changed");
            }
        };
        std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
        for (path, owner) in [("", None), ("conf", None), ("queue", None), ("data", Some(postfix))] {
            owned(path, owner);
        }
        let port = patience::free_port();
        let base = folder.display();
        let pki = world.path().join("pki");
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
        write(
            "conf/main.cf",
            format!(
                "compatibility_level = 3.6\nqueue_directory = {base}/queue\ndata_directory = {base}/data\n\
                 maillog_file = {base}/queue/log\nmaillog_file_prefixes = {base}\n\
                 inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = lps.{ALPHA}\nmydestination =\nmynetworks =\n\
                 alias_maps =\nalias_database =\nlocal_recipient_maps =\nmessage_size_limit = {LIMIT}\nvirtual_mailbox_limit = 0\n\
                 mailbox_size_limit = 0\n\
                 virtual_mailbox_domains = {ALPHA}\nvirtual_mailbox_base = {boxes}\n\
                 virtual_mailbox_maps = inline:{{ {{ paul.durand@{ALPHA} = paul.durand/ }}, {{ marie.martin@{ALPHA} = marie.martin/ }} }}\n\
                 virtual_minimum_uid = 1\nvirtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\n\
                 smtpd_tls_cert_file = {pki}/alpha.pem\nsmtpd_tls_key_file = {pki}/alpha.key\nsmtpd_tls_security_level = encrypt\n\
                 smtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {auth}\n\
                 smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
                 smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
                mail.0,
                mail.1,
                pki = pki.display(),
                boxes = dovecot.folder.join("mail").display(),
                auth = dovecot.auth().display(),
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
        let postfix = Postfix { folder, port };
        postfix.control("start");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let up = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            if up && dovecot.auth().exists() {
                return Some(postfix);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Postfix does not start: {}\n{}", postfix.log(), dovecot.log());
    }

    fn control(&self, command: &str) {
        let done = Command::new("/usr/sbin/postfix").arg("-c").arg(self.folder.join("conf")).arg(command).output();
        let done = done.expect("postfix");
        assert!(done.status.success() || command == "stop", "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("queue/log")).unwrap_or_default()
    }
}

/// What Paul's mailbox was given, once there is so much.
async fn delivered(dovecot: &Dovecot, postfix: &Postfix, count: usize) -> Vec<Vec<u8>> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let files = std::fs::read_dir(dovecot.folder.join("mail/paul.durand/new")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
        if paths.len() >= count {
            paths.sort();
            return paths.iter().map(|path| std::fs::read(path).expect("read")).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not delivered: {}", postfix.log());
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
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
    let world = World::start().await;
    let space = world.space();
    let (port, asked) = introspection().await;
    let Some(dovecot) = Dovecot::start(&world, Introspection::Played(port)).await else { return };
    let Some(postfix) = Postfix::start(&world, &dovecot).await else { return };
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
    let sent = sent.unwrap_or_else(|error| panic!("{error}\n{}", postfix.log()));
    assert_eq!((source.given.load(Ordering::Relaxed), asked.load(Ordering::Relaxed)), (2, 2));
    let refused: Vec<_> = sent.refused().map(|outcome| outcome.cause).collect();
    assert_eq!((refused, sent.notices), (vec![Some(Cause::Unknown)], true));
    let first = delivered(&dovecot, &postfix, 1).await;
    assert!(unchanged(&first[0], &octets(&message).await));

    // 8 bits, which a forwarded message may have.
    let whole = "Subject: x\r\nFrom: p@x.fr\r\n\r\nDéjà lu\r\n.\r\n";
    let forwarded = draft(&space).to(paul()).forward(Origin::of_header(whole.as_bytes()), Source::Bytes(whole.into()));
    let forwarded = built(forwarded).await;
    assert!(forwarded.is_eight_bit());
    send(&space, &account, &forwarded, &options).await.expect("sent");
    let both = delivered(&dovecot, &postfix, 2).await;
    let given = octets(&forwarded).await;
    assert!(both.iter().any(|message| unchanged(message, &given)));

    // Its limit, from EHLO: nothing is begun.
    let large = draft(&space).to(paul()).subject("x").limits(Limits::default());
    let large = built(large.attach(Attachment::new("a.bin", "application/x-a", bytes(LIMIT)))).await;
    let error = send(&space, &account, &large, &options).await.expect_err("too large");
    assert_eq!(error.code(), "send.too-large");
    drop(postfix);
    world.sandbox.stop().await;
}
