//! A connection: commands and their answers.
//!
//! Several commands may be under way ([`Connection::submit`]); their ends are waited for in order ([`Connection::complete`]).
//! Untagged responses go to whoever waits when they come. After an error that is not [clean](ClientError::is_clean), or when a
//! call was cancelled, the connection must be dropped: what it is in the middle of is not known.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::command::{Chunk, announce};
use super::{
    Capabilities, ClientError, Code, Command, MAX_RESPONSES, Patience, Piece, Response, ResponseReader, Status, Told,
    Untagged, parse,
};

pub(super) type Result<T> = std::result::Result<T, ClientError>;

/// Takes untagged responses, each as it comes.
pub type Take<'t> = &'t mut (dyn FnMut(Untagged) + Send);

/// A connection to a server.
#[derive(Debug)]
pub struct Connection<S> {
    pub(super) reader: ResponseReader<S>,
    pub(super) capabilities: Capabilities,
    /// UTF8=ACCEPT is enabled: folder names are in UTF-8.
    pub(super) utf8: bool,
    enabled: Vec<String>,
    tag: u32,
    waiting: VecDeque<(u32, &'static str)>,
    /// What came while a continuation was waited for.
    backlog: Vec<Untagged>,
}

/// Of a [`Connection::submit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(u32);

impl<S> Connection<S> {
    /// Over a stream that has said nothing yet, or that was greeted already.
    pub fn new(stream: S, patience: Patience) -> Self {
        Connection {
            reader: ResponseReader::new(stream, patience),
            capabilities: Capabilities::default(),
            utf8: false,
            enabled: Vec::new(),
            tag: 0,
            waiting: VecDeque::new(),
            backlog: Vec::new(),
        }
    }

    /// What the server can do, as it last said.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether an extension was enabled.
    #[must_use]
    pub fn has_enabled(&self, extension: &str) -> bool {
        self.enabled.iter().any(|e| e.eq_ignore_ascii_case(extension))
    }

    /// The stream underneath.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.reader.get_ref()
    }

    /// A folder's name as it goes over the wire.
    pub(super) fn wire_name(&self, name: &str) -> String {
        if self.utf8 { name.to_owned() } else { crate::utf7::encode(name) }
    }

    /// What is learnt from a response whoever takes it.
    fn note(&mut self, untagged: &Untagged) {
        match untagged {
            Untagged::Capability(capabilities) => self.capabilities = capabilities.clone(),
            Untagged::Enabled(words) => {
                self.utf8 |= words.iter().any(|w| w == "UTF8=ACCEPT" || w == "IMAP4REV2");
                self.enabled.extend(words.iter().take(16).cloned());
            }
            Untagged::Status(told) => self.note_code(told),
            _ => {}
        }
    }

    fn note_code(&mut self, told: &Told) {
        if let Some(Code::Capability(capabilities)) = &told.code {
            self.capabilities = capabilities.clone();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// The next response.
    pub(super) async fn response(&mut self) -> Result<Response> {
        let piece = self.reader.next().await?;
        self.understand(piece)
    }

    pub(super) fn understand(&mut self, piece: Piece) -> Result<Response> {
        let Piece::Response(octets) = piece else {
            return Err(ClientError::Protocol("a message that nobody asked for"));
        };
        let response = parse(&octets, self.utf8)?;
        if let Response::Untagged(untagged) = &response {
            self.note(untagged);
            if let Untagged::Status(told) = untagged
                && told.status == Status::Bye
            {
                return Err(ClientError::Bye(Box::new(told.clone())));
            }
        }
        Ok(response)
    }

    /// The greeting of a new connection.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn greeting(&mut self) -> Result<Told> {
        match self.response().await? {
            Response::Untagged(Untagged::Status(told)) if matches!(told.status, Status::Ok | Status::PreAuth) => {
                Ok(told)
            }
            _ => Err(ClientError::Protocol("no greeting")),
        }
    }

    /// Sends a command. Literals that need permission are sent when it comes, so nothing may be under way then.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal of a literal is [`ClientError::Refused`].
    pub async fn submit(&mut self, command: &Command) -> Result<Tag> {
        self.reader.begin();
        self.tag = self.tag.wrapping_add(1);
        let tag = self.tag;
        let plus = self.capabilities.has("LITERAL+");
        let minus = self.capabilities.has("LITERAL-") || self.capabilities.has("IMAP4REV2");
        let mut line = Zeroizing::new(format!("v{tag} ").into_bytes());
        for chunk in &command.chunks {
            match chunk {
                Chunk::Text(text) => line.extend_from_slice(text),
                Chunk::Literal(literal) => {
                    // RFC 7888: LITERAL- is for up to 4,096 octets.
                    let at_once = plus || (minus && literal.len() <= 4096);
                    line.extend_from_slice(announce(literal.len() as u64, at_once).as_bytes());
                    if !at_once {
                        self.reader.send(&line).await?;
                        self.reader.flush().await?;
                        line.clear();
                        self.permission(tag, command.verb).await?;
                    }
                    line.extend_from_slice(literal);
                }
            }
        }
        line.extend_from_slice(b"\r\n");
        self.reader.send(&line).await?;
        self.reader.flush().await?;
        self.waiting.push_back((tag, command.verb));
        Ok(Tag(tag))
    }

    /// Sends the head of a command that goes on otherwise. It is under way from then on.
    pub(super) async fn begin(&mut self, command: &Command, end: &str) -> Result<Tag> {
        self.reader.begin();
        self.tag = self.tag.wrapping_add(1);
        let mut line = Zeroizing::new(format!("v{} ", self.tag).into_bytes());
        line.extend_from_slice(&command.octets(self.capabilities.has("LITERAL+")));
        line.extend_from_slice(end.as_bytes());
        self.reader.send(&line).await?;
        self.reader.flush().await?;
        self.waiting.push_back((self.tag, command.verb));
        Ok(Tag(self.tag))
    }

    /// Waits for `+`, before anything else of the command; gives what follows it. An end instead is a refusal.
    pub(super) async fn permission(&mut self, tag: u32, verb: &'static str) -> Result<bytes::Bytes> {
        for _ in 0..MAX_RESPONSES {
            match self.response().await? {
                Response::Continue(text) => return Ok(text),
                Response::Untagged(untagged) => self.keep(untagged)?,
                Response::Tagged { tag: ended, told } if ended == format!("v{tag}") => {
                    self.waiting.retain(|(waiting, _)| *waiting != tag);
                    self.note_code(&told);
                    return Err(ClientError::Refused { command: verb, told: Box::new(told) });
                }
                Response::Tagged { .. } => return Err(ClientError::Protocol("an answer to no command")),
            }
        }
        Err(ClientError::TooMuch("answers to one command"))
    }

    pub(super) fn tag_number(tag: Tag) -> u32 {
        tag.0
    }

    /// Gives what came before a continuation.
    pub(super) fn drain(&mut self, take: Take<'_>) {
        self.backlog.drain(..).for_each(take);
    }

    fn keep(&mut self, untagged: Untagged) -> Result<()> {
        /// While one continuation is waited for: some EXISTS and flags.
        const MAX_BACKLOG: usize = 10_000;
        if self.backlog.len() >= MAX_BACKLOG {
            return Err(ClientError::TooMuch("responses before a continuation"));
        }
        self.backlog.push(untagged);
        Ok(())
    }

    /// Waits for the end of a command; its untagged responses, and all others that come meanwhile, are given to `take`.
    ///
    /// # Errors
    /// [`ClientError`]; `NO` and `BAD` are [`ClientError::Refused`].
    pub async fn complete(&mut self, tag: Tag, take: Take<'_>) -> Result<Told> {
        self.reader.begin();
        self.drain(take);
        let Some((_, verb)) = self.waiting.front().copied().filter(|(first, _)| *first == tag.0) else {
            return Err(ClientError::Protocol("the end of a command waited for out of order"));
        };
        let wanted = format!("v{}", tag.0);
        for _ in 0..MAX_RESPONSES {
            match self.response().await? {
                Response::Untagged(untagged) => take(untagged),
                Response::Tagged { tag, told } if tag == wanted => return self.ended(verb, told),
                Response::Tagged { .. } => return Err(ClientError::Protocol("an answer to no command")),
                Response::Continue(_) => return Err(ClientError::Protocol("a continuation that nobody waits for")),
            }
        }
        Err(ClientError::TooMuch("answers to one command"))
    }

    /// The first command under way has ended.
    pub(super) fn ended(&mut self, verb: &'static str, told: Told) -> Result<Told> {
        self.waiting.pop_front();
        self.note_code(&told);
        match told.status {
            Status::Ok => Ok(told),
            _ => Err(ClientError::Refused { command: verb, told: Box::new(told) }),
        }
    }

    /// Sends a command and waits for its end.
    ///
    /// # Errors
    /// As [`Connection::complete`].
    pub async fn run(&mut self, command: &Command, take: Take<'_>) -> Result<Told> {
        let tag = self.submit(command).await?;
        self.complete(tag, take).await
    }

    /// CAPABILITY.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask_capabilities(&mut self) -> Result<()> {
        self.capabilities = Capabilities::default();
        self.run(&Command::new("CAPABILITY"), &mut |_| {}).await?;
        if self.capabilities.is_empty() { Err(ClientError::Protocol("no capabilities")) } else { Ok(()) }
    }

    /// ENABLE, what the server can of it; [`Connection::has_enabled`] tells what it did.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enable(&mut self, extensions: &[&str]) -> Result<()> {
        let known: Vec<&str> = extensions.iter().copied().filter(|e| self.capabilities.has(e)).collect();
        if known.is_empty() || !self.capabilities.can("ENABLE") {
            return Ok(());
        }
        self.run(&Command::new("ENABLE").text(" ").text(&known.join(" ")), &mut |_| {}).await?;
        Ok(())
    }

    /// ID (RFC 2971): which program this is, where the server wants to know. What it answers is not believed.
    ///
    /// # Errors
    /// [`ClientError`], but a refusal.
    pub async fn identify(&mut self, fields: &[(&str, &str)]) -> Result<()> {
        if !self.capabilities.has("ID") {
            return Ok(());
        }
        let mut command = Command::new("ID").text(" (");
        for (at, (name, value)) in fields.iter().enumerate() {
            command = if at == 0 { command } else { command.text(" ") }.string(name).text(" ").string(value);
        }
        match self.run(&command.text(")"), &mut |_| {}).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_clean() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// NOOP: the server tells what is new.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn noop(&mut self, take: Take<'_>) -> Result<()> {
        self.run(&Command::new("NOOP"), take).await.map(drop)
    }

    /// LOGOUT, and the end of the connection.
    pub async fn logout(mut self) {
        // The server's last words do not matter: BYE is what is expected.
        let _ = self.run(&Command::new("LOGOUT"), &mut |_| {}).await;
        self.reader.shutdown().await;
    }
}
