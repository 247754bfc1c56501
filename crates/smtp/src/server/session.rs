//! One connection: its state, the loop over its commands, and what every verb needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use trust::tls::TlsInfo;
use zeroize::Zeroizing;

use super::Config;
use crate::backend::{Backend, Peer, Sender, Transaction};
use crate::command::{self, Command};
use crate::reply::Reply;
use crate::verbs;
use crate::verbs::bdat::Chunks;
use crate::wire::{Cut, Socket, Wire};

/// Longest command line with its CRLF. RFC 5321 §4.5.3.1.4 wants 512; OPE-09 wants more than 1000 refused.
const MAX_COMMAND: usize = 1000;
/// Longest MAIL or RCPT with its parameters: 512, and 500 for AUTH or ORCPT, 107 for ENVID, 28 for NOTIFY, 26 for SIZE, 17 for
/// BODY (RFC 1870, 3461, 4954, 6152), a path in UTF-8 being no longer than another.
const MAX_ENVELOPE_COMMAND: usize = 1400;
/// Longest line of an AUTH exchange with its CRLF (RFC 4954 §4).
const MAX_AUTH_LINE: usize = 12_288;
/// Longest AUTH command: such a response after `AUTH ` and a mechanism.
const MAX_AUTH_COMMAND: usize = MAX_AUTH_LINE + 32;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// QUIT.
    Quit,
    /// The peer closed or the network broke.
    Closed,
    /// A time ran out: 421 was said.
    TimedOut,
    /// We are stopping: 421 was said.
    Shutdown,
    /// We closed for what the peer did; it was told why.
    Refused,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        End::Closed
    }
}

/// What a verb answers: go on, or end.
pub(crate) type Flow = Result<(), End>;

/// EHLO or HELO.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) name: String,
    pub(crate) extended: bool,
}

/// A transaction under way.
pub(crate) enum Open {
    /// Between MAIL and DATA or BDAT.
    Envelope { transaction: Box<dyn Transaction>, smtputf8: bool, recipients: usize },
    /// Between two BDAT.
    Chunks(Chunks),
}

/// One connection.
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) connection: u64,
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<Config>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tls: Option<Arc<TlsInfo>>,
    pub(crate) hello: Option<Hello>,
    pub(crate) sender: Option<Arc<dyn Sender>>,
    /// The permanent refusal of an MX peer: the certificate will not change on this connection.
    pub(crate) unidentified: Option<Reply>,
    pub(crate) open: Option<Open>,
    pub(crate) started: Instant,
    pub(crate) errors: u32,
    pub(crate) auth_failures: u32,
    pub(crate) refused_recipients: u32,
    pub(crate) messages: u32,
    pub(crate) idle_commands: u32,
    /// Counts the connection as open.
    pub(crate) stay: meter::Stay,
    /// The code of the last reply, counted with its command.
    said: u16,
}

impl Session {
    pub(crate) fn new(
        stream: TcpStream,
        connection: u64,
        address: SocketAddr,
        config: Arc<Config>,
        backend: Arc<dyn Backend>,
        shutdown: CancellationToken,
        stay: meter::Stay,
    ) -> Self {
        Self {
            wire: Wire::new(Socket::Plain(stream)),
            connection,
            address,
            config,
            backend,
            shutdown,
            tls: None,
            hello: None,
            sender: None,
            unidentified: None,
            open: None,
            started: Instant::now(),
            errors: 0,
            auth_failures: 0,
            refused_recipients: 0,
            messages: 0,
            idle_commands: 0,
            stay,
            said: 0,
        }
    }

    /// To the end of the connection.
    pub(crate) async fn run(mut self) -> End {
        let greeting = format!("220 {} ESMTP\r\n", self.config.hostname);
        self.wire.queue(greeting.as_bytes());
        let end = loop {
            match self.step().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        // Whatever was open leaves nothing, before the peer can see the connection close.
        self.open = None;
        match end {
            End::TimedOut => self.reply(&Reply::TOO_SLOW),
            End::Shutdown => self.reply(&Reply::SHUTTING_DOWN),
            End::Quit | End::Closed | End::Refused => {}
        }
        if end != End::Closed {
            self.wire.close(end != End::Quit).await;
        }
        end
    }

    /// Reads a command and carries it out.
    async fn step(&mut self) -> Flow {
        let line = match self.line(command_limit).await? {
            Line::Text(line) => line,
            Line::TooLong => {
                return self.error(&Reply::LINE_TOO_LONG).await;
            }
        };
        match command::parse(&line) {
            Ok(command) => {
                let (name, began) = (name(&command), Instant::now());
                let flow = self.dispatch(command).await;
                if !matches!(flow, Err(End::Closed)) {
                    self.config.entrance.command(name, class(self.said), Some(began.elapsed()));
                }
                flow
            }
            Err(command::CommandError::Unknown) if faults::is_on(faults::Fault::AnyCommand) => {
                self.reply(&Reply::SENDER_OK);
                Ok(())
            }
            Err(error) => self.error(&error.reply()).await,
        }
    }

    async fn dispatch(&mut self, command: Command) -> Flow {
        match command {
            Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Bdat { .. } | Command::Auth { .. } => {}
            _ => {
                self.idle_commands += 1;
                if self.idle_commands > self.config.max_idle_commands {
                    return self.refuse(&Reply::TOO_MANY_ERRORS).await;
                }
            }
        }
        match command {
            Command::Ehlo(name) => verbs::ehlo::ehlo(self, name).await,
            Command::Helo(name) => verbs::ehlo::helo(self, name).await,
            Command::StartTls => verbs::starttls::starttls(self).await,
            Command::Auth { mechanism, initial } => verbs::auth::auth(self, &mechanism, initial).await,
            Command::Mail(from) => verbs::mail::mail(self, from).await,
            Command::Rcpt(to) => verbs::rcpt::rcpt(self, to).await,
            Command::Data => verbs::data::data(self).await,
            Command::Bdat { size, last } => verbs::bdat::bdat(self, size, last).await,
            Command::Rset => verbs::rset::rset(self),
            Command::Noop => verbs::noop::noop(self),
            Command::Vrfy => verbs::vrfy::vrfy(self),
            Command::Help => verbs::help::help(self),
            Command::Quit => verbs::quit::quit(self),
            Command::Unimplemented => self.error(&Reply::NOT_IMPLEMENTED).await,
        }
    }

    /// Whether it is known who sends: since AUTH on a submission, since the first MAIL on an MX.
    pub(crate) fn may_send(&self) -> bool {
        self.sender.is_some()
    }

    /// The peer, for the backend; `None` before TLS or EHLO.
    pub(crate) fn peer(&self) -> Option<Peer> {
        let hello = self.hello.as_ref()?;
        Some(Peer {
            connection: self.connection,
            address: self.address,
            helo: hello.name.clone(),
            extended: hello.extended,
            tls: Arc::clone(self.tls.as_ref()?),
        })
    }

    /// Says a reply: it leaves with the next [`Session::fill`].
    pub(crate) fn reply(&mut self, reply: &Reply) {
        self.said = reply.code();
        self.wire.queue(format!("{reply}\r\n").as_bytes());
    }

    /// Says a reply to a protocol error, and counts it.
    pub(crate) async fn error(&mut self, reply: &Reply) -> Flow {
        self.reply(reply);
        self.errors += 1;
        if self.errors > self.config.max_errors {
            return self.refuse(&Reply::TOO_MANY_ERRORS).await;
        }
        Ok(())
    }

    /// Says a backend's reply; a 421 or 521 ends the connection.
    pub(crate) async fn answer(&mut self, reply: &Reply) -> Flow {
        if reply.closes() {
            return self.refuse(reply).await;
        }
        self.reply(reply);
        Ok(())
    }

    /// Says a last reply.
    pub(crate) async fn refuse(&mut self, reply: &Reply) -> Flow {
        self.reply(reply);
        Err(End::Refused)
    }

    /// When the peer must have said something.
    fn command_deadline(&self) -> Instant {
        let times = &self.config.timeouts;
        let now = Instant::now();
        let idle = if self.may_send() {
            now + times.command
        } else {
            (now + times.before_auth).min(self.started + times.before_auth_total)
        };
        if faults::is_on(faults::Fault::EndlessSessions) {
            return idle;
        }
        let longest = if faults::is_on(faults::Fault::ShortSessions) { faults::SHORT_SESSION } else { times.session };
        idle.min(self.started + longest)
    }

    /// The next line; `limit` says how long it may be from its first octets.
    async fn line(&mut self, limit: fn(&[u8]) -> usize) -> Result<Line, End> {
        let deadline = self.command_deadline();
        loop {
            let limit = limit(self.wire.lines.pending());
            match self.wire.lines.cut(limit) {
                Cut::Line(line) => {
                    if self.wire.is_full() {
                        self.flush(deadline).await?;
                    }
                    return Ok(Line::Text(line));
                }
                Cut::TooLong => return Ok(Line::TooLong),
                Cut::Bare => {
                    self.reply(&Reply::BARE_LINE_END_IN_COMMAND);
                    return Err(End::Refused);
                }
                Cut::Flood => {
                    self.reply(&Reply::LINE_TOO_LONG);
                    self.reply(&Reply::TOO_MANY_ERRORS);
                    return Err(End::Refused);
                }
                // Between two transactions, a server that stops has time for nothing more.
                Cut::More if self.open.is_none() => {
                    let drain = self.config.drain.clone();
                    tokio::select! {
                        biased;
                        () = drain.cancelled() => return Err(End::Shutdown),
                        filled = self.fill(deadline) => filled?,
                    }
                }
                Cut::More => self.fill(deadline).await?,
            }
        }
    }

    /// A line of an AUTH exchange. `None`: it was too long.
    pub(crate) async fn auth_line(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, End> {
        Ok(match self.line(|_| MAX_AUTH_LINE).await? {
            Line::Text(line) => Some(line),
            Line::TooLong => None,
        })
    }

    /// Writes what is to be said.
    pub(crate) async fn flush(&mut self, deadline: Instant) -> Flow {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(End::Shutdown),
            done = timeout_at(deadline, self.wire.flush()) => match done {
                Ok(written) => Ok(written?),
                // It does not read what we say: there is no point in saying more.
                Err(_) => Err(End::Closed),
            },
        }
    }

    /// Writes what is to be said, then reads something.
    pub(crate) async fn fill(&mut self, deadline: Instant) -> Flow {
        self.flush(deadline).await?;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(End::Shutdown),
            read = timeout_at(deadline, self.wire.fill()) => match read {
                Ok(Ok(0)) => Err(End::Closed),
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(End::TimedOut),
            },
        }
    }

    /// A moment from now.
    pub(crate) fn within(duration: Duration) -> Instant {
        Instant::now() + duration
    }
}

/// The command's name, for numbers.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Ehlo(_) => "EHLO",
        Command::Helo(_) => "HELO",
        Command::StartTls => "STARTTLS",
        Command::Auth { .. } => "AUTH",
        Command::Mail(_) => "MAIL",
        Command::Rcpt(_) => "RCPT",
        Command::Data => "DATA",
        Command::Bdat { .. } => "BDAT",
        Command::Rset => "RSET",
        Command::Noop => "NOOP",
        Command::Vrfy => "VRFY",
        Command::Help => "HELP",
        Command::Quit => "QUIT",
        Command::Unimplemented => "other",
    }
}

/// The class of a reply's code, for numbers.
fn class(code: u16) -> &'static str {
    match code / 100 {
        2 => "2yz",
        3 => "3yz",
        4 => "4yz",
        _ => "5yz",
    }
}

enum Line {
    Text(Zeroizing<Vec<u8>>),
    TooLong,
}

/// How long a command may be, from its first octets.
fn command_limit(head: &[u8]) -> usize {
    match head.get(..5) {
        Some(verb) if verb.eq_ignore_ascii_case(b"AUTH ") => MAX_AUTH_COMMAND,
        Some(verb) if verb.eq_ignore_ascii_case(b"MAIL ") || verb.eq_ignore_ascii_case(b"RCPT ") => {
            MAX_ENVELOPE_COMMAND
        }
        _ => MAX_COMMAND,
    }
}
