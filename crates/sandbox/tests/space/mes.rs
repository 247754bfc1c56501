//! Mon espace santé, written to as operators do.

use std::net::SocketAddr;

use sandbox::mes::Note;
use smtp::client::{Client, ClientError, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{MailFrom, Rcpt};
use trust::tls::{ClientTls, Connector, Identity};

use super::Outside;

const INS: &str = "255069999999934";
const FROM: &str = "marie.martin@alpha.formation.mssante.fr";

/// OPE-PATIENT, OPE-MTLS, OPE-LIST
pub async fn receives(outside: &Outside<'_>) {
    let alpha = &outside.description.operators[0];
    let good = (alpha.certificate.as_str(), alpha.key.as_str());
    let message =
        b"From: <marie.martin@alpha.formation.mssante.fr>\r\nX-MSS-MES: FIN\r\nSubject: fin\r\n\r\nBonjour\r\n";
    let patient = format!("{INS}@patient.mssante.fr");
    let wrong_key = "255069999999935@patient.mssante.fr";
    let sent = send(outside, good, FROM, &[&patient, wrong_key, "a@beta.formation.mssante.fr"], message)
        .await
        .expect("a transaction");
    assert!(matches!(sent[0], RecipientResult::Accepted(_)), "{sent:?}");
    assert_eq!(codes(&sent[1]), (550, "5.1.1".to_owned()));
    assert_eq!(codes(&sent[2]), (550, "5.7.1".to_owned()));
    let folder = outside.folder.join(&outside.description.mes.folder).join(INS);
    assert_eq!(std::fs::read(folder.join("1.eml")).expect("stored"), message);
    let note: Note = serde_json::from_slice(&std::fs::read(folder.join("1.json")).expect("noted")).expect("JSON");
    assert!(note.fin);
    assert_eq!(
        (note.from.as_str(), note.to.as_str(), note.operator_dn.as_str()),
        (FROM, patient.as_str(), alpha.dn.as_str())
    );

    // Not a domain of this certificate; then certificates that are not good enough.
    let refused = send(outside, good, "x@beta.formation.mssante.fr", &[&patient], message).await;
    assert_eq!(refusal(refused), (550, "5.7.1".to_owned()));
    for name in [
        "expired",
        "not-yet-valid",
        "revoked",
        "other-authority",
        "wrong-usage",
        "no-usage",
        "unlisted",
        "other-structure",
    ] {
        let negative = &outside.description.negative[name];
        let refused = send(outside, (&negative.certificate, &negative.key), FROM, &[&patient], message).await;
        let (code, _) = refusal(refused);
        assert_eq!(code, 550, "{name}");
    }

    let big = vec![b'a'; 64];
    let mut huge = message.to_vec();
    while huge.len() <= 25 * 1024 * 1024 {
        huge.extend_from_slice(&big);
        huge.extend_from_slice(b"\r\n");
    }
    let refused = send(outside, good, FROM, &[&patient], &huge).await;
    assert_eq!(refusal(refused), (552, "5.3.4".to_owned()));
    assert!(!folder.join("2.eml").exists(), "nothing refused is kept");
}

async fn send(
    outside: &Outside<'_>,
    (certificate, key): (&str, &str),
    from: &str,
    to: &[&str],
    message: &[u8],
) -> Result<Vec<RecipientResult>, ClientError> {
    let identity =
        Identity::from_files(&outside.folder.join(certificate), &outside.folder.join(key)).expect("a certificate");
    let connector = Connector::new(ClientTls::operator(identity, outside.anchors.clone(), outside.revocation.clone()));
    let settings = Settings {
        helo: "mx.alpha.formation.mssante.fr".into(),
        connector: connector.expect("a connector"),
        timeouts: Timeouts::default(),
    };
    let mx = &outside.description.mes.mx;
    let address = SocketAddr::new(mx.host.parse().expect("an address"), mx.port);
    let mut client = Client::connect(address, &mx.name, &settings, &|_| Ok(())).await?;
    let envelope = Envelope {
        from: MailFrom::new(from.parse().expect("a path")),
        to: to.iter().map(|to| Rcpt::new(to.parse().expect("a path"))).collect(),
    };
    let mut body = message;
    let sent = client.send(&envelope, &mut body).await?;
    client.quit().await;
    Ok(sent.recipients)
}

fn codes(result: &RecipientResult) -> (u16, String) {
    let reply = result.reply();
    (reply.code(), reply.enhanced().map(|code| code.to_string()).unwrap_or_default())
}

/// How a whole message was refused, whether at MAIL or at its end.
fn refusal(result: Result<Vec<RecipientResult>, ClientError>) -> (u16, String) {
    match result {
        Ok(recipients) => {
            assert!(matches!(recipients[0], RecipientResult::Permanent(_)), "{recipients:?}");
            codes(&recipients[0])
        }
        Err(ClientError::Refused { reply, .. }) => {
            (reply.code(), reply.enhanced().map(|code| code.to_string()).unwrap_or_default())
        }
        Err(other) => panic!("{other}"),
    }
}
