//! `vaguemestre lps login`, `logout`, `status`, and the agent behind them: who is logged in with Pro Santé Connect (ECO-TOKEN).
//!
//! The session is made by this process and handed to the agent, another process of this program: refresh and access tokens are in
//! memory only.

use std::path::PathBuf;

use clap::ValueEnum;
use lps::login::agent::{self, AgentError, SessionInfo};
use lps::login::browser::{self, Browser};
use lps::login::{Channel, PscSession};
use lps::space::Space;
use lps::trace::{Action, Trace};
use mssante::NationalId;
use serde_json::json;
use time::OffsetDateTime;
use tokio::process::Command;
use trust::SystemClock;

use super::common::Frame;
use super::error::{CommandError, Stop};
use super::local;
use super::out::{Cell, Style};
use crate::failure::Failure;
use crate::runtime::block_on;
use crate::signals::Signals;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The session is kept by an agent, a process of this program that runs until the session is over: 15 minutes without use, 4 hours at \
    most, or `vaguemestre lps logout`. No token is written to a file. Several persons may be logged in.\n\nExamples:\n  vaguemestre lps login\n  \
    vaguemestre lps login --ciba --as 899700000017\n\n\
    --json gives one object a line: {event: \"browser\", url} or {event: \"ciba\", binding_message, channel, expires_in}, then {event: \"login\", \
    person, begun, ends}."
)]
pub struct LoginArgs {
    /// By telephone (e-CPS) or card, without a browser: compare the two digits shown. Needs --as, or a remembered mailbox.
    #[arg(long)]
    ciba: bool,
    /// What the person answers with.
    #[arg(long, value_enum, requires = "ciba")]
    channel: Option<Means>,
    /// Only print the address to open.
    #[arg(long, conflicts_with = "ciba")]
    no_browser: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Means {
    /// The e-CPS application.
    Mobile,
    /// A CPx card in a reader.
    Card,
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vaguemestre lps logout --as 899700000017\n\nWithout --as everybody of this trust space is logged out."
)]
pub struct LogoutArgs {}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vaguemestre lps status --json\n\nThe exit code is 0 when somebody is logged in, 3 when nobody is."
)]
pub struct StatusArgs {}

/// The agent: started by `login`, not by people.
#[derive(Debug, clap::Args)]
pub struct AgentArgs {
    /// Where it listens.
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
}

/// Logs somebody in.
pub async fn login(args: LoginArgs, frame: &Frame) -> Result<(), Stop> {
    let (settings, space) = (frame.settings_quietly()?, frame.space()?);
    let provider = space.psc.clone().ok_or(CommandError::NoPsc)?;
    let expected = frame.person()?;
    let session = if args.ciba {
        let person = expected.ok_or(CommandError::WhoLogsIn)?;
        let channel = match args.channel {
            Some(Means::Mobile) => Channel::Mobile,
            Some(Means::Card) => Channel::Card,
            None => provider.channel(),
        };
        by_ciba(&space, person, channel, frame).await
    } else {
        by_browser(&space, expected, !args.no_browser, frame).await
    };
    let session = match session {
        Ok(session) => session,
        Err(stop) => {
            traced(&space, String::new(), "login", &stop, false);
            return Err(stop);
        }
    };
    let person = session.person().to_string();
    let socket = agent::default_socket();
    let program = std::env::current_exe().map_err(CommandError::Stream)?;
    let mut command = Command::new(program);
    // Not of this terminal's group: an interruption of the next command is not a logout.
    command.args(["lps", "agent", "--socket"]).arg(&socket).process_group(0);
    agent::start(command, &socket).await?;
    let client = agent::client(&socket).of(&provider).person(session.person());
    client.add(&settings, session).await?;
    traced(&space, person.clone(), "login", &"done", true);
    let kept = client.session().await?;
    let ends = OffsetDateTime::from(kept.ends_at());
    if frame.out.json {
        return frame.out.event(&info(&kept, "login"));
    }
    let until = frame.out.pick("la session se ferme, sans usage, le", "without use the session ends");
    frame.out.line([
        Cell(Style::Good, frame.out.pick("Identifié : ", "Logged in: ").into()),
        Cell(Style::Strong, person),
        Cell(Style::Faint, format!(" ({until} {})", local::minute(ends))),
    ])
}

async fn by_ciba(space: &Space, person: NationalId, channel: Channel, frame: &Frame) -> Result<PscSession, Stop> {
    let provider = space.psc.as_ref().ok_or(CommandError::NoPsc)?;
    let asked = provider.ciba(person, channel).await?;
    let (digits, left) = (asked.binding_message().to_string(), asked.time_left().as_secs());
    if frame.out.json {
        frame.out.event(&json!({
            "event": "ciba", "binding_message": digits, "channel": channel.code(), "expires_in": left,
        }))?;
    } else {
        frame.out.line([
            Cell(
                Style::Plain,
                frame
                    .out
                    .pick("Approuvez la demande qui porte le nombre ", "Approve the request with the number ")
                    .into(),
            ),
            Cell(Style::Strong, digits),
            Cell(Style::Faint, format!(" ({left} s)")),
        ])?;
    }
    Ok(frame.busy(frame.out.pick("En attente", "Waiting"), asked.wait()).await?)
}

async fn by_browser(space: &Space, person: Option<NationalId>, open: bool, frame: &Frame) -> Result<PscSession, Stop> {
    let provider = space.psc.as_ref().ok_or(CommandError::NoPsc)?;
    let how = Browser { port: None, person, open };
    let session = browser::log_in(provider, how, |url| {
        // Whoever reads may have gone; the browser opens anyway.
        let _ = if frame.out.json {
            frame.out.event(&json!({ "event": "browser", "url": url.as_str() }))
        } else {
            let what = frame.out.pick("Ouvrez dans votre navigateur :", "Open in your browser:");
            frame.out.say(format!("{what} {url}"))
        };
    });
    Ok(session.await?)
}

/// Logs out.
pub async fn logout(_: LogoutArgs, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let provider = space.psc.clone().ok_or(CommandError::NoPsc)?;
    let mut client = agent::client(agent::default_socket()).of(&provider);
    if let Some(person) = &frame.options.person {
        client = client.person(person);
    }
    let who = frame.options.person.as_ref().map(ToString::to_string).unwrap_or_default();
    let count = match client.logout().await {
        Err(AgentError::NotRunning) => 0,
        other => other?,
    };
    traced(&space, who, "logout", &format_args!("{count} session(s)"), true);
    if frame.out.json {
        return frame.out.document(&json!({ "logged_out": count }));
    }
    match count {
        0 => frame.out.say(frame.out.pick("Personne n'était identifié.", "Nobody was logged in.")),
        _ => frame.out.say(frame.out.pick("Session fermée.", "Logged out.")),
    }
}

/// Who is logged in.
pub async fn status(_: StatusArgs, frame: &Frame) -> Result<(), Stop> {
    let (settings, space) = (frame.settings()?, frame.space()?);
    let mut client = agent::client(agent::default_socket());
    if let Some(provider) = &space.psc {
        client = client.of(provider);
    }
    let sessions = match client.sessions().await {
        Err(AgentError::NotRunning) => Vec::new(),
        other => other?,
    };
    let boxes = frame.boxes()?;
    if frame.out.json {
        frame.out.document(&json!({
            "space": settings,
            "software": { "nil": space.software.nil.to_string(), "name": space.software.name, "version": space.software.version },
            "sessions": sessions.iter().map(|one| info(one, "session")).collect::<Vec<_>>(),
            "boxes": boxes.all.iter().map(|one| one.address.to_string()).collect::<Vec<_>>(),
        }))?;
    } else {
        let out = &frame.out;
        let software = format!("{} {} (NIL {})", space.software.name, space.software.version, space.software.nil);
        out.field(out.pick("réglages", "settings"), TITLE, settings.display().to_string())?;
        out.field(out.pick("logiciel", "software"), TITLE, software)?;
        for one in &boxes.all {
            out.field(out.pick("BAL", "mailbox"), TITLE, one.address.to_string())?;
        }
        for one in &sessions {
            let until = local::minute(OffsetDateTime::from(one.ends_at()));
            let text = format!("{} ({} {until})", one.person, out.pick("jusqu'au", "until"));
            out.field(out.pick("identifié", "logged in"), TITLE, Cell(Style::Good, text))?;
        }
        if sessions.is_empty() {
            let nobody = out.pick("personne", "nobody").to_owned();
            out.field(out.pick("identifié", "logged in"), TITLE, Cell(Style::Bad, nobody))?;
        }
    }
    if sessions.is_empty() { Err(Stop::Told(super::error::LOGIN)) } else { Ok(()) }
}

/// Columns of a title.
const TITLE: usize = 9;

fn info(session: &SessionInfo, event: &str) -> serde_json::Value {
    let at = |seconds: u64| {
        let instant = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        instant.map(local::rfc3339)
    };
    json!({ "event": event, "person": session.person, "begun": at(session.begun), "ends": at(session.ends) })
}

/// ECO.4.1.2: who logged in and out. No token, no answer of PSC beyond its name for what happened.
fn traced(space: &Space, author: String, request: &str, answer: &dyn Outcome, done: bool) {
    space.tracer.record(Trace {
        at: OffsetDateTime::from(space.clock.now()),
        author,
        mailbox: None,
        action: Action::Login,
        request: request.to_owned(),
        answer: answer.outcome(),
        done,
        message_id: None,
    });
}

/// What a trace says of what came of it.
trait Outcome {
    fn outcome(&self) -> String;
}

impl Outcome for Stop {
    fn outcome(&self) -> String {
        match self {
            Stop::Explained(error) => error.code().to_owned(),
            _ => "interrupted".to_owned(),
        }
    }
}

impl Outcome for &str {
    fn outcome(&self) -> String {
        (*self).to_owned()
    }
}

impl Outcome for std::fmt::Arguments<'_> {
    fn outcome(&self) -> String {
        self.to_string()
    }
}

/// Keeps sessions until the last is over.
pub fn run_agent(args: &AgentArgs) -> Result<(), Failure> {
    block_on(async {
        let mut signals = Signals::listen()?.with_hang_up()?;
        // A terminal that closes is not the end of the session.
        let stop = async { while !signals.next_of_both().await {} };
        Ok(agent::serve(&args.socket, SystemClock::shared(), stop).await?)
    })
}
