//! A small integration platform (PFI), as a tutorial: it watches a BAL APP, files the documents that come, answers with integration notices, and
//! deletes what it has dealt with.
//!
//! ```text
//! cargo run -p lps --example pfi -- sandbox-data/lps.toml labo-beta@… pki/labo-beta.pem pki/labo-beta.key dossiers "Laboratoire Beta"
//! ```
//!
//! A real platform puts its record in the place of [`Folders`]: everything else is this program. `vaguemestre lps intake` is the same with options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lps::compose::Sender;
use lps::discover::discover;
use lps::documents::Folder;
use lps::explain::{Explain, Language};
use lps::intake::{Arrival, Filer, Intake, OutboxPost, Settings, Verdict};
use lps::journal::Journal;
use lps::outbox::Outbox;
use lps::receipt::Respondent;
use lps::send::SendOptions;
use lps::session::Session;
use lps::trace::TraceFolder;
use lps::{Account, Authentication, Credentials, Space, clean};
use mssante::label::Label;
use time::OffsetDateTime;
use trust::tls::Identity;

/// The record of this example: one folder per patient, one inside per message.
struct Folders {
    root: PathBuf,
}

#[async_trait]
impl Filer for Folders {
    /// Step 5: the host program files. When this answers `Filed` it must be true after a power cut, for a notice says so to the sender and
    /// the message may then be deleted.
    async fn file(&mut self, arrival: &Arrival<'_>) -> Verdict {
        let message = arrival.message;
        // Mail without documents is for people.
        if message.archives.is_empty() {
            return Verdict::Leave;
        }
        // A damaged archive, two patients, a wrong INS: refused with one of the codes 900 to 906, which the sender's software reads.
        if let Some(refusal) = arrival.suggested_refusal() {
            println!("refused: {}", refusal.code.number());
            return Verdict::Refused(vec![refusal]);
        }
        // Here a real platform looks the patient up: by the INS of METADATA.XML, never by the subject (ECO.2.1.2). Unknown: 902.
        let Some((ins, _)) = message.patient().and_then(|patient| patient.ins) else { return Verdict::Leave };

        // The key is the message's wherever it comes from: a folder of that name is there when it was filed before (`arrival.again`, or the
        // same message received twice), and then there is nothing to do.
        let place = self.root.join(ins.to_string()).join(arrival.key.to_string());
        if place.exists() {
            return Verdict::Filed;
        }
        match file(message, &place) {
            Ok(count) => {
                println!("filed: {count} document(s)");
                Verdict::Filed
            }
            // The disk is full: not the sender's fault. It is given again at the next pass.
            Err(error) => {
                eprintln!("not filed now: {error}");
                Verdict::Later
            }
        }
    }
}

/// Writes the documents aside, then gives the folder its name: whole or not at all.
fn file(message: &lps::read::Message, place: &Path) -> Result<usize, Box<dyn std::error::Error>> {
    let aside = place.with_extension("part");
    let _ = std::fs::remove_dir_all(&aside); // what a kill left
    std::fs::create_dir_all(&aside)?;
    let folder = Folder::open(&aside)?;
    let mut count = 0;
    for document in message.documents() {
        // `Folder::put` makes names safe, overwrites nothing, and is on disk when it returns.
        folder.put(document.document.path.rsplit('/').next().unwrap_or("document.xml"), document.octets())?;
        count += 1;
    }
    std::fs::rename(&aside, place)?;
    std::fs::File::open(place.parent().unwrap_or(place))?.sync_all()?;
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [settings, address, certificate, key, root, name] = arguments.as_slice() else {
        return Err("arguments: SETTINGS ADDRESS CERTIFICATE KEY FOLDER NAME".into());
    };

    // Step 1. The trust space: one settings file. Traces are compulsory (ECO.4.1.1); here they go to files.
    let space = Space::load(Path::new(settings))?;
    let state = space.folder.join("pfi");
    std::fs::create_dir_all(&state)?;
    let traces = TraceFolder::open(&state.join("traces"), space.trace_days, space.clock.clone())?;
    let space = space.with_tracer(Arc::new(traces));

    // Step 2. The account: a BAL APP is opened with an ORG AUTH_CLI certificate; where, the autoconfiguration of its domain says.
    let address: mssante::Address = address.parse()?;
    let identity = Identity::from_files(Path::new(certificate), Path::new(key))?;
    let entry = discover(&space, &address, Authentication::Certificate).await?;
    let account = Account { address: address.clone(), entry, credentials: Credentials::Certificate(identity) };

    // Step 3. What must outlive a kill: the journal of what was filed and answered, and the outbox of notices. Both say no to a second process.
    let journal = Journal::open(&state.join("journal.jsonl"), OffsetDateTime::from(space.clock.now()))?;
    let outbox = Arc::new(Outbox::open(&state.join("outbox"))?);

    // Step 4. The session: it opens itself again when the operator or the network drops it.
    let session = Arc::new(Session::open(space.clone(), account.clone()).await?);
    let respondent = Respondent::new(&space, Sender { address, label: Label::entity(name)? });
    let post = OutboxPost { space: space.clone(), account, outbox, options: SendOptions::default() };
    let clock = space.clock.clone();
    let mut intake = Intake::new(session.clone(), post, journal, respondent, Settings::default(), clock);
    let mut record = Folders { root: PathBuf::from(root) };

    // Step 5 is `Folders::file`. It is called for what is there, then for what comes, until Ctrl-C; a trouble that passes is waited for.
    let mut stop = Box::pin(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    intake
        .watch(&mut record, &mut stop, &mut |seen| match seen {
            Ok(pass) => println!("filed {}, refused {}, answered {}", pass.filed, pass.refused, pass.sent),
            Err(error) => eprintln!("{} {}", error.message(Language::English), error.remedy(Language::English)),
        })
        .await?;

    // Step 6. Deleting what was filed and answered, and nothing else: `plan` says of every message what would become of it and why.
    let now = OffsetDateTime::from(space.clock.now());
    let plan = clean::plan(&*session, intake.journal(), "INBOX", clean::Rule::default(), now).await?;
    let cleaned = plan.carry_out(&*session, intake.journal(), now).await?;
    println!("deleted {}, spared {}", cleaned.deleted, cleaned.spared);
    Ok(())
}
