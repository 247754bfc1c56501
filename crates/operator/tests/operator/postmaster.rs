//! The postmaster (RFC 5321 §4.5.1) and the Return-Path of what is delivered (§4.4).

use mail::header;
use operator::Operator;
use operator::config::Config;
use smtp::client::{Client, ClientError, Delivery, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{ForwardPath, MailFrom, Rcpt, ReversePath};
use trust::tls::Profile;

use crate::support::{Labo, Letter, Space, send};

const THEIRS: &str = "postmaster@beta.formation.mssante.fr";

/// Operator beta, with `labo` as its postmaster.
async fn beta(space: &Space) -> Operator {
    let folder = space.folder_of("beta");
    let key = "data = \"data\"\npostmaster = \"LABO@beta.formation.mssante.fr\"\n";
    let text = space.configuration("beta").replacen("data = \"data\"\n", key, 1);
    let config = Config::parse(&text, &folder.join("vaguemestre.toml"), &folder).expect("a good configuration");
    Operator::start(config, space.clock.shared()).await.expect("it starts")
}

/// A message brought by another operator to these recipients.
async fn bring(space: &Space, beta: &Operator, to: Vec<ForwardPath>) -> Result<Delivery, ClientError> {
    let settings = Settings {
        helo: "mx.alpha.formation.mssante.fr".to_owned(),
        connector: space.connector(&space.operator_certificate("alpha"), Profile::Operator),
        timeouts: Timeouts::default(),
    };
    let mx = beta.addresses.mx.expect("an interface");
    let mut client = Client::connect(mx, "127.0.0.1", &settings, &|_| Ok(())).await.expect("connected");
    let from = MailFrom::new(ReversePath::Address("qui@alpha.formation.mssante.fr".parse().expect("an address")));
    let envelope = Envelope { from, to: to.into_iter().map(Rcpt::new).collect() };
    let delivery = client.send(&envelope, &mut &b"Subject: essai\r\n\r\nessai\r\n"[..]).await;
    client.quit().await;
    delivery
}

fn to(address: &str) -> ForwardPath {
    address.parse().expect("a path")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postmaster_is_a_mailbox_of_the_configuration() {
    let space = Space::new().await;
    let (alpha, beta) = (space.operator("alpha").await, beta(&space).await);
    let (a, b) = (Labo::open(&space, &alpha, "alpha").await, Labo::open(&space, &beta, "beta").await);
    // With and without the domain, and together with the mailbox itself: one copy of each message.
    let ways = [
        vec![to("Postmaster")],
        vec![to("PostMaster@beta.formation.mssante.fr")],
        vec![to("postmaster"), to(THEIRS), to("labo@beta.formation.mssante.fr")],
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let delivery = bring(&space, &beta, way).await.expect("answered");
        assert!(delivery.recipients.iter().all(|r| matches!(r, RecipientResult::Accepted(_))), "{delivery:?}");
        assert_eq!(b.messages(&beta).await.len(), n + 1);
    }
    // By submission, there and at another operator.
    let mut letter = Letter::new(&b, "own", &[THEIRS, "labo@beta.formation.mssante.fr"]);
    letter.to.push(Rcpt::new(ForwardPath::Postmaster));
    b.send(&space, &beta, &letter).await;
    assert_eq!(b.messages(&beta).await.len(), 4);
    a.send(&space, &alpha, &Letter::new(&a, "other", &[THEIRS])).await;
    assert!(b.wait(&beta, 5).await[4].ends_with(b"Le corps du message.\r\n"));
    // Once the address is a mailbox, that has it.
    let own = Labo::named(&space, &beta, "beta", "postmaster").await;
    bring(&space, &beta, vec![to("postmaster")]).await.expect("answered");
    assert_eq!((own.messages(&beta).await.len(), b.messages(&beta).await.len()), (1, 5));
    alpha.stop().await;
    beta.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_postmaster_nobody_is() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let a = Labo::open(&space, &alpha, "alpha").await;
    let letter = Letter::new(&a, "nobody", &["postmaster@alpha.formation.mssante.fr"]);
    let mut client = a.session(&space, &alpha).await;
    let refused = send(&mut client, &letter).await.expect("answered");
    assert!(matches!(refused.recipients[0], RecipientResult::Permanent(_)), "{refused:?}");
    client.quit().await;
    let text = space.configuration("alpha").replacen(
        "data = \"data\"\n",
        "data = \"data\"\npostmaster = \"labo@beta.formation.mssante.fr\"\n",
        1,
    );
    let folder = space.folder_of("alpha");
    let problems = Config::parse(&text, &folder.join("vaguemestre.toml"), &folder).expect_err("not ours");
    assert!(
        problems.iter().any(|problem| problem.to_string().contains("not an address of this operator")),
        "{problems:?}"
    );
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_delivers_writes_the_return_path_and_who_relays_does_not() {
    let space = Space::new().await;
    let (alpha, beta) = (space.operator("alpha").await, space.operator("beta").await);
    let (a, b) = (Labo::open(&space, &alpha, "alpha").await, Labo::open(&space, &beta, "beta").await);
    let other = Labo::named(&space, &alpha, "alpha", "autre").await;
    let fields = |octets: &[u8]| {
        assert!(octets.starts_with(b"Return-Path: "), "{}", String::from_utf8_lossy(octets));
        assert_eq!(header::count(octets, "Return-Path"), 1);
        header::find(octets, "Return-Path").expect("there")
    };
    let here = other.address.to_string();
    let there = b.address.to_string();
    for (n, (id, to)) in [("both", vec![&*here, &*there]), ("here", vec![&*here])].into_iter().enumerate() {
        a.send(&space, &alpha, &Letter::new(&a, id, &to)).await;
        assert_eq!(fields(&other.messages(&alpha).await[n]), format!("<{}>", a.address));
    }
    assert_eq!(fields(&b.wait(&beta, 1).await[0]), format!("<{}>", a.address));
    // A receipt, from nobody (RFC 8098).
    let mut receipt = Letter::new(&a, "receipt", &[&*here, &*there]);
    receipt.from.path = ReversePath::Null;
    a.send(&space, &alpha, &receipt).await;
    assert_eq!(fields(&other.messages(&alpha).await[2]), "<>");
    assert_eq!(fields(&b.wait(&beta, 2).await[1]), "<>");
    alpha.stop().await;
    beta.stop().await;
}
