//! A session under TLS: the loop of commands and the states of RFC 3501 §3.
//!
//! Not authenticated: no account. Authenticated: an account. Selected: an account and a folder. The handlers get what their
//! state has and nothing else.

use std::sync::Arc;

use faults::Fault;
use tokio::io::ReadHalf;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trust::tls::TlsStream;

use super::deflate::Inbound;
use super::enabled::Enabled;
use super::notify::{self, Notifying, Own};
use super::opening::{self, Opening};
use super::output::Output;
use super::reply::{Outcome, Reply, Status, Stop};
use super::selected::{Expunges, Selected};
use super::{Config, Ended, LINGER, LINGER_OCTETS, auth, capability, commands, enabled};
use crate::backend::{Account, Backend, Peer};
use crate::command::{Command, Numbers, Tagged};
use crate::parse::{Names, parse_as};
use crate::wire::{CommandReader, Event, Phase};

/// What reads from the client.
pub(super) type Reader = CommandReader<Inbound<ReadHalf<TlsStream<TcpStream>>>>;

/// A connection under TLS.
pub(super) struct Session {
    pub(super) config: Arc<Config>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) peer: Peer,
    pub(super) shutdown: CancellationToken,
    pub(super) reader: Reader,
    pub(super) out: Output,
    pub(super) account: Option<Arc<dyn Account>>,
    pub(super) selected: Option<Selected>,
    /// The folder that was selected, as long as its messages are being read: there is no other then.
    pub(super) opening: Option<Box<Opening>>,
    /// What the client has enabled; changed by [`Session::enable`] only.
    pub(super) enabled: Enabled,
    /// What the client wants to be told between commands.
    pub(super) notify: Option<Box<Notifying>>,
    /// It said that it wants to be told nothing (`NOTIFY NONE`).
    pub(super) silent: bool,
    /// Refused authentications.
    pub(super) refused: u32,
    /// When a client that is not authenticated is dropped.
    pub(super) login_deadline: Instant,
    session_deadline: Option<Instant>,
    /// When it was last seen that the mailbox may be open ([`vigil`](super::vigil)).
    pub(super) looked: Instant,
    /// The certificate alone opened the mailbox: there is no way back from it.
    pub(super) preauthenticated: bool,
    /// The client was told that the mailbox is nearly full.
    pub(super) quota_warned: bool,
    /// When it was last seen that much more would have to come before that is due.
    pub(super) quota_far: Option<Instant>,
    /// BAD answers in a row.
    bad: u32,
    /// Counts the connection as open.
    stay: meter::Stay,
}

impl Session {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        peer: Peer,
        config: Arc<Config>,
        backend: Arc<dyn Backend>,
        shutdown: CancellationToken,
        stay: meter::Stay,
    ) -> Self {
        let (reader, writer) = tokio::io::split(tls);
        let now = Instant::now();
        Session {
            backend,
            peer,
            reader: CommandReader::new(Inbound::new(reader), Phase::NotAuthenticated),
            out: Output::new(Box::new(writer), config.stall_timeout, shutdown.clone()),
            shutdown,
            account: None,
            selected: None,
            opening: None,
            enabled: Enabled::default(),
            notify: None,
            silent: false,
            refused: 0,
            login_deadline: now + config.login_timeout,
            session_deadline: config.max_session.map(|longest| now + longest),
            looked: now,
            preauthenticated: false,
            quota_warned: false,
            quota_far: None,
            bad: 0,
            stay,
            config,
        }
    }

    /// Serves to the end.
    pub(super) async fn run(mut self) -> Ended {
        if let Some(account) = self.backend.preauthenticate(&self.peer).await {
            self.enter(account);
            self.preauthenticated = true;
        }
        let ended = self.talk().await;
        if let Ended::Bye(why) = ended {
            self.out.line(format_args!("* BYE {why}"));
        }
        // A client that takes nothing may be in the middle of a literal: there a word would be taken for mail.
        if ended != Ended::Stalled {
            self.out.close().await;
        }
        if matches!(ended, Ended::Bye(_)) && !self.shutdown.is_cancelled() && !self.config.drain.is_cancelled() {
            let _ = tokio::time::timeout(LINGER, self.reader.forget(LINGER_OCTETS)).await;
        }
        ended
    }

    /// The session is authenticated.
    pub(super) fn enter(&mut self, account: Arc<dyn Account>) {
        tracing::debug!(connection = self.peer.connection, "imap: authenticated");
        self.stay.reach(meter::Stage::Authenticated);
        self.account = Some(account);
        self.looked = Instant::now();
        self.reader.set_phase(Phase::Authenticated);
    }

    /// The session is no longer authenticated, and knows nothing of what it was (RFC 8437).
    pub(super) fn leave(&mut self) {
        self.account = None;
        self.selected = None;
        self.opening = None;
        self.enabled = Enabled::default();
        self.out.names = Names::Utf7;
        self.notify = None;
        self.silent = false;
        self.quota_warned = false;
        self.quota_far = None;
        self.login_deadline = Instant::now() + self.config.login_timeout;
        self.stay.reach(meter::Stage::Secure);
        self.reader.set_phase(Phase::NotAuthenticated);
    }

    /// What the client is told of from now on; `None`: nothing but in answers to commands (`NOTIFY NONE`, RFC 5465 §3.1).
    pub(super) fn notified(&mut self, notify: Option<Notifying>) {
        let flags = notify.as_ref().and_then(|notify| notify.selected.as_ref()).is_some_and(|of| of.flags);
        self.silent = notify.is_none();
        self.notify = notify.map(Box::new);
        self.enabled = self.enabled.without(Enabled::FLAG_CHANGE);
        if flags {
            self.enabled = self.enabled.with(Enabled::FLAG_CHANGE);
        }
        if let Some(selected) = &mut self.selected {
            selected.enabled = self.enabled;
        }
    }

    /// The number of the folder that is open, or being opened.
    pub(super) fn open_folder(&self) -> Option<u64> {
        let opening = self.opening.as_ref().map(|opening| opening.id.folder.into());
        self.selected.as_ref().map(Selected::number).or(opening)
    }

    /// What CAPABILITY says now.
    pub(super) fn capabilities(&self) -> String {
        match &self.account {
            Some(account) => capability::after_login(&**account),
            None => capability::before_login(self.backend.mechanisms()),
        }
    }

    /// What the client asks to be told in a new way, from now on.
    pub(super) fn enable(&mut self, what: Enabled) {
        let (before, after) = (self.enabled, self.enabled.with(what));
        self.enabled = after;
        if after.has(Enabled::UTF8) {
            self.out.names = Names::Utf8;
        }
        if let Some(selected) = &mut self.selected {
            selected.enabled = after;
            if after.has(Enabled::CONDSTORE) && !before.has(Enabled::CONDSTORE) {
                // RFC 7162 §3.1.2.1: where the client reckons from.
                self.out.line(format_args!("* OK [HIGHESTMODSEQ {}] Highest MODSEQ told", selected.complete.0));
            }
        }
    }

    /// When waiting for the client is over, and what it is told then.
    pub(super) fn patience(&self) -> (Instant, &'static str) {
        let idle = match self.account {
            Some(_) => (Instant::now() + self.config.idle_timeout, "Idle for too long"),
            None => (self.login_deadline, "Not authenticated in time"),
        };
        let deadline = match self.session_deadline {
            Some(_) if faults::is_on(Fault::EndlessSessions) => None,
            Some(end) if faults::is_on(Fault::ShortSessions) => {
                Some(end - self.config.max_session.unwrap_or_default() + faults::SHORT_SESSION)
            }
            other => other,
        };
        match deadline {
            Some(end) if end < idle.0 => (end, "The session lasted long enough, connect again"),
            _ => idle,
        }
    }

    async fn talk(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    /// One event of the client.
    async fn step(&mut self) -> Result<(), Ended> {
        let (limit, why) = self.patience();
        let event = loop {
            let look = self.next_look();
            tokio::select! {
                biased;
                event = self.reader.next() => break event.map_err(|_| Ended::Gone)?,
                () = tokio::time::sleep_until(limit) => return Err(Ended::Bye(why)),
                () = news(self.selected.as_mut(), self.notify.as_deref_mut()) => {
                    // Boxed: it is not what a session does most of its time.
                    Box::pin(self.tell_unasked()).await?;
                    self.out.flush().await?;
                }
                read = opening::complete(self.opening.as_deref_mut()) => self.completed(read)?,
                () = self.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping")),
                () = self.config.drain.cancelled() => return Err(Ended::Bye("The server is stopping")),
                () = tokio::time::sleep_until(look) => {}
            }
            Box::pin(self.look_if_due()).await?;
        };
        if self.shutdown.is_cancelled() || self.config.drain.is_cancelled() {
            return Err(Ended::Bye("The server is stopping"));
        }
        match event {
            Event::End => Err(Ended::Gone),
            Event::Fatal(_) => Err(Ended::Bye("Too much data that cannot be used")),
            Event::Continue => {
                self.out.put(b"+ Go on\r\n");
                self.out.flush().await
            }
            Event::Refused { tag, reason } => {
                self.out.line(format_args!("{} BAD {reason}", tag.as_deref().unwrap_or("*")));
                self.flush_after(Status::Bad).await
            }
            Event::Append { head: line, .. } | Event::Command(line) => match parse_as(&line, self.out.names) {
                Ok(tagged) => {
                    drop(line);
                    // Boxed, so that a session that waits does not keep room for the largest command.
                    Box::pin(self.command(tagged)).await
                }
                Err(error) => {
                    self.out.line(format_args!("{} BAD {}", error.tag.as_deref().unwrap_or("*"), error.kind));
                    self.flush_after(Status::Bad).await
                }
            },
        }
    }

    /// Carries out a command, tells what happened meanwhile, answers.
    async fn command(&mut self, Tagged { tag, command }: Tagged) -> Result<(), Ended> {
        Box::pin(self.look_if_due()).await?;
        let began = Instant::now();
        if !opening::leaves(&command) {
            self.opened().await?;
        }
        let name = name(&command);
        let (expunges, numbers) = afterwards(&command);
        let own = self.notify.as_ref().and_then(|_| Own::of(&command));
        let open = self.open_folder();
        let outcome = self.execute(&tag, command).await;
        let mut reply = match outcome {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(Stop::Ended(Ended::Logout)) => {
                self.out.line(format_args!("* BYE Until next time"));
                self.out.line(format_args!("{tag} OK Done"));
                self.out.flush().await?;
                return Err(Ended::Logout);
            }
            Err(Stop::Ended(ended)) => return Err(ended),
        };
        if reply.status == Status::Ok
            && let (Some(notify), Some(own)) = (&mut self.notify, own)
        {
            notify.did(own);
        }
        if self.open_folder() != open
            && let Some(notify) = &mut self.notify
        {
            notify.left();
        }
        if let Some(selected) = &mut self.selected {
            selected.tell(&mut self.out, expunges, numbers).await?;
            if reply.modseq && reply.code.is_none() && self.enabled.has(Enabled::QRESYNC) {
                reply = reply.code(format!("HIGHESTMODSEQ {}", selected.complete.0));
            }
        }
        self.tell_elsewhere().await?;
        match &reply.code {
            Some(code) => self.out.line(format_args!("{tag} {} [{code}] {}", reply.status.name(), reply.text)),
            None => self.out.line(format_args!("{tag} {} {}", reply.status.name(), reply.text)),
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(
            connection = self.peer.connection,
            command = name,
            status = reply.status.name(),
            micros,
            "imap: command"
        );
        let time = (name != "IDLE").then(|| began.elapsed());
        self.config.entrance.command(name, reply.status.name(), time);
        self.flush_after(reply.status).await?;
        if self.account.is_none() && self.refused >= self.config.max_login_attempts {
            return Err(Ended::Bye("Too many refused attempts"));
        }
        Ok(())
    }

    /// Between commands, to a client of NOTIFY.
    async fn tell_unasked(&mut self) -> Result<(), Ended> {
        self.still_readable()?;
        let delayed = self.notify.as_ref().and_then(|notify| notify.selected.as_ref()).is_some_and(|of| of.delayed);
        self.tell_open(if delayed { Expunges::Hold } else { Expunges::Tell }).await?;
        self.tell_elsewhere().await
    }

    /// What a client that waits is told of the folder that is open: what it asked for (RFC 5465 §4), everything if it did not say.
    pub(super) async fn tell_open(&mut self, expunges: Expunges) -> Result<(), Ended> {
        let (messages, flags) = match &self.notify {
            Some(notify) => (notify.selected.is_some(), notify.selected.as_ref().is_some_and(|of| of.flags)),
            None => (!self.silent, !self.silent),
        };
        match &mut self.selected {
            // Changed flags that were not asked for wait for a command, or for something that was.
            Some(selected) if flags || (messages && selected.has_other_messages(expunges)) => {
                selected.tell(&mut self.out, expunges, Numbers::Sequence).await
            }
            _ => Ok(()),
        }
    }

    /// What NOTIFY tells besides the changes of the folder that is open: what its new messages are, and other folders.
    pub(super) async fn tell_elsewhere(&mut self) -> Result<(), Ended> {
        let own = self.selected.as_mut().map(|selected| std::mem::take(&mut selected.own)).unwrap_or_default();
        let open = self.open_folder();
        let (Some(account), Some(notify)) = (self.account.clone(), &mut self.notify) else { return Ok(()) };
        let told = Box::pin(async {
            if let (Some(of), Some(selected)) = (&notify.selected, &mut self.selected)
                && selected.told.last().is_some_and(|last| last.uid >= selected.unfetched)
            {
                let (from, next) = (selected.unfetched, selected.told.uid_next);
                if !of.items.is_empty() {
                    commands::fetch::new_messages(&mut self.out, selected, from, &of.items, &own).await?;
                }
                selected.unfetched = next;
            }
            notify.tell(&*account, &mut self.out, open).await
        });
        match told.await {
            // What was looked at may have told that the open folder is not to be read any more.
            Ok(true) => self.still_readable(),
            Ok(false) => {
                self.notified(None);
                notify::overflow(&mut self.out)
            }
            Err(Stop::Ended(ended)) => Err(ended),
            Err(Stop::Reply(_)) => {
                // What could not be found out is told another time.
                tracing::warn!(connection = self.peer.connection, "imap: no notifications this time");
                Ok(())
            }
        }
    }

    async fn flush_after(&mut self, status: Status) -> Result<(), Ended> {
        self.out.flush().await?;
        self.bad = if status == Status::Bad { self.bad + 1 } else { 0 };
        if self.bad >= self.config.max_bad_commands { Err(Ended::Bye("Too many errors")) } else { Ok(()) }
    }

    /// What every state has; the rest needs an account.
    async fn execute(&mut self, tag: &str, command: Command) -> Outcome {
        match command {
            Command::Capability => {
                let list = self.capabilities();
                self.out.line(format_args!("* CAPABILITY {list}"));
                Ok(Reply::ok("Done"))
            }
            Command::Noop => Ok(Reply::ok("Done")),
            Command::Id(fields) => Ok(commands::id::run(&mut self.out, self.peer.connection, &fields)),
            Command::Logout => Err(Ended::Logout.into()),
            Command::StartTls => Ok(Reply::bad("TLS is up already")),
            Command::Authenticate { mechanism, initial } => Box::pin(auth::run(self, &mechanism, initial)).await,
            Command::Login => {
                self.refused += 1;
                Ok(Reply::no("LOGIN is disabled, use AUTHENTICATE").code("CANNOT"))
            }
            command => match self.account.clone() {
                Some(account) => self.execute_authenticated(tag, account, command).await,
                None => Ok(Reply::bad("Authenticate first")),
            },
        }
    }

    async fn execute_authenticated(&mut self, tag: &str, account: Arc<dyn Account>, command: Command) -> Outcome {
        let account = &*account;
        self.enable(Enabled::by(&command));
        if self.enabled.has(Enabled::UIDONLY) && enabled::uses_numbers(&command) {
            return Ok(Reply::bad("Only UIDs, as you asked").code("UIDREQUIRED"));
        }
        if enabled::double_charset(self.enabled, &command) {
            return Ok(Reply::bad("UTF-8 is enabled, no charset may be named"));
        }
        match command {
            Command::Enable(names) => Ok(commands::enable::run(self, &names)),
            Command::Namespace => Ok(commands::namespace::run(&mut self.out)),
            Command::Select { folder, read_only, modifiers } => {
                Box::pin(commands::select::run(self, account, folder, read_only, modifiers)).await
            }
            Command::Create { folder, special_use } => {
                Box::pin(commands::create::run(account, folder, &special_use)).await
            }
            Command::Delete(folder) => Box::pin(commands::delete::run(account, folder)).await,
            Command::Rename { from, to } => Box::pin(commands::rename::run(account, from, to)).await,
            Command::Subscribe(folder) => Box::pin(commands::subscribe::run(account, folder, true)).await,
            Command::Unsubscribe(folder) => Box::pin(commands::subscribe::run(account, folder, false)).await,
            Command::List(list) => Box::pin(commands::list::run(&mut self.out, account, &list)).await,
            Command::Lsub { reference, pattern } => {
                Box::pin(commands::lsub::run(&mut self.out, account, &reference, &pattern)).await
            }
            Command::Status { folder, items } => {
                Box::pin(commands::status::run(&mut self.out, account, folder, &items)).await
            }
            Command::Append(append) => Box::pin(commands::append::run(self, account, append)).await,
            Command::Replace { numbers, which, by } => {
                Box::pin(commands::replace::run(self, account, numbers, which, by)).await
            }
            Command::Compress => Ok(commands::compress::run(self)),
            Command::Notify(notify) => Box::pin(commands::notify::run(self, account, notify)).await,
            Command::Idle => Box::pin(commands::idle::run(self)).await,
            Command::Unauthenticate => commands::unauthenticate::run(self),
            Command::Administer(asked) => Box::pin(commands::administer(&mut self.out, account, asked)).await,
            Command::Unselect if self.opening.take().is_some() => Ok(Reply::ok("Done")),
            command => {
                let Session { out, selected, shutdown, config, reader, .. } = self;
                let Some(selected) = selected else { return Ok(Reply::bad("Select a folder first")) };
                match command {
                    Command::Check => Ok(Reply::ok("Done")),
                    Command::Unselect => {
                        self.selected = None;
                        Ok(Reply::ok("Done"))
                    }
                    Command::Close => {
                        let reply = Box::pin(commands::close::run(selected)).await?;
                        self.selected = None;
                        Ok(reply)
                    }
                    Command::Search { numbers, options, charset, key } => {
                        let request = commands::search::Request { numbers, options, charset, key };
                        let room = commands::search::Room { out, selected, shutdown, config, tag };
                        watched(reader, Box::pin(commands::search::run(room, request))).await
                    }
                    Command::Sort { numbers, options, criteria, charset, key } => {
                        let request = commands::sort::Request { numbers, options, criteria, charset, key };
                        let room = commands::search::Room { out, selected, shutdown, config, tag };
                        watched(reader, Box::pin(commands::sort::run(room, request))).await
                    }
                    Command::Thread { numbers, algorithm, charset, key } => {
                        let request = commands::thread::Request { numbers, algorithm, charset, key };
                        let room = commands::search::Room { out, selected, shutdown, config, tag };
                        watched(reader, Box::pin(commands::thread::run(room, request))).await
                    }
                    Command::Fetch { numbers, set, items, modifiers } => {
                        Box::pin(commands::fetch::run(out, selected, numbers, &set, &items, &modifiers)).await
                    }
                    Command::Store { numbers, set, how, silent, flags, modifiers } => {
                        let change = commands::store::Change { how, silent, flags, modifiers };
                        Box::pin(commands::store::run(out, selected, numbers, &set, change)).await
                    }
                    Command::Copy { numbers, set, to } => {
                        Box::pin(commands::copy::run(out, selected, numbers, &set, to)).await
                    }
                    Command::Move { numbers, set, to } => {
                        Box::pin(commands::r#move::run(out, selected, numbers, &set, to)).await
                    }
                    Command::Expunge(set) => Box::pin(commands::expunge::run(selected, set.as_ref())).await,
                    // Every other command was taken care of above.
                    _ => Ok(Reply::bad("Not in this state")),
                }
            }
        }
    }
}

/// Carries out a command that may take long; a client that leaves meanwhile ends it. Not at once: one that closes its side and
/// reads on gets what is found quickly.
async fn watched(reader: &mut Reader, command: impl Future<Output = Outcome>) -> Outcome {
    const GRACE: std::time::Duration = std::time::Duration::from_secs(2);
    let left = async {
        tokio::time::sleep(GRACE).await;
        reader.hung_up().await;
    };
    tokio::select! {
        biased;
        outcome = command => outcome,
        () = left => Err(Ended::Gone.into()),
    }
}

/// Waits for something that a client of NOTIFY is told between commands.
async fn news(selected: Option<&mut Selected>, notify: Option<&mut Notifying>) {
    let Some(notify) = notify else { return std::future::pending().await };
    let selected = selected.filter(|_| notify.selected.is_some());
    tokio::select! {
        () = changed(selected) => {}
        () = notify.changed() => {}
    }
}

/// Waits for something new in the folder, if there is one.
pub(super) async fn changed(selected: Option<&mut Selected>) {
    match selected {
        Some(selected) => selected.changed().await,
        None => std::future::pending().await,
    }
}

/// What may be told when a command is over (RFC 3501 §7.4.1).
fn afterwards(command: &Command) -> (Expunges, Numbers) {
    match command {
        Command::Fetch { numbers: Numbers::Sequence, .. }
        | Command::Store { numbers: Numbers::Sequence, .. }
        | Command::Search { numbers: Numbers::Sequence, .. }
        | Command::Sort { numbers: Numbers::Sequence, .. }
        | Command::Thread { numbers: Numbers::Sequence, .. } => (Expunges::Hold, Numbers::Sequence),
        Command::Fetch { numbers, .. }
        | Command::Store { numbers, .. }
        | Command::Search { numbers, .. }
        | Command::Sort { numbers, .. }
        | Command::Thread { numbers, .. }
        | Command::Copy { numbers, .. }
        | Command::Move { numbers, .. }
        | Command::Replace { numbers, .. } => (Expunges::Tell, *numbers),
        Command::Expunge(Some(_)) => (Expunges::Tell, Numbers::Uid),
        _ => (Expunges::Tell, Numbers::Sequence),
    }
}

/// The command's name, for events.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Capability => "CAPABILITY",
        Command::Noop => "NOOP",
        Command::Logout => "LOGOUT",
        Command::StartTls => "STARTTLS",
        Command::Authenticate { .. } => "AUTHENTICATE",
        Command::Login => "LOGIN",
        Command::Enable(_) => "ENABLE",
        Command::Id(_) => "ID",
        Command::Namespace => "NAMESPACE",
        Command::Select { read_only: false, .. } => "SELECT",
        Command::Select { read_only: true, .. } => "EXAMINE",
        Command::Unselect => "UNSELECT",
        Command::Close => "CLOSE",
        Command::Check => "CHECK",
        Command::Create { .. } => "CREATE",
        Command::Delete(_) => "DELETE",
        Command::Rename { .. } => "RENAME",
        Command::Subscribe(_) => "SUBSCRIBE",
        Command::Unsubscribe(_) => "UNSUBSCRIBE",
        Command::List(_) => "LIST",
        Command::Lsub { .. } => "LSUB",
        Command::Status { .. } => "STATUS",
        Command::Append(_) => "APPEND",
        Command::Compress => "COMPRESS",
        Command::Replace { .. } => "REPLACE",
        Command::Idle => "IDLE",
        Command::Notify(_) => "NOTIFY",
        Command::Search { .. } => "SEARCH",
        Command::Sort { .. } => "SORT",
        Command::Thread { .. } => "THREAD",
        Command::Fetch { .. } => "FETCH",
        Command::Store { .. } => "STORE",
        Command::Copy { .. } => "COPY",
        Command::Move { .. } => "MOVE",
        Command::Expunge(_) => "EXPUNGE",
        Command::Administer(asked) => asked.name(),
        Command::Unauthenticate => "UNAUTHENTICATE",
    }
}
