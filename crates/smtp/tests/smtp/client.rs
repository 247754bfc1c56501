//! Our client against our server.

use patience::PATIENCE;
use smtp::client::{Client, ClientCredentials, ClientError, Envelope, RecipientResult, Settings, Stage, Timeouts};
use smtp::{BodyType, MailFrom, Rcpt, Ret, Role};
use zeroize::Zeroizing;

use crate::pki;
use crate::recorder::Server;

pub fn settings(shows: Option<&str>) -> Settings {
    Settings {
        helo: "relay.beta.formation.mssante.fr".into(),
        connector: pki::connector(shows),
        timeouts: Timeouts {
            connect: PATIENCE,
            greeting: PATIENCE,
            command: PATIENCE,
            data_start: PATIENCE,
            data_block: PATIENCE,
            data_end: PATIENCE,
        },
    }
}

pub fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        from: MailFrom::new(from.parse().expect("a path")),
        to: to.iter().map(|to| Rcpt::new(to.parse().expect("a path"))).collect(),
    }
}

async fn connect(server: &Server, shows: Option<&str>) -> Client {
    Client::connect(server.address, pki::HOST, &settings(shows), &|_| Ok(())).await.expect("connected")
}

#[tokio::test]
async fn messages_arrive_with_their_parameters_and_one_result_each() {
    let server = Server::mx().await;
    let mut client = connect(&server, Some("peer")).await;
    assert!(client.extensions().chunking && client.extensions().dsn && client.tls().peer.is_some());
    let mut message = envelope(
        "a@alpha.mssante.fr",
        &["b@beta.mssante.fr", "unknown@beta.mssante.fr", "later@beta.mssante.fr", "c@beta.mssante.fr"],
    );
    message.from.size = Some(10);
    message.from.body = BodyType::EightBit;
    message.from.ret = Some(Ret::Full);
    message.from.envid = Some("e+2B1".parse().expect("xtext"));
    message.to[0].notify = Some("SUCCESS,FAILURE".parse().expect("valid"));
    message.to[0].orcpt = Some("rfc822;x@y.fr".parse().expect("valid"));
    // Bare line ends become CRLF, dots survive.
    let delivery = client.send(&message, &mut &b"a\n.\n..\rb"[..]).await.expect("sent");
    assert!(delivery.dsn);
    assert!(
        matches!(
            &delivery.recipients[..],
            [
                RecipientResult::Accepted(_),
                RecipientResult::Permanent(_),
                RecipientResult::Temporary(_),
                RecipientResult::Accepted(_)
            ]
        ),
        "{delivery:?}"
    );
    assert_eq!(delivery.recipients[0].reply().text(), "Ok: queued as q1");
    assert_eq!(delivery.recipients[1].reply().to_string(), "550 5.1.1 No such mailbox here");
    // Nobody accepted, then refused at MAIL, then at the end: the connection goes on.
    let none = client
        .send(&envelope("a@alpha.mssante.fr", &["unknown@b.fr", "later@b.fr"]), &mut &b""[..])
        .await
        .expect("answered");
    assert!(matches!(none.recipients[..], [RecipientResult::Permanent(_), RecipientResult::Temporary(_)]));
    let mail = client
        .send(&envelope("refused@alpha.mssante.fr", &["b@b.fr", "c@b.fr"]), &mut &b""[..])
        .await
        .expect("answered");
    assert!(mail.recipients.iter().all(|r| r.reply().code() == 550));
    for (from, code) in
        [("nodata@alpha.mssante.fr", 452), ("full@alpha.mssante.fr", 452), ("commit@alpha.mssante.fr", 451)]
    {
        let end = client.send(&envelope(from, &["b@b.fr"]), &mut &b"x"[..]).await.expect("answered");
        assert_eq!(end.recipients[0].reply().code(), code, "{from}");
    }
    let again = client.send(&envelope("", &["b@beta.mssante.fr"]), &mut &b"again\r\n"[..]).await.expect("sent");
    assert!(matches!(again.recipients[..], [RecipientResult::Accepted(_)]));
    client.quit().await;
    let messages = server.recorder.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].body, b"a\r\n.\r\n..\r\nb\r\n");
    assert_eq!(messages[0].from, message.from);
    assert_eq!(messages[0].to, [message.to[0].clone(), message.to[3].clone()]);
}

#[tokio::test]
async fn a_large_message_streams_and_many_recipients_go_in_groups() {
    let server = Server::mx().await;
    let mut client = connect(&server, Some("peer")).await;
    let body = "0123456789abcdefghijklmnopqrstuvwxyz éé\r\n".repeat(60_000);
    let to: Vec<String> = (0..170).map(|n| format!("r{n}@beta.mssante.fr")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let delivery = client.send(&envelope("a@alpha.mssante.fr", &to), &mut body.as_bytes()).await.expect("sent");
    assert_eq!(delivery.recipients.iter().filter(|r| matches!(r, RecipientResult::Accepted(_))).count(), 170);
    assert!(server.recorder.messages()[0].body == body.as_bytes());
}

#[tokio::test]
async fn what_the_peer_cannot_take_is_refused_here() {
    let server = Server::start(Role::Mx, |config| config.max_size = 100).await;
    let mut client = connect(&server, Some("peer")).await;
    let mut message = envelope("a@alpha.mssante.fr", &["b@beta.mssante.fr"]);
    message.from.size = Some(101);
    let delivery = client.send(&message, &mut &b""[..]).await.expect("answered");
    assert_eq!(delivery.recipients[0].reply().enhanced().map(|e| e.to_string()).as_deref(), Some("5.3.4"));
    assert!(matches!(client.send(&envelope("", &[]), &mut &b""[..]).await, Err(ClientError::Misuse(_))));
}

#[tokio::test]
async fn the_check_is_made_before_anything_is_said() {
    let server = Server::mx().await;
    let refused = Client::connect(server.address, pki::HOST, &settings(Some("peer")), &|info| {
        let peer = info.client().map_err(|fault| fault.to_string())?;
        assert!(peer.dns_names.iter().any(|name| name == pki::HOST));
        Err("not on the list".to_owned())
    })
    .await;
    let error = refused.err().expect("refused");
    assert!(matches!(&error, ClientError::Untrusted(why) if why == "not on the list"));
    assert!(error.is_trust() && error.is_temporary());
    let wrong = Client::connect(server.address, "smtp.other.mssante.fr", &settings(Some("peer")), &|_| Ok(())).await;
    assert!(wrong.err().expect("refused").certificate_fault().is_some());
}

#[tokio::test]
async fn a_client_without_certificate_is_told_for_each_recipient() {
    let server = Server::mx().await;
    let mut client = connect(&server, None).await;
    let delivery =
        client.send(&envelope("a@alpha.mssante.fr", &["b@beta.mssante.fr"]), &mut &b"x"[..]).await.expect("answered");
    assert!(
        matches!(&delivery.recipients[0], RecipientResult::Permanent(reply) if reply.to_string().starts_with("550 5.7.1"))
    );
}

#[tokio::test]
async fn submission_by_xoauth2_and_external() {
    let server = Server::submission().await;
    let xoauth2 = |token: &str| ClientCredentials::XOAuth2 {
        user: "a@alpha.mssante.fr".into(),
        token: Zeroizing::new(token.into()),
    };
    let mut client = connect(&server, None).await;
    for (token, code, temporary) in [("bad", 535, false), ("unavailable", 454, true)] {
        let error = client.authenticate(&xoauth2(token)).await.expect_err("refused");
        assert!(
            matches!(&error, ClientError::Refused { stage: Stage::Auth, reply } if reply.code() == code),
            "{error}"
        );
        assert_eq!(error.is_temporary(), temporary);
    }
    client.authenticate(&xoauth2("good")).await.expect("authenticated");
    let delivery =
        client.send(&envelope("a@alpha.mssante.fr", &["b@beta.mssante.fr"]), &mut &b"x"[..]).await.expect("sent");
    assert!(matches!(delivery.recipients[..], [RecipientResult::Accepted(_)]));
    client.quit().await;
    let mut long = connect(&server, None).await;
    let error = long.authenticate(&xoauth2(&"x".repeat(9100))).await.expect_err("refused");
    assert!(matches!(error, ClientError::Refused { stage: Stage::Auth, ref reply } if reply.code() == 535), "{error}");
    long.authenticate(&ClientCredentials::External("app@alpha.mssante.fr".into())).await.expect("authenticated");
}
