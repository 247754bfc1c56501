//! AUTHENTICATE: XOAUTH2 and EXTERNAL, with and without initial response (RFC 4959). For other servers, whose mail is brought here,
//! a password by PLAIN (RFC 4616) or LOGIN.
//!
//! A refusal of XOAUTH2 comes in two styles: a challenge with base64 JSON, answered by an empty line, then NO; or NO at once. Both
//! give the same [`ClientError::Refused`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::connection::Result;
use super::{Capabilities, ClientError, Command, Connection, Response, Untagged};

/// Challenges answered: XOAUTH2 and EXTERNAL have one at most, besides the empty one that asks for the response.
const MAX_CHALLENGES: usize = 2;

/// How a mailbox is opened.
pub enum Sasl<'s> {
    /// An access token (MSS-7.2).
    XOAuth2 {
        /// The mailbox asked for.
        user: &'s str,
        /// The token.
        token: &'s str,
    },
    /// The certificate shown in the handshake (LPS-APP).
    External {
        /// The mailbox asked for; empty: the one of the certificate.
        authorization: &'s str,
    },
    /// A password. No operator of the trust space takes one.
    Plain {
        /// Who.
        user: &'s str,
        /// The password.
        password: &'s str,
    },
}

impl Sasl<'_> {
    /// The mechanism's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Sasl::XOAuth2 { .. } => "XOAUTH2",
            Sasl::External { .. } => "EXTERNAL",
            Sasl::Plain { .. } => "PLAIN",
        }
    }

    /// In base64.
    fn response(&self) -> Zeroizing<String> {
        let plain = Zeroizing::new(match self {
            Sasl::XOAuth2 { user, token } => format!("user={user}\x01auth=Bearer {token}\x01\x01"),
            Sasl::External { authorization } => (*authorization).to_owned(),
            Sasl::Plain { user, password } => format!("\0{user}\0{password}"),
        });
        Zeroizing::new(STANDARD.encode(plain.as_bytes()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Opens the mailbox. Only under TLS: [`open`](super::open) gives no other connection.
    ///
    /// # Errors
    /// [`ClientError::NoMechanism`], [`ClientError::Refused`] with the server's code, or the connection's.
    pub async fn authenticate(&mut self, sasl: &Sasl<'_>) -> Result<()> {
        let name = sasl.name();
        if !self.capabilities.offers(name) {
            return Err(ClientError::NoMechanism(name));
        }
        let response = sasl.response();
        let mut sent = self.capabilities.can("SASL-IR");
        let mut line = Zeroizing::new(String::new());
        if sent {
            line.push(' ');
            // RFC 4959: an empty initial response is `=`.
            line.push_str(if response.is_empty() { "=" } else { &response });
        }
        line.push_str("\r\n");
        let known = std::mem::take(&mut self.capabilities);
        let command = Command::new("AUTHENTICATE").text(" ").text(name);
        let tag = Self::tag_number(self.begin(&command, &line).await?);
        let mut challenges = 0;
        loop {
            match self.response().await? {
                Response::Continue(_) => {
                    challenges += 1;
                    if challenges > MAX_CHALLENGES {
                        return Err(ClientError::Protocol("challenges without end"));
                    }
                    // The first asks for the response; any other tells why it is refused, and wants an empty line.
                    let answer =
                        if sent { "\r\n".to_owned().into() } else { Zeroizing::new(format!("{}\r\n", *response)) };
                    sent = true;
                    self.reader.send(answer.as_bytes()).await?;
                    self.reader.flush().await?;
                }
                Response::Tagged { tag: ended, told } if ended == format!("v{tag}") => {
                    match self.ended("AUTHENTICATE", told) {
                        Ok(_) => break,
                        Err(error) => {
                            self.capabilities = known;
                            return Err(error);
                        }
                    }
                }
                Response::Tagged { .. } => return Err(ClientError::Protocol("an answer to no command")),
                // CAPABILITY is noted; nothing else matters yet.
                Response::Untagged(Untagged::Status(_) | Untagged::Capability(_)) => {}
                Response::Untagged(_) => {}
            }
        }
        self.entered().await
    }

    /// LOGIN, for a server that has a password and no PLAIN. Only under TLS.
    ///
    /// # Errors
    /// [`ClientError::NoMechanism`] where the server says that it takes none, or as [`Connection::authenticate`].
    pub async fn login(&mut self, user: &str, password: &str) -> Result<()> {
        if self.capabilities.has("LOGINDISABLED") {
            return Err(ClientError::NoMechanism("LOGIN"));
        }
        let known = std::mem::take(&mut self.capabilities);
        let command = Command::new("LOGIN").text(" ").string(user).text(" ").string(password);
        if let Err(error) = self.run(&command, &mut |_| {}).await {
            self.capabilities = known;
            return Err(error);
        }
        self.entered().await
    }

    /// The mailbox is open: capabilities may be others now.
    async fn entered(&mut self) -> Result<()> {
        self.reader.authenticated();
        if self.capabilities == Capabilities::default() {
            self.ask_capabilities().await?;
        }
        Ok(())
    }

    /// Whether the certificate alone has opened the mailbox (PREAUTH): no mechanism is offered, and a command of an open mailbox
    /// is answered.
    ///
    /// # Errors
    /// [`ClientError`], but a refusal.
    pub async fn is_open_already(&mut self) -> Result<bool> {
        if self.capabilities.mechanisms().next().is_some() {
            return Ok(false);
        }
        match self.run(&Command::new("LIST").text(" \"\" \"\""), &mut |_| {}).await {
            Ok(_) => {
                self.reader.authenticated();
                Ok(true)
            }
            Err(error) if error.is_clean() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
