//! Nothing leaves the trust space, and nobody speaks for a domain that is not theirs (OPE-LIST, OPE-MTLS).

use std::net::IpAddr;

use mail::report::Action;
use smtp::client::{Client, ClientError, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{ForwardPath, MailFrom, Rcpt, ReversePath};
use trust::pki::{Issued, LeafRequest, Organization, Validity};
use trust::tls::Profile;

use crate::support::{Labo, Letter, Peer, Space, attempted, drained};

const DEST: &str = "dest@beta.formation.mssante.fr";
const HOUR: i64 = 3600;

/// A certificate of `organization` for the host of beta's interface.
fn certificate(space: &Space, host: &str, structure: &str, name: &str, validity: Validity) -> Issued {
    let organization = Organization::new(structure, name, "Paris (75)");
    let request = LeafRequest::server(host, &organization, &[], &[IpAddr::from([127, 0, 0, 1])]);
    space.issue(&request.valid(validity))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_taken_off_the_list_is_no_longer_written_to() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    labo.send(&space, &alpha, &Letter::new(&labo, "delisted", &[DEST])).await;
    let entry = attempted(&alpha, 1).await;
    // It leaves the list, and its server comes up.
    space.advance(1);
    space.publish(&["alpha"]);
    assert!(alpha.white_list().refresh().await.expect("published"));
    let beta = Peer::start(&space, "beta").await;
    space.set(entry.recipients[0].next_attempt);
    drained(&alpha).await;
    let notice = &labo.notices(&alpha, 1).await[0];
    assert_eq!(notice.recipients[0].action, Action::Failed);
    assert_eq!(notice.recipients[0].status.to_string(), "5.7.1");
    assert_eq!(beta.connections(), 0, "not even a connection");
    // And a new message is refused at once.
    let mut session = labo.session(&space, &alpha).await;
    let letter = Letter::new(&labo, "after", &[DEST]);
    let envelope = Envelope { from: letter.from.clone(), to: letter.to.clone() };
    let delivery = session.send(&envelope, &mut letter.text.as_slice()).await.expect("answered");
    assert!(matches!(&delivery.recipients[0], RecipientResult::Permanent(r) if r.to_string().starts_with("550 5.7.1")));
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_trusted_gets_nothing() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let host = "mx.beta.formation.mssante.fr";
    let cases = [
        ("unlisted", certificate(&space, host, "1590000004", "HORS LISTE", Validity::Usual)),
        ("expired", certificate(&space, host, "1420000001", "beta", Validity::Expired)),
        ("another name", certificate(&space, "mx.delta.formation.mssante.fr", "1420000001", "beta", Validity::Usual)),
    ];
    for (number, (what, shown)) in cases.iter().enumerate() {
        let trap = Peer::with(&space, "beta", shown, u32::MAX).await;
        let accepted = space.now();
        labo.send(&space, &alpha, &Letter::new(&labo, &format!("trap-{number}"), &[DEST])).await;
        let entry = attempted(&alpha, 1).await;
        assert!(entry.recipients[0].last_error.as_deref().is_some_and(|e| e.contains(host)), "{what}: {entry:?}");
        assert!(trap.connections() >= 1, "{what}");
        // Less patience than with a server that is down: four hours, not five days.
        space.set(accepted + 4 * HOUR);
        drained(&alpha).await;
        let notice = labo.notices(&alpha, number + 1).await.remove(number);
        assert_eq!(notice.recipients[0].action, Action::Failed, "{what}");
        assert_eq!(notice.recipients[0].status.to_string(), "5.7.5", "{what}");
        assert_eq!((trap.transactions(), trap.taken().len()), (0, 0), "{what}");
        drop(trap);
    }
    // The true one, at the same place.
    let beta = Peer::start(&space, "beta").await;
    labo.send(&space, &alpha, &Letter::new(&labo, "true", &[DEST])).await;
    beta.wait(1).await;
    drained(&alpha).await;
    alpha.stop().await;
}

/// A session on an operator's interface with any certificate.
async fn visit(space: &Space, operator: &operator::Operator, shown: &Issued) -> Result<Client, ClientError> {
    let settings = Settings {
        helo: "visitor.test".to_owned(),
        connector: space.connector(shown, Profile::Operator),
        timeouts: Timeouts::default(),
    };
    let mx = operator.addresses.mx.expect("an interface");
    Client::connect(mx, "127.0.0.1", &settings, &|_| Ok(())).await
}

async fn offer(client: &mut Client, from: &str, to: &str) -> String {
    let path =
        if from.is_empty() { ReversePath::Null } else { ReversePath::Address(from.parse().expect("an address")) };
    let envelope = Envelope {
        from: MailFrom::new(path),
        to: vec![Rcpt::new(ForwardPath::Address(to.parse().expect("an address")))],
    };
    let mut text: &[u8] = b"Subject: essai\r\n\r\nessai\r\n";
    match client.send(&envelope, &mut text).await {
        Ok(delivery) => delivery.recipients[0].reply().to_string(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_bring_what() {
    let space = Space::new().await;
    let beta = space.operator("beta").await;
    let labo = Labo::open(&space, &beta, "beta").await;
    let to = labo.address.to_string();

    let mut alpha = visit(&space, &beta, &space.operator_certificate("alpha")).await.expect("connected");
    let cases = [
        ("qui@alpha.formation.mssante.fr", to.as_str(), "250"),
        ("", to.as_str(), "250"),
        ("qui@beta.formation.mssante.fr", to.as_str(), "550 5.7.1"),
        ("qui@gamma.formation.mssante.fr", to.as_str(), "550 5.7.1"),
        ("qui@alpha.formation.mssante.fr", "personne@beta.formation.mssante.fr", "550 5.1.1"),
        ("qui@alpha.formation.mssante.fr", "qui@gamma.formation.mssante.fr", "550 5.7.1"),
    ];
    for (from, to, expected) in cases {
        let said = offer(&mut alpha, from, to).await;
        assert!(said.starts_with(expected), "{from} to {to}: {said}");
    }
    alpha.quit().await;
    let outsider = certificate(&space, "mx.hors.mssante.fr", "1590000004", "HORS LISTE", Validity::Usual);
    let mut outsider = visit(&space, &beta, &outsider).await.expect("connected");
    for from in ["qui@alpha.formation.mssante.fr", ""] {
        let said = offer(&mut outsider, from, &to).await;
        assert!(said.starts_with("550 5.7.1"), "{said}");
    }
    let expired = certificate(&space, "mx.alpha.formation.mssante.fr", "1750000001", "alpha", Validity::Expired);
    let mut expired = visit(&space, &beta, &expired).await.expect("connected: the refusal is in SMTP");
    let said = offer(&mut expired, "qui@alpha.formation.mssante.fr", &to).await;
    assert!(said.starts_with("550 5.7.1 Your client certificate is refused"), "{said}");
    assert_eq!(labo.messages(&beta).await.len(), 2);

    // Taken off the list in the middle of a connection: no longer.
    let mut alpha = visit(&space, &beta, &space.operator_certificate("alpha")).await.expect("connected");
    assert!(offer(&mut alpha, "qui@alpha.formation.mssante.fr", &to).await.starts_with("250"));
    space.advance(1);
    space.publish(&["beta"]);
    assert!(beta.white_list().refresh().await.expect("published"));
    let said = offer(&mut alpha, "qui@alpha.formation.mssante.fr", &to).await;
    assert!(said.starts_with("550 5.7.1"), "{said}");
    assert_eq!(labo.messages(&beta).await.len(), 3);
    beta.stop().await;
}
