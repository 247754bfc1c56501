//! `vaguemestre lps reply`: an answer in the same conversation (ECO-THREAD, ECO.2.2.2).

use lps::compose::{Origin, Recipient};

use super::common::Frame;
use super::error::Stop;
use super::write::{self, Content, Envelope};
use super::{hand_over, read};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The answer goes to who wrote, or where they want answers; with --all to the others too, patients left out. In-Reply-To, References and the \
    subject follow from the message. A patient who wrote can be answered.\n\nExamples:\n  vaguemestre lps reply 12 --text 'Merci, bien reçu.'\n  \
    vaguemestre lps reply 12 --all --text-file mot.txt --cda lettre.xml"
)]
pub struct Args {
    /// The number of the message answered.
    uid: u32,
    /// Its folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// Answer everybody it was written to.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    sending: hand_over::Delivery,
}

/// Makes it and hands it over.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let account = frame.account(&space).await?;
    let session = frame.open_as(&space, &account).await?;
    let message = read::fetch(&session, &args.folder, args.uid, frame).await?;
    let origin = Origin::of_header(message.octets());
    let to = Recipient::answering(&origin);
    let own = account.address.lookup_key();
    let mut cc = Vec::new();
    if args.all {
        for address in origin.others().iter().filter(|address| address.lookup_key() != own) {
            cc.push(Recipient::new(address.clone())?);
        }
    }
    let envelope = Envelope { to, cc, bcc: Vec::new(), subject: None, origin: Some(origin) };
    let answer = write::compose(&args.content, None, envelope, &space, frame).await?;
    if args.content.dry_run {
        session.close().await;
        return write::dry_run(&answer, frame).await;
    }
    let done = hand_over::run(&answer, &space, account, &args.sending, frame).await;
    if done.is_ok() {
        session.mark(&args.folder, &[args.uid], &["\\Answered"], &[]).await?;
    }
    session.close().await;
    done
}
