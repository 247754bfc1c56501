//! The campaign as another operator (operator interface, port 25) and as the software of a BAL APP: connected, in TLS with a certificate
//! of the job, and what became of it.

use crate::context::{Context, EHLO, Protocol};
use crate::forge;
use crate::job::{AppLogin, Certificates, OperatorInterface, Server};
use crate::reader::MARK;
use crate::tls::starttls::shown;
use crate::verdict::Verdict;
use crate::wire::{Handshake, Log, Shown, SmtpAnswer, Wire, WireError};

/// What became of somebody who presented themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Let in.
    Accepted(String),
    /// Refused: an alert, a close at the handshake, a permanent reply.
    Refused(String),
    /// Put off in words: a 421, a temporary reply. Once, that says nothing; again and again between good ones, it does.
    Postponed(String),
    /// Neither: silence, no connection, no protocol.
    Unclear(String),
}

impl Attempt {
    /// The deciding line.
    #[must_use]
    pub fn line(&self) -> &str {
        match self {
            Attempt::Accepted(line) | Attempt::Refused(line) | Attempt::Postponed(line) | Attempt::Unclear(line) => {
                line
            }
        }
    }

    /// Whether they were let in.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Attempt::Accepted(_))
    }

    /// From an error before or at the handshake.
    fn of_handshake(end: &Handshake) -> Attempt {
        match end {
            Handshake::Alert(_) | Handshake::Closed => Attempt::Refused(end.told()),
            Handshake::Failed(_) => Attempt::Unclear(end.told()),
        }
    }

    /// From an SMTP reply: 454 is « TLS not available » (RFC 3207 §4), a refusal of the certificate in other words.
    #[must_use]
    pub fn of_reply(answer: &SmtpAnswer) -> Attempt {
        let line = shown(answer.line());
        match answer.code {
            200..400 => Attempt::Accepted(line),
            454 | 500..600 => Attempt::Refused(line),
            400..500 => Attempt::Postponed(line),
            _ => Attempt::Unclear(line),
        }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSession {
    /// Before TLS, or a reply that is none.
    Wire(WireError),
    /// At the handshake.
    Handshake(Handshake),
}

impl From<WireError> for NoSession {
    fn from(error: WireError) -> NoSession {
        NoSession::Wire(error)
    }
}

impl std::fmt::Display for NoSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoSession::Wire(error) => error.fmt(f),
            NoSession::Handshake(end) => f.write_str(&end.told()),
        }
    }
}

impl From<&NoSession> for Attempt {
    fn from(end: &NoSession) -> Attempt {
        match end {
            NoSession::Wire(error @ WireError::Busy(_)) => Attempt::Postponed(error.to_string()),
            NoSession::Wire(error) => Attempt::Unclear(error.to_string()),
            NoSession::Handshake(end) => Attempt::of_handshake(end),
        }
    }
}

/// SMTP up to inside TLS, with this certificate or none.
///
/// # Errors
/// [`NoSession`].
pub async fn smtp(context: &Context, server: &Server, who: Option<&Shown>, log: &Log) -> Result<Wire, NoSession> {
    let mut wire = smtp_in_clear(context, server, log).await?;
    let answer = wire.smtp("STARTTLS").await?;
    if answer.code != 220 {
        return Err(WireError::Protocol(shown(answer.line())).into());
    }
    let mut wire = wire.tls_as(&server.name, who).await.map_err(NoSession::Handshake)?;
    wire.smtp(EHLO).await?;
    Ok(wire)
}

/// SMTP greeted and announced, before TLS.
///
/// # Errors
/// [`WireError`]; a 421 is [`WireError::Busy`].
pub async fn smtp_in_clear(context: &Context, server: &Server, log: &Log) -> Result<Wire, WireError> {
    let mut wire = Wire::connect(server.address, context.job.limits.patience(), log).await?;
    let greeting = wire.smtp_answer().await?;
    if greeting.code == 421 {
        return Err(WireError::Busy(shown(greeting.line())));
    }
    wire.smtp(EHLO).await?;
    Ok(wire)
}

impl Context {
    /// The section of the operator interface, its first server and the peer's certificate.
    ///
    /// # Errors
    /// The verdict to give without them.
    pub fn interface(&self) -> Result<(&OperatorInterface, &Server, Shown), Verdict> {
        let none = |cause: String| Verdict::NonExecute { cause };
        let section = self
            .job
            .operator_interface
            .as_ref()
            .ok_or_else(|| none("le job n'a pas de section [operator_interface]".to_owned()))?;
        let server =
            section.mx.first().ok_or_else(|| none("operator_interface.mx ne nomme aucun serveur".to_owned()))?;
        let pair = crate::job::Pair { certificate: section.peer.certificate.clone(), key: section.peer.key.clone() };
        let who = Shown::read(&pair).map_err(|error| none(format!("operator_interface.peer : {error}")))?;
        Ok((section, server, who))
    }

    /// The section of BAL APP.
    ///
    /// # Errors
    /// The verdict to give without it.
    pub fn application(&self) -> Result<&Certificates, Verdict> {
        self.job
            .certificates
            .as_ref()
            .ok_or_else(|| Verdict::NonExecute { cause: "le job n'a pas de section [certificates]".to_owned() })
    }

    /// Whether another operator may hand over mail from its own address to the BAL of the tests: up to RCPT, nothing is sent.
    pub async fn present(&self, server: &Server, who: Option<&Shown>, from: &str, to: &str, log: &Log) -> Attempt {
        match self.presented(server, who, from, to, log).await {
            Ok(attempt) => attempt,
            Err(end) => Attempt::from(&end),
        }
    }

    async fn presented(
        &self,
        server: &Server,
        who: Option<&Shown>,
        from: &str,
        to: &str,
        log: &Log,
    ) -> Result<Attempt, NoSession> {
        let mut wire = match smtp(self, server, who, log).await {
            // The certificate is what differs: a close right after the handshake is its refusal.
            Err(NoSession::Wire(WireError::Closed)) => return Ok(Attempt::Refused(WireError::Closed.to_string())),
            other => other?,
        };
        let sender = wire.smtp(&format!("MAIL FROM:<{from}>")).await?;
        if sender.code >= 300 {
            return Ok(Attempt::of_reply(&sender));
        }
        let recipient = wire.smtp(&format!("RCPT TO:<{to}>")).await?;
        let attempt = Attempt::of_reply(&recipient);
        // Politeness: whatever is answered, nothing hangs on it.
        let _ = wire.smtp("RSET").await;
        let _ = wire.smtp("QUIT").await;
        Ok(attempt)
    }

    /// Whether a BAL APP opens, by IMAP or for sending, with this certificate.
    pub async fn open_app(
        &self,
        section: &Certificates,
        protocol: Protocol,
        who: Option<&Shown>,
        log: &Log,
    ) -> Attempt {
        let opened = match protocol {
            Protocol::Imap => self.imap_app(section, who, log).await,
            Protocol::Smtp => self.smtp_app(section, who, log).await,
        };
        match opened {
            Ok(attempt) => attempt,
            Err(end) => Attempt::from(&end),
        }
    }

    async fn imap_app(&self, section: &Certificates, who: Option<&Shown>, log: &Log) -> Result<Attempt, NoSession> {
        let server = &section.imap;
        let mut wire = Wire::connect(server.address, self.job.limits.patience(), log).await?;
        wire.imap_greeting().await?;
        let answer = wire.imap("STARTTLS").await?;
        if !answer.is_ok() {
            return Err(WireError::Protocol(answer.line).into());
        }
        let mut wire = wire.tls_as(&server.name, who).await.map_err(NoSession::Handshake)?;
        let identity = match section.login {
            AppLogin::External => Some(openssl::base64::encode_block(section.mailbox.as_bytes())),
            AppLogin::ExternalEmpty => Some("=".to_owned()),
            AppLogin::Preauth => None,
        };
        let mut last = String::new();
        let login = identity.map(|identity| format!("AUTHENTICATE EXTERNAL {identity}"));
        for command in login.iter().map(String::as_str).chain(["SELECT INBOX"]) {
            let answer = match wire.imap(command).await {
                Err(WireError::Closed) => return Ok(Attempt::Refused(WireError::Closed.to_string())),
                other => other?,
            };
            last = answer.line.clone();
            if !answer.is_ok() {
                let is_later = answer.says("UNAVAILABLE") || answer.says("INUSE") || answer.says("LIMIT");
                return Ok(if is_later { Attempt::Postponed(last) } else { Attempt::Refused(last) });
            }
        }
        let _ = wire.imap("LOGOUT").await;
        Ok(Attempt::Accepted(last))
    }

    async fn smtp_app(&self, section: &Certificates, who: Option<&Shown>, log: &Log) -> Result<Attempt, NoSession> {
        let mut wire = match smtp(self, &section.smtp, who, log).await {
            Err(NoSession::Wire(WireError::Closed)) => return Ok(Attempt::Refused(WireError::Closed.to_string())),
            other => other?,
        };
        let identity = match section.login {
            AppLogin::External => Some(openssl::base64::encode_block(section.mailbox.as_bytes())),
            AppLogin::ExternalEmpty => Some("=".to_owned()),
            AppLogin::Preauth => None,
        };
        let login = identity.map(|identity| format!("AUTH EXTERNAL {identity}"));
        let sender = format!("MAIL FROM:<{}>", section.mailbox);
        let mut attempt = Attempt::Unclear(String::new());
        for command in login.iter().map(String::as_str).chain([sender.as_str()]) {
            attempt = match wire.smtp(command).await {
                Ok(answer) => Attempt::of_reply(&answer),
                Err(WireError::Closed) => Attempt::Refused(WireError::Closed.to_string()),
                Err(error) => return Err(error.into()),
            };
            if !attempt.is_accepted() {
                return Ok(attempt);
            }
        }
        let _ = wire.smtp("RSET").await;
        let _ = wire.smtp("QUIT").await;
        Ok(attempt)
    }
}

/// A message of the tests: its mark, and its octets.
pub struct Message {
    /// Unlike any other.
    pub mark: String,
    /// As sent, CRLF line ends, without dot-stuffing.
    pub octets: Vec<u8>,
}

impl Message {
    /// From, To, Date, Message-ID, Subject and the mark, then these fields, then this body (CRLF line ends).
    #[must_use]
    pub fn new(from: &str, to: &str, fields: &[(&str, &str)], body: &[u8]) -> Message {
        let mark = forge::id();
        let now = time::OffsetDateTime::now_utc();
        let date = now.format(&time::format_description::well_known::Rfc2822).unwrap_or_default();
        let mut head = vec![
            ("From".to_owned(), format!("<{from}>")),
            ("To".to_owned(), format!("<{to}>")),
            ("Date".to_owned(), date),
            ("Message-ID".to_owned(), format!("<{mark}@controle.vaguemestre.invalid>")),
            ("Subject".to_owned(), "Essai de l'application de controle".to_owned()),
            (MARK.to_owned(), mark.clone()),
        ];
        let ours = head.len();
        let mut given = vec![false; ours];
        for (name, value) in fields {
            let own = head[..ours].iter().position(|(known, _)| known.eq_ignore_ascii_case(name) && known != MARK);
            match own {
                // Given: ours is replaced, once.
                Some(at) if !given[at] => {
                    given[at] = true;
                    head[at].1 = (*value).to_owned();
                }
                _ => head.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        let mut octets = Vec::new();
        for (name, value) in head {
            octets.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        octets.extend(b"\r\n");
        octets.extend(body);
        if !octets.ends_with(b"\r\n") {
            octets.extend(b"\r\n");
        }
        Message { mark, octets }
    }
}

/// DATA of a message on a session whose envelope stands: the last reply.
///
/// # Errors
/// [`WireError`].
pub async fn data(wire: &mut Wire, octets: &[u8]) -> Result<SmtpAnswer, WireError> {
    let go = wire.smtp("DATA").await?;
    if go.code != 354 {
        return Ok(go);
    }
    let mut stuffed = Vec::with_capacity(octets.len() + 16);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line);
    }
    stuffed.extend(b".\r\n");
    wire.send(&stuffed, &format!("[message du test, {} octets]", octets.len())).await?;
    let answer = wire.smtp_answer().await?;
    if answer.code == 421 { Err(WireError::Busy(shown(answer.line()))) } else { Ok(answer) }
}

/// A whole message: the first reply that is not good, or that to the message.
///
/// # Errors
/// [`WireError`].
pub async fn post(
    wire: &mut Wire,
    from: &str,
    parameters: &str,
    to: &str,
    octets: &[u8],
) -> Result<SmtpAnswer, WireError> {
    for command in [format!("MAIL FROM:<{from}>{parameters}"), format!("RCPT TO:<{to}>")] {
        let answer = wire.smtp(&command).await?;
        if answer.code >= 300 {
            return Ok(answer);
        }
    }
    data(wire, octets).await
}
