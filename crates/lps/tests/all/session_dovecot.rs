//! The same session on a server that is not ours: Debian's Dovecot, under the name and a certificate of the sandbox, XOAUTH2 checked
//! by introspection at the sandbox's Pro Santé Connect. Left out where Dovecot is not installed or the tests are not root's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lps::session::{Event, Known, Listing, Query, Session};
use lps::{Credentials, Endpoint, Explain};
use sandbox::Description;
use sandbox::psc::Flaw;

use crate::session::{HER_BOX, MARIE, Minted, account, dropper, endpoint, message, other as other_client, put};
use crate::world::World;

/// Dovecot, running.
struct Dovecot {
    folder: PathBuf,
    child: Child,
    port: u16,
}

fn owner() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("mail:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Dovecot {
    /// None where it cannot run.
    async fn start(world: &World) -> Option<Dovecot> {
        let there = Path::new("/usr/sbin/dovecot").exists() && Path::new("/usr/lib/dovecot/imap").exists();
        // Only root may chown.
        let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let Some((uid, gid)) = owner().filter(|_| there && root) else {
            println!("left out: it needs root and dovecot-core, dovecot-imapd");
            return None;
        };
        let description = Description::read(world.path()).expect("written");
        let psc = &description.psc;
        let alpha = description.operators.iter().find(|o| o.name == "alpha").expect("alpha");
        // Sockets have short names.
        let folder = PathBuf::from(format!("/tmp/lps-dovecot-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mail = folder.join("mail");
        std::fs::create_dir_all(&mail).expect("a folder");
        std::os::unix::fs::chown(&mail, Some(uid), Some(gid)).expect("root may");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let place = folder.display();
        let introspection =
            psc.introspection_endpoint.replace("://", &format!("://{}:{}@", psc.client_id, psc.client_secret));
        // Whoever the token is of opens the mailbox asked for: who may is the operator's to know, not Dovecot's. Its check of the name
        // is given a constant.
        let oauth2 = format!(
            "introspection_mode = post\nintrospection_url = {introspection}\nactive_attribute = active\nactive_value = true\n\
             username_attribute = typ\nusername_format = Bearer\ntls_ca_cert_file = {place}/ca.pem\n"
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
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", dovecot.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(dovecot)
    }

    fn log(&self) -> String {
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

#[tokio::test]
async fn the_same_on_dovecot() {
    let world = World::start().await;
    let Some(dovecot) = Dovecot::start(&world).await else { return };
    let space = world.space();
    let imap = Endpoint { host: endpoint(&world, false).host, port: dovecot.port };
    let psc = |flaw| Credentials::Psc(Minted::of(&world, MARIE, Duration::from_secs(60), flaw));

    let refused = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::BadSignature))).await;
    assert_eq!(refused.err().map(|e| e.code()), Some("session.not-allowed"), "{}", dovecot.log());

    let session = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::None))).await;
    let session = session.unwrap_or_else(|e| panic!("{e}\n{}", dovecot.log()));
    assert_eq!(session.special(mail::SpecialUse::Sent).await.expect("asked").as_deref(), Some("Sent"));
    session.create("Été", None).await.expect("created");
    let mut known = Known::default();
    session.sync("INBOX", &mut known).await.expect("synchronised");
    let mut watch = session.watch("INBOX").await.expect("watched");
    let mut uids = Vec::new();
    for number in 1..=6 {
        uids.push(put(&session, "INBOX", &message(number)).await.expect("UIDPLUS"));
    }
    let mut told = Vec::new();
    while told.len() < uids.len() {
        if let Event::Arrived(uids) = watch.next().await.expect("news") {
            told.extend(uids);
        }
    }
    assert_eq!(told, uids);
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(listed.iter().map(|s| s.uid).collect::<Vec<_>>(), uids);
    assert_eq!(
        (listed[2].subject().as_str(), &listed[2].attachments[..]),
        ("Message 3", &["IHE_XDM.ZIP".to_owned()][..])
    );
    assert_eq!(session.fetch_bytes("INBOX", uids[1], 1 << 20).await.expect("read"), message(2));
    assert_eq!(session.search("INBOX", &Query::from("René")).await.expect("found"), uids);

    // What another session does is told by QRESYNC.
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived, uids);
    let other = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::None))).await.expect("open");
    other.mark("INBOX", &uids[..1], &["\\Seen", "$Integrated"], &[]).await.expect("marked");
    other.expunge("INBOX", &uids[2..4]).await.expect("gone");
    other.move_to("INBOX", &uids[4..5], "Été").await.expect("moved");
    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!((changes.arrived, changes.marked, changes.vanished), (vec![], vec![uids[0]], uids[2..5].to_vec()));
    assert_eq!(known.flags(uids[0]).expect("known"), ["\\Seen", "$Integrated"]);
    assert_eq!(other.list("Été", &Listing::all()).await.expect("listed").len(), 1);

    // What came by another session is found, read and marked without a synchronisation.
    let seventh = put(&other, "INBOX", &message(7)).await.expect("UIDPLUS");
    assert_eq!(session.fetch_bytes("INBOX", seventh, 1 << 20).await.expect("read"), message(7));
    let eighth = put(&other, "INBOX", &message(8)).await.expect("UIDPLUS");
    session.mark("INBOX", &[eighth], &["\\Flagged"], &[]).await.expect("marked");
    assert_eq!(other.search("INBOX", &Query::Flag("\\Flagged".into())).await.expect("found"), [eighth]);
    let ninth = put(&other, "INBOX", &message(9)).await.expect("UIDPLUS");
    session.expunge("INBOX", &[seventh, eighth, ninth]).await.expect("gone");
    assert_eq!(other.list("INBOX", &Listing::all()).await.expect("listed").len(), 3);

    // Ten thousand, which Dovecot answers several windows of before it ends the first.
    let mut raw = other_client(&space, &world, &imap).await;
    for _ in 0..12 {
        raw.run(&imap::client::Command::new("UID COPY").text(" 1:* \"INBOX\""), &mut |_| {}).await.expect("copied");
    }
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(listed.len(), 3 << 12);
    assert!(listed.windows(2).all(|pair| pair[0].uid < pair[1].uid));
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived.len(), (3 << 12) - 3);

    // Dropped again and again.
    let port = dropper(("127.0.0.1".to_owned(), dovecot.port), Duration::from_millis(600)).await;
    let through = Endpoint { host: imap.host.clone(), port };
    let source = Minted::of(&world, MARIE, Duration::from_secs(10), Flaw::None);
    let dropped = Session::open(space.clone(), account(HER_BOX, through, Credentials::Psc(source.clone()))).await;
    let dropped = dropped.expect("open");
    let begun = Instant::now();
    let mut number = 100;
    while begun.elapsed() < Duration::from_secs(6) {
        for _ in 0..10 {
            number += 1;
            put(&dropped, "Sent", &message(number)).await;
        }
        assert_eq!(dropped.list("Sent", &Listing::all()).await.expect("listed").len(), number - 100);
    }
    let ids: std::collections::BTreeSet<_> =
        dropped.list("Sent", &Listing::all()).await.expect("listed").iter().filter_map(|s| s.message_id()).collect();
    assert_eq!(ids.len(), number - 100);
    assert!(source.given.load(std::sync::atomic::Ordering::Relaxed) >= 3, "it was not dropped");
}
