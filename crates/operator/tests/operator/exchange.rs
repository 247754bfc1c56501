//! Two operators in one process: a message from a mailbox to another through submission, queue, relay, operator interface and
//! IMAP; and the same message coming again.

use mail::header;
use smtp::client::{Client, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{MailFrom, Rcpt, ReversePath};
use trust::tls::Profile;

use crate::support::{Imap, Labo, Letter, Space, drained, send};

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back() {
    let space = Space::new().await;
    let (alpha, beta) = (space.operator("alpha").await, space.operator("beta").await);
    let (a, b) = (Labo::open(&space, &alpha, "alpha").await, Labo::open(&space, &beta, "beta").await);
    // On the way back the receiver has its own copy of the first already.
    for (place, (from, sender, to, receiver)) in [(1, (&a, &alpha, &b, &beta)), (2, (&b, &beta, &a, &alpha))] {
        let letter = Letter::new(from, "there", &[&to.address.to_string(), &from.address.to_string()]);
        from.send(&space, sender, &letter).await;
        let octets = to.wait(receiver, place).await.remove(place - 1);
        assert!(octets.ends_with(&letter.text), "the message as it was sent, behind trace fields");
        let end = header::end(&octets).expect("a header");
        assert_eq!(header::count(&octets[..end], "Received"), 2);
        assert_eq!(header::find(&octets, "Return-Path").as_deref(), Some(format!("<{}>", from.address).as_str()));
        let mut imap = Imap::open(&space, receiver, to).await;
        assert!(imap.ok("SELECT INBOX").await.contains(" EXISTS"));
        let fetched = imap.ok(&format!("FETCH {place} (RFC822.SIZE ENVELOPE BODY.PEEK[])")).await;
        assert!(fetched.contains(&format!("RFC822.SIZE {}", octets.len())), "{fetched}");
        assert!(fetched.contains("<there@lps.test>") && fetched.contains("Le corps du message."), "{fetched}");
        let sought = imap.ok("SEARCH CHARSET UTF-8 BODY \"CÔRPS DU\" SUBJECT \"\"").await;
        assert!(sought.contains(&format!(" {place}\r\n")), "{sought}");
        assert!(!imap.ok("SEARCH TEXT introuvable").await.contains(&place.to_string()));
        imap.ok("LOGOUT").await;
        drained(sender).await;
    }
    // One's own copy and the other's.
    assert_eq!((a.messages(&alpha).await.len(), b.messages(&beta).await.len()), (2, 2));
    alpha.stop().await;
    beta.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_is_recognised() {
    let space = Space::new().await;
    let beta = space.operator("beta").await;
    let labo = Labo::open(&space, &beta, "beta").await;
    let other = Labo::named(&space, &beta, "beta", "autre").await;
    let settings = Settings {
        helo: "mx.alpha.formation.mssante.fr".to_owned(),
        connector: space.connector(&space.operator_certificate("alpha"), Profile::Operator),
        timeouts: Timeouts::default(),
    };
    let mx = beta.addresses.mx.expect("an interface");
    let bring = async |to: &[&Labo], text: &str| {
        let mut client = Client::connect(mx, "127.0.0.1", &settings, &|_| Ok(())).await.expect("connected");
        let envelope = Envelope {
            from: MailFrom::new(ReversePath::Address("qui@alpha.formation.mssante.fr".parse().expect("an address"))),
            to: to.iter().map(|to| Rcpt::new(smtp::ForwardPath::Address(to.address.clone()))).collect(),
        };
        let delivery = client.send(&envelope, &mut text.as_bytes()).await.expect("answered");
        assert!(delivery.recipients.iter().all(|r| matches!(r, RecipientResult::Accepted(_))), "{delivery:?}");
        client.quit().await;
    };
    let relayed = "Received: from a by b with ESMTPSA id 1;\r\n\tMon, 1 Jun 2026 10:00:00 +0000\r\n\
                   Message-ID: <again@lps.test>\r\nSubject: essai\r\n\r\nessai\r\n";
    bring(&[&labo], relayed).await;
    bring(&[&labo], relayed).await;
    assert_eq!(labo.messages(&beta).await.len(), 1, "the same again: 250, and not twice");
    // A recipient that had not got it yet does.
    bring(&[&labo, &other], relayed).await;
    assert_eq!((labo.messages(&beta).await.len(), other.messages(&beta).await.len()), (1, 1));
    // One octet of difference is a difference.
    bring(&[&labo], &relayed.replace("id 1", "id 2")).await;
    assert_eq!(labo.messages(&beta).await.len(), 2);
    // Without the number and time of another server nothing tells that it is the same.
    let plain = "Message-ID: <plain@lps.test>\r\nSubject: essai\r\n\r\nessai\r\n";
    bring(&[&labo], plain).await;
    bring(&[&labo], plain).await;
    assert_eq!(labo.messages(&beta).await.len(), 4);
    // Remembered over a restart, and no longer after ten days.
    beta.stop().await;
    let beta = space.operator("beta").await;
    let settings = settings;
    let again = async || {
        let mx = beta.addresses.mx.expect("an interface");
        let mut client = Client::connect(mx, "127.0.0.1", &settings, &|_| Ok(())).await.expect("connected");
        let envelope = Envelope {
            from: MailFrom::new(ReversePath::Address("qui@alpha.formation.mssante.fr".parse().expect("an address"))),
            to: vec![Rcpt::new(smtp::ForwardPath::Address(labo.address.clone()))],
        };
        client.send(&envelope, &mut relayed.as_bytes()).await.expect("answered");
    };
    again().await;
    assert_eq!(labo.messages(&beta).await.len(), 4);
    space.advance(11 * 86_400);
    again().await;
    assert_eq!(labo.messages(&beta).await.len(), 5);
    beta.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_is_a_temporary_refusal() {
    let space = Space::new().await;
    let (alpha, beta) = (space.operator("alpha").await, space.operator("beta").await);
    let (a, b) = (Labo::open(&space, &alpha, "alpha").await, Labo::open(&space, &beta, "beta").await);
    let quota = |messages| store::Quota { octets: None, messages };
    beta.store.set_quota(b.id, quota(Some(0))).await.expect("the store answers");
    a.send(&space, &alpha, &Letter::new(&a, "full", &[&b.address.to_string()])).await;
    let entry = crate::support::attempted(&alpha, 1).await;
    assert!(entry.recipients[0].last_error.as_deref().is_some_and(|e| e.contains("4.2.2")), "{entry:?}");
    beta.store.set_quota(b.id, quota(None)).await.expect("the store answers");
    space.set(entry.recipients[0].next_attempt);
    b.wait(&beta, 1).await;
    drained(&alpha).await;
    alpha.stop().await;
    beta.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_s_own_address_and_no_other() {
    // MSS-7.4: envelope and From are the authenticated mailbox.
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let other = Labo::named(&space, &alpha, "alpha", "autre").await;
    let to = other.address.to_string();
    let refused = async |letter: Letter| {
        let mut session = labo.session(&space, &alpha).await;
        send(&mut session, &letter).await.expect("answered").recipients[0].reply().to_string()
    };
    let mut envelope = Letter::new(&labo, "envelope", &[&to]);
    envelope.from.path = ReversePath::Address(other.address.clone());
    assert!(refused(envelope).await.starts_with("550 5.7.1"));
    let own = format!("From: {}\r\n", labo.address);
    for (number, from) in [
        format!("From: {to}\r\n"),
        format!("From: {}, {to}\r\n", labo.address),
        format!("{own}{own}"),
        format!("{own}Sender: {to}\r\n"),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut letter = Letter::new(&labo, &format!("from-{number}"), &[&to]);
        let text = String::from_utf8(letter.text).expect("text").replace(&own, &from);
        letter.text = text.into_bytes();
        letter.from.size = None;
        let said = refused(letter).await;
        assert!(said.starts_with("550 5."), "{from:?}: {said}");
    }
    assert!(other.messages(&alpha).await.is_empty());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_passes_for_one_of_ours() {
    // OPE-LIST binds the envelope; what people see is the From field.
    let space = Space::new().await;
    let beta = space.operator("beta").await;
    let labo = Labo::open(&space, &beta, "beta").await;
    let settings = Settings {
        helo: "mx.alpha.formation.mssante.fr".to_owned(),
        connector: space.connector(&space.operator_certificate("alpha"), Profile::Operator),
        timeouts: Timeouts::default(),
    };
    let mx = beta.addresses.mx.expect("an interface");
    let cases = [
        ("From: qui@alpha.formation.mssante.fr", true),
        ("From: forwarded@gamma.formation.mssante.fr", true),
        ("Subject: no author at all", true),
        ("From: chef@beta.formation.mssante.fr", false),
        ("From: \"chef@beta\" <CHEF@Beta.Formation.mssante.fr>", false),
        ("From: a@alpha.formation.mssante.fr, chef@beta.formation.mssante.fr", false),
        ("From: a@alpha.formation.mssante.fr\r\nFrom: chef@beta.formation.mssante.fr", false),
        ("From: groupe: chef@beta.formation.mssante.fr;", false),
        (" From: chef@beta.formation.mssante.fr", false),
    ];
    for (field, taken) in cases {
        let mut client = Client::connect(mx, "127.0.0.1", &settings, &|_| Ok(())).await.expect("connected");
        let envelope = Envelope {
            from: MailFrom::new(ReversePath::Null),
            to: vec![Rcpt::new(smtp::ForwardPath::Address(labo.address.clone()))],
        };
        let text = format!("{field}\r\nMessage-ID: <from@lps.test>\r\n\r\nessai\r\n");
        let delivery = client.send(&envelope, &mut text.as_bytes()).await.expect("answered");
        let said = &delivery.recipients[0];
        assert_eq!(matches!(said, RecipientResult::Accepted(_)), taken, "{field}: {said:?}");
        client.quit().await;
    }
    assert_eq!(labo.messages(&beta).await.len(), 3);
    beta.stop().await;
}
