//! `vaguemestre lps receipts`: the receipts that senders ask for and did not get; a person decides to send them (ECO-RECEIPT, ECO.3.1.6;
//! RFC 8098).

use lps::explain::Explain;
use lps::read::{Limits, MAX_MESSAGE, Message};
use lps::receipt::{self, Consent, MDN_SENT, Request, Respondent, Stamp};
use lps::send::{self, SendOptions};
use lps::session::{Listing, Query, Session, Summary};
use mail::disposition::Fate;
use mssante::Address;
use serde_json::json;
use time::OffsetDateTime;

use super::common::Frame;
use super::error::{self, Stop};
use super::out::{Cell, Style};
use super::{rows, write};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Sends nothing unless --send says for which messages. A receipt is never sent twice, nor for a receipt, a list or what a program wrote; \
    where RFC 8098 wants a person to agree (the receipt is asked for another address than the sender's), the list says so, and --send is that \
    agreement.\n\nExamples:\n  vaguemestre lps receipts\n  vaguemestre lps receipts --send 12 --send 15\n  vaguemestre lps receipts --send-all"
)]
pub struct Args {
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// Sends the receipt of that message; may be given several times.
    #[arg(long, value_name = "UID", conflicts_with = "send_all")]
    send: Vec<u32>,
    /// Sends all that need nobody's agreement, of messages that were read.
    #[arg(long)]
    send_all: bool,
    /// Never: the message is marked, and its receipt no longer listed.
    #[arg(long, value_name = "UID", conflicts_with_all = ["send", "send_all"])]
    refuse: Vec<u32>,
    /// What recipients of the receipt see beside the address; the remembered one when absent.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// A receipt that waits.
struct Waiting {
    summary: Summary,
    message: Message,
    to: Vec<Address>,
    doubt: Option<receipt::Doubt>,
}

/// Lists them, or sends some.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let account = frame.account(&space).await?;
    let session = frame.open_as(&space, &account).await?;
    if !args.refuse.is_empty() {
        session.mark(&args.folder, &args.refuse, &[MDN_SENT], &[]).await?;
        session.close().await;
        return match frame.out.json {
            true => frame.out.document(&json!({ "refused": args.refuse })),
            false => {
                frame.out.say(frame.out.pick("Noté : aucun accusé ne sera envoyé.", "Noted: no receipt will be sent."))
            }
        };
    }
    let work = waiting(&session, &args.folder, &account.address);
    let all = frame.busy(frame.out.pick("Recherche des demandes", "Looking for requests"), work).await?;
    let chosen = |one: &Waiting| match args.send_all {
        true => one.doubt.is_none() && one.summary.has("\\Seen"),
        false => args.send.contains(&one.summary.uid),
    };
    if args.send.is_empty() && !args.send_all {
        session.close().await;
        return show(&all, frame);
    }
    let sender = write::sender(account.address.clone(), args.label.as_deref(), frame)?;
    let respondent = Respondent::new(&space, sender);
    let mut worst = None;
    let mut done = Vec::new();
    for one in all.iter().filter(|one| chosen(one)) {
        let consent = if args.send_all { Consent::Setting } else { Consent::Person };
        let stamp = Stamp::new(&respondent, OffsetDateTime::from(space.clock.now()))?;
        let made =
            receipt::read_receipt(&respondent, &one.message, &one.summary.flags, Fate::Displayed, consent, &stamp)?;
        // Marked first: a receipt that is lost is better than one that is sent twice.
        session.mark(&args.folder, &[one.summary.uid], &[MDN_SENT], &[]).await?;
        match send::send(&space, &account, &made, &SendOptions::default()).await {
            Ok(_) => done.push((one, None)),
            Err(error) => {
                if !error.may_be_delivered() {
                    session.mark(&args.folder, &[one.summary.uid], &[], &[MDN_SENT]).await?;
                }
                worst = worst.max(Some(error::code(&error)));
                done.push((one, Some(error)));
            }
        }
    }
    session.close().await;
    let out = &frame.out;
    if out.json {
        let sent = done.iter().map(|(one, error)| {
            json!({
                "uid": one.summary.uid,
                "to": one.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "error": error.as_ref().map(|error| error::json(error, out.language)),
            })
        });
        out.document(&json!({ "sent": sent.collect::<Vec<_>>() }))?;
    } else {
        for (one, error) in &done {
            let (look, words) = match error {
                None => (Style::Good, out.pick("accusé envoyé", "receipt sent").to_owned()),
                Some(error) => (Style::Bad, error.message(out.language)),
            };
            out.line([Cell(Style::Accent, format!("{}  ", one.summary.uid)), Cell(look, words)])?;
        }
        if done.is_empty() {
            out.line([Cell(Style::Faint, out.pick("Rien à envoyer.", "Nothing to send.").into())])?;
        }
    }
    worst.map_or(Ok(()), |code| Err(Stop::Told(code)))
}

/// The messages that ask and were not answered.
async fn waiting(session: &Session, folder: &str, own: &Address) -> Result<Vec<Waiting>, Stop> {
    let asked = Query::Header("Disposition-Notification-To".into(), String::new());
    let query = asked.and(Query::NoFlag(MDN_SENT.into()));
    let found = session.search(folder, &query).await?;
    let mut waiting = Vec::new();
    for summary in session.list(folder, &Listing::uids(&found)).await? {
        let octets = session.fetch_bytes(folder, summary.uid, MAX_MESSAGE).await?;
        let message = Message::read(&mut octets.as_slice(), Limits::default()).await?;
        let (to, doubt) = match receipt::request(&message, own, &summary.flags) {
            Request::Automatic(to) => (to, None),
            Request::AskPerson(to, doubt) => (to, Some(doubt)),
            Request::Refused(_) => continue,
        };
        waiting.push(Waiting { summary, message, to, doubt });
    }
    Ok(waiting)
}

fn show(all: &[Waiting], frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    if out.json {
        let list = all.iter().map(|one| {
            json!({
                "uid": one.summary.uid,
                "subject": one.message.subject.shown,
                "from": one.message.from.iter().map(rows::correspondent_json).collect::<Vec<_>>(),
                "to": one.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "seen": one.summary.has("\\Seen"),
                "needs_agreement": one.doubt.is_some(),
                "why": one.doubt.map(|doubt| doubt.message(out.language)),
            })
        });
        return out.document(&json!({ "receipts": list.collect::<Vec<_>>() }));
    }
    if all.is_empty() {
        return out.line([Cell(Style::Faint, out.pick("Aucun accusé à envoyer.", "No receipt to send.").into())]);
    }
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|one| {
            let why = one.doubt.map(|doubt| doubt.message(out.language)).unwrap_or_default();
            let to: Vec<_> = one.to.iter().map(ToString::to_string).collect();
            vec![
                Cell(Style::Accent, one.summary.uid.to_string()),
                to.join(", ").into(),
                one.message.subject.shown.clone().into(),
                Cell(Style::Bad, why.to_owned()),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["n°", "accusé pour", "objet", "à confirmer"],
        lps::Language::English => ["uid", "receipt for", "subject", "to be agreed to"],
    };
    out.table(&headers, &rows, &[1, 2, 3])
}
