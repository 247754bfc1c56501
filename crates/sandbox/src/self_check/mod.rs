//! One real exchange, as mail software would make it: Marie MARTIN of operator alpha sends a CDA in an `IHE_XDM.zip` to Sophie
//! LEROY of operator beta, who reads it. Over the ports, with tokens, certificates checked; nothing is called from inside.
//!
//! The message is deleted once it was read: the mailboxes are left as they were.

mod imap;
mod message;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mssante::{Address, NationalId};
use smtp::client::{Client, ClientCredentials, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{MailFrom, Rcpt};
use trust::SystemClock;
use trust::revocation::{CrlSource, Revocation, RevocationSettings};
use trust::tls::{Anchors, ClientTls, Connector, Profile, Tls13};
use zeroize::Zeroizing;

use crate::cast;
use crate::description::{Description, Endpoint, OperatorEntry};
use crate::psc::{Order, mint};
use imap::Imap;

/// From the submission to the message in the other mailbox. Milliseconds are expected.
const DELIVERY_LIMIT: Duration = Duration::from_secs(30);
/// Who writes.
const SENDER: &str = "899700000017";
/// Who reads.
const READER: &str = "899700000039";

/// Why the exchange failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {why}")]
pub struct CheckError {
    /// What was being done.
    pub step: &'static str,
    /// What happened.
    pub why: String,
}

/// As a function for `map_err`.
fn at<E: fmt::Display>(step: &'static str) -> impl Fn(E) -> CheckError {
    move |why| CheckError { step, why: why.to_string() }
}

/// What the exchange showed.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Who wrote, from which mailbox.
    pub from: (String, String),
    /// Who read, in which mailbox.
    pub to: (String, String),
    /// What it was about.
    pub subject: String,
    /// Octets of the whole message.
    pub octets: usize,
    /// TLS between the sender's software and its operator.
    pub submission_tls: String,
    /// TLS between the two operators, as the second one's trace field says.
    pub relay_tls: String,
    /// DN of the certificate of the sender's operator.
    pub sender_dn: String,
    /// DN of the certificate of the reader's operator.
    pub reader_dn: String,
    /// From the sender's 250 to the reader's notification.
    pub delivery: Duration,
    /// All of it, connections and logins included.
    pub total: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0);
        writeln!(f, "{} <{}> wrote to {} <{}>", self.from.0, self.from.1, self.to.0, self.to.1)?;
        writeln!(
            f,
            "  message      {} ({} octets, one CDA in an IHE_XDM.zip, read back identical)",
            self.subject, self.octets
        )?;
        writeln!(f, "  API LPS      {}", self.submission_tls)?;
        writeln!(f, "  operators    {}", self.relay_tls)?;
        writeln!(f, "  sender's     {}", self.sender_dn)?;
        writeln!(f, "  reader's     {}", self.reader_dn)?;
        write!(f, "  delivery     {} after the 250 ({} in all)", ms(self.delivery), ms(self.total))
    }
}

/// Makes the exchange in the sandbox described, whose folder is `folder`.
///
/// # Errors
/// [`CheckError`] tells the step that failed.
pub async fn run(folder: &Path, description: &Description) -> Result<Exchange, CheckError> {
    let begun = Instant::now();
    let (from, sending) = place(description, SENDER)?;
    let (to, reading) = place(description, READER)?;
    let connector = connector(folder, description).await?;
    let token = |id: &str| {
        let id: NationalId = id.parse().map_err(at("the cast"))?;
        mint(folder, &Order::of(id), SystemTime::now()).map(Zeroizing::new).map_err(at("a token"))
    };

    let mut reader = Imap::open(&reading.imap, &connector).await?;
    reader.authenticate(&to.to_string(), &token(READER)?).await?;
    let present = reader.select("INBOX").await?;
    reader.begin_idle().await?;

    let mail = message::compose(SENDER, &from, &to).map_err(at("the message"))?;
    let settings = Settings { helo: "bac-a-sable.localhost".to_owned(), connector, timeouts: timeouts() };
    let submission = &sending.submission;
    let step = at("submission");
    let mut client =
        Client::connect(address(submission)?, &submission.host, &settings, &|_| Ok(())).await.map_err(&step)?;
    let credentials = ClientCredentials::XOAuth2 { user: from.to_string(), token: token(SENDER)? };
    client.authenticate(&credentials).await.map_err(at("submission"))?;
    let tls = client.tls();
    let submission_tls = format!("{} {}", tls.version, tls.suite);
    let sender_dn = tls.client().map(|peer| peer.subject.to_string()).map_err(at("submission"))?;
    let envelope = Envelope {
        from: MailFrom { size: Some(mail.octets.len() as u64), ..MailFrom::new(from.clone().into()) },
        to: vec![Rcpt::new(to.clone().into())],
    };
    let sent = client.send(&envelope, &mut mail.octets.as_slice()).await.map_err(at("submission"))?;
    let accepted = Instant::now();
    if let Some(refused) = sent.recipients.iter().find(|r| !matches!(r, RecipientResult::Accepted(_))) {
        return Err(at("submission")(refused.reply()));
    }

    let waiting = tokio::time::timeout(DELIVERY_LIMIT, reader.more_than(present));
    let number = waiting.await.map_err(|_| at("delivery")("nothing came within 30 seconds"))??;
    let delivery = accepted.elapsed();
    client.quit().await;
    reader.end_idle().await?;
    let (uid, octets) = reader.fetch(number).await?;
    message::check(&octets, &mail).map_err(at("the message as read"))?;
    let relay_tls =
        message::relay_tls(&octets).ok_or_else(|| at("the message as read")("no trace of the relay's TLS"))?;
    let reader_dn = reader.server_dn()?;
    reader.delete(uid).await?;
    reader.logout().await?;
    let name = |id: &str| cast::person(id).map(cast::Person::name).unwrap_or_default();
    Ok(Exchange {
        from: (name(SENDER), from.to_string()),
        to: (name(READER), to.to_string()),
        subject: mail.subject,
        octets: octets.len(),
        submission_tls,
        relay_tls,
        sender_dn,
        reader_dn,
        delivery,
        total: begun.elapsed(),
    })
}

/// The PER of somebody, and its operator.
fn place<'d>(description: &'d Description, id: &str) -> Result<(Address, &'d OperatorEntry), CheckError> {
    let missing = || at("sandbox.json")("a person of the cast is missing");
    let person =
        description.people.iter().find(|p| p.id == id && p.kind.as_deref() == Some("PER")).ok_or_else(missing)?;
    let operator =
        description.operators.iter().find(|o| Some(&o.name) == person.operator.as_ref()).ok_or_else(missing)?;
    let address = person.mailbox.as_deref().ok_or_else(missing)?.parse().map_err(at("sandbox.json"))?;
    Ok((address, operator))
}

/// TLS as mail software must have it: the six suites, our authorities only, revocation lists required.
async fn connector(folder: &Path, description: &Description) -> Result<Connector, CheckError> {
    let step = "certificates";
    let anchors = Anchors::from_file(&folder.join(&description.pki.ca)).map_err(at(step))?;
    let sources =
        [&description.pki.crl_url, &description.pki.root_crl_url].map(|url| CrlSource::Url(url.clone())).into();
    let revocation =
        Arc::new(Revocation::new(RevocationSettings::required(anchors.clone(), sources)).map_err(at(step))?);
    if let Some((_, error)) = revocation.refresh().await.first() {
        return Err(at(step)(error));
    }
    Connector::new(ClientTls {
        identity: None,
        profile: Profile::ApiLps,
        tls13: Tls13::Allowed,
        tls10_until: None,
        anchors,
        revocation,
        clock: SystemClock::shared(),
    })
    .map_err(at(step))
}

fn address(endpoint: &Endpoint) -> Result<SocketAddr, CheckError> {
    let ip = endpoint.host.parse().map_err(at("sandbox.json"))?;
    Ok(SocketAddr::new(ip, endpoint.port))
}

/// Nobody waits minutes for a self-check.
fn timeouts() -> Timeouts {
    let short = Duration::from_secs(10);
    Timeouts { connect: short, greeting: short, command: short, data_start: short, data_block: short, data_end: short }
}
