//! `vaguemestre lps send`: a message, with its documents, to professionals or to a patient (ECO-HDR, ECO-DOC, ECO-PATIENT).

use lps::compose::Recipient;
use mssante::Address;

use super::common::Frame;
use super::error::Stop;
use super::hand_over;
use super::write::{self, Content, Envelope, Patient};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vaguemestre lps send --to sophie.leroy@beta.formation.mssante.fr --cda lettre.xml --text 'Bonjour, ci-joint la lettre.' --request-receipt\n  \
    vaguemestre lps send --to-patient --cda ordonnance.xml --text-file mot.txt --fin\n  \
    vaguemestre lps send --to accueil@beta.formation.mssante.fr --subject 'Avis' --text 'Bonjour' --attach photo.jpg --dry-run\n\n\
    With documents the subject is composed from them. X-MSS-CODECDA, X-MSS-INS and the PDF copies too: they cannot be typed."
)]
pub struct Args {
    /// A professional or a structure; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<Address>,
    /// The same, for information.
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<Address>,
    /// The same, seen by nobody else.
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<Address>,
    /// The subject, of a message without documents.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    patient: Patient,
    #[command(flatten)]
    sending: hand_over::Delivery,
}

/// Makes it and hands it over.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let recipients = |addresses: Vec<Address>| addresses.into_iter().map(Recipient::new).collect::<Result<Vec<_>, _>>();
    let envelope = Envelope {
        to: recipients(args.to)?,
        cc: recipients(args.cc)?,
        bcc: recipients(args.bcc)?,
        subject: args.subject,
        origin: None,
    };
    // Nobody logged in is told before documents are rendered.
    let account = if args.content.dry_run { None } else { Some(frame.account(&space).await?) };
    let message = write::compose(&args.content, Some(&args.patient), envelope, &space, frame).await?;
    match account {
        None => write::dry_run(&message, frame).await,
        Some(account) => hand_over::run(&message, &space, account, &args.sending, frame).await,
    }
}
