//! `vaguemestre lps`: the mail client of Référentiel #2, on the command line. One file per subcommand.
//!
//! Invariants: no token is ever written to a file; nothing of a message reaches the terminal uncleaned ([`out`]); every error says what to do;
//! a `--json` answer is always JSON, its error too.

mod boxes;
mod clean;
mod common;
mod discover;
mod document;
mod error;
mod filing;
mod folders;
mod hand_over;
pub mod help;
mod intake;
mod list;
mod local;
mod login;
mod open;
mod out;
mod outbox;
mod places;
mod read;
mod receipts;
mod reply;
mod rows;
mod safe;
mod search;
mod send;
mod thread;
mod traces;
mod watch;
mod write;

use crate::failure::Failure;
use crate::runtime::block_on;
use crate::signals::Signals;

use common::{Common, Frame};
use error::Stop;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Settings: --space FILE or VAGUEMESTRE_LPS, else ~/.config/vaguemestre/lps.toml, else the one that `vaguemestre sandbox` wrote in \
    ./sandbox-data. docs/editor.md is a tutorial of ten minutes and explains every key.\n\n\
    Exit codes: 0 done; 1 failed (settings, files, network); 2 wrong command line; 3 log in (again); 4 a document or value is refused; \
    5 an operator, PSC or the directory refuses; 6 try again later; 7 a server is not to be trusted; 130 interrupted. With --json an error is \
    {\"error\": {code, fault, temporary, message, remedy}}."
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Logs in with Pro Santé Connect, by browser or by telephone.
    Login(login::LoginArgs),
    /// Logs out.
    Logout(login::LogoutArgs),
    /// Tells who is logged in, and with which settings.
    Status(login::StatusArgs),
    /// Keeps the sessions; started by login.
    #[command(hide = true)]
    Agent(login::AgentArgs),
    /// Lists the folders of a mailbox.
    Folders(folders::Args),
    /// Lists the messages of a folder.
    List(list::ListArgs),
    /// Looks for messages in a folder.
    Find(list::FindArgs),
    /// Shows a message and its documents.
    Read(read::Args),
    /// Answers a message.
    Reply(Box<reply::Args>),
    /// Lists the receipts that are asked for, and sends them.
    Receipts(receipts::Args),
    /// Writes the documents of a message to a folder.
    Open(open::Args),
    /// Shows conversations.
    Thread(thread::Args),
    /// Shows the messages that wait to be sent, and sends them.
    Outbox(outbox::Args),
    /// Files the documents that come, and answers, as an integration platform does.
    Intake(intake::Args),
    /// Deletes what was filed and answered.
    Clean(clean::Args),
    /// Looks for a recipient in the Annuaire Santé.
    Search(search::Args),
    /// Tells of each message as it arrives.
    Watch(watch::Args),
    /// Sends a message, with documents, to professionals or to a patient.
    Send(Box<send::Args>),
    /// Finds the servers of an address, and says whether they are to be trusted.
    Discover(discover::Args),
    /// Remembers mailboxes and tells what waits in each.
    Boxes(boxes::Args),
    /// Shows or exports the functional traces.
    Traces(traces::Args),
}

impl Command {
    async fn run(self, frame: &Frame) -> Result<(), Stop> {
        match self {
            Command::Login(args) => login::login(args, frame).await,
            Command::Logout(args) => login::logout(args, frame).await,
            Command::Status(args) => login::status(args, frame).await,
            // Run before there is a frame.
            Command::Agent(_) => Ok(()),
            Command::Folders(args) => folders::run(args, frame).await,
            Command::List(args) => list::list(args, frame).await,
            Command::Find(args) => list::find(args, frame).await,
            Command::Read(args) => read::run(args, frame).await,
            Command::Watch(args) => watch::run(args, frame).await,
            Command::Reply(args) => reply::run(*args, frame).await,
            Command::Receipts(args) => receipts::run(args, frame).await,
            Command::Thread(args) => thread::run(args, frame).await,
            Command::Outbox(args) => outbox::run(args, frame).await,
            Command::Search(args) => search::run(args, frame).await,
            Command::Open(args) => open::run(args, frame).await,
            Command::Intake(args) => intake::run(args, frame).await,
            Command::Clean(args) => clean::run(args, frame).await,
            Command::Send(args) => send::run(*args, frame).await,
            Command::Discover(args) => discover::run(args, frame).await,
            Command::Boxes(args) => boxes::run(args, frame).await,
            Command::Traces(args) => traces::run(args, frame),
        }
    }
}

/// Runs a subcommand.
pub fn run(args: Args) -> Result<(), Failure> {
    if let Command::Agent(agent) = &args.command {
        return login::run_agent(agent);
    }
    let frame = Frame::new(args.common);
    let done = block_on(async {
        let mut signals = Signals::listen()?;
        Ok(tokio::select! {
            done = args.command.run(&frame) => done,
            // What was going on is dropped: connections close, files aside have no name.
            () = signals.next() => Err(Stop::Interrupted),
        })
    })?;
    frame.finish();
    let Err(stop) = done else { return Ok(()) };
    if let Stop::Explained(error) = &stop {
        frame.out.error(&**error);
    }
    match stop.code() {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}
