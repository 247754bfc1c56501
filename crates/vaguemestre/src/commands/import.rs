//! `vaguemestre import`: mail from a Maildir, an mbox or another IMAP server into a mailbox, beside the running server or not.
//!
//! What was imported is noted in `<data>/imports`: the same command goes on where it stopped, and brings only what is new later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mail::FolderName;
use mssante::Address;
use operator::transfer::journal::Journal;
use operator::transfer::maildir::Maildir;
use operator::transfer::mbox::Mbox;
use operator::transfer::remote::{Account, Remote, Tls};
use operator::transfer::{Given, Key, MAX_BATCH, MAX_LETTERS, Outcome, Post, Source, TransferError};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{load, say};
use crate::failure::Failure;
use crate::mailroom::Mailroom;
use crate::progress::Progress;
use crate::runtime::block_on;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Flags, keywords and dates are kept; folders are made. Interrupted, the same command goes on where it stopped; run again \
    later, it brings what is new.\n\nExamples (C stands for --config /etc/vaguemestre/vaguemestre.toml, or set VAGUEMESTRE_CONFIG):\n  \
    vaguemestre import maildir C /var/mail/marie.martin/Maildir --into marie.martin@hopital.mssante.fr\n  \
    vaguemestre import mbox C archive-2019.mbox --folder Archive/2019 --into marie.martin@hopital.mssante.fr\n  \
    vaguemestre import imap C --host ancien.hopital.fr --user marie.martin --password-file mdp --into marie.martin@hopital.mssante.fr"
)]
pub struct Args {
    #[command(subcommand)]
    source: From,
    /// The mailbox that receives; it exists.
    #[arg(long, global = true, value_name = "ADDRESS")]
    into: Option<Address>,
    /// Puts everything under this folder.
    #[arg(long, global = true, value_name = "FOLDER")]
    under: Option<String>,
    /// Reads and counts, brings nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// The operator's configuration file.
    #[arg(long, short, global = true, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// A Maildir and the folders in it (Dovecot, Courier, mbsync).
    Maildir {
        /// The folder that holds `cur` and `new`, or folders that do.
        path: PathBuf,
    },
    /// An mbox file.
    Mbox {
        /// The file.
        path: PathBuf,
        /// The folder its messages go to.
        #[arg(long, default_value = "INBOX")]
        folder: String,
    },
    /// A mailbox of another IMAP server, over TLS.
    Imap {
        /// The server, as its certificate names it.
        #[arg(long)]
        host: String,
        /// Its port; 993 or, with STARTTLS, 143 when absent.
        #[arg(long)]
        port: Option<u16>,
        /// STARTTLS rather than TLS from the start.
        #[arg(long)]
        starttls: bool,
        /// The user; `user*master` for a Dovecot master user.
        #[arg(long)]
        user: String,
        /// A file that holds the password and nothing else.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// Authorities that signed its certificate, in PEM; the system's when absent.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
}

impl From {
    /// Opens it. Blocking.
    fn open(self) -> Result<Box<dyn Source>, Failure> {
        Ok(match self {
            From::Maildir { path } => Box::new(Maildir::open(&path)?),
            From::Mbox { path, folder } => Box::new(Mbox::open(&path, FolderName::new(&folder)?.as_str())?),
            From::Imap { host, port, starttls, user, password_file, ca } => {
                let text = std::fs::read_to_string(&password_file)
                    .map_err(|e| Failure::new(format!("{}: {e}", password_file.display())))?;
                let password = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
                drop(Zeroizing::new(text));
                let (tls, usual) = if starttls { (Tls::StartTls, 143) } else { (Tls::Implicit, 993) };
                let account = Account { host, port: port.unwrap_or(usual), tls, authorities: ca, user, password };
                Box::new(Remote::open(&account)?)
            }
        })
    }

    /// What tells one source from another, for the journal.
    fn name(&self) -> String {
        let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or(path.into()).display().to_string();
        match self {
            From::Maildir { path } => format!("maildir {}", whole(path)),
            From::Mbox { path, folder } => format!("mbox {} {folder}", whole(path)),
            From::Imap { host, user, .. } => format!("imap {user}@{host}"),
        }
    }
}

/// What was done.
#[derive(Default)]
struct Tally {
    stored: u64,
    already: u64,
    left: u64,
}

/// Reads on a thread of its own, writes batch by batch.
pub fn run(args: Args) -> Result<(), Failure> {
    let path =
        args.config.ok_or_else(|| Failure::new("which operator? give --config FILE, or set VAGUEMESTRE_CONFIG"))?;
    let into = args.into.ok_or_else(|| Failure::new("which mailbox? give --into ADDRESS"))?;
    let config = load(&path)?;
    let under = args.under.as_deref().map(FolderName::new).transpose()?;
    let data = config.operator.data.clone();
    let name = args.source.name();
    let mut source = args.source.open()?;
    let imports = data.join("imports");
    std::fs::create_dir_all(&imports).map_err(|e| Failure::new(format!("{}: {e}", imports.display())))?;
    let place = Key::of(&name, &into.to_string(), args.under.as_deref().unwrap_or_default());
    let file = place.0.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let journal = Arc::new(Mutex::new(Journal::open(&imports.join(file))?));
    let mut progress = Progress::new("messages", source.expected());
    let (sender, receiver) = mpsc::channel(1);
    let known = journal.clone();
    let reader = std::thread::Builder::new()
        .name("import".into())
        .spawn(move || read(&mut *source, &known, under.as_ref(), &sender))?;
    let tally = block_on(async {
        let room = if args.dry_run { None } else { Some(Mailroom::open(&config, &into).await?) };
        write(room, receiver, &journal, &mut progress).await
    });
    progress.finish();
    let tally = tally?;
    match reader.join() {
        Ok(done) => done?,
        Err(_) => return Err(Failure::new("the reader ended by a bug")),
    }
    let verb = if args.dry_run { "would be imported" } else { "imported" };
    say(format_args!("{} {verb} into {into}; {} there already; {} left out", tally.stored, tally.already, tally.left));
    if tally.left > 0 {
        return Err(Failure::new(format!("{} messages were left out: the lines above say which and why", tally.left)));
    }
    Ok(())
}

/// What the reader sends.
enum Read {
    Batch(Vec<Post>),
    Known,
    Skipped(String, String),
}

/// Lets batches through; ends when nobody takes them.
fn read(
    source: &mut dyn Source,
    journal: &Mutex<Journal>,
    under: Option<&FolderName>,
    out: &mpsc::Sender<Read>,
) -> Result<(), TransferError> {
    let known = |key: &Key| journal.lock().unwrap_or_else(PoisonError::into_inner).has(key);
    let (mut batch, mut octets) = (Vec::new(), 0);
    while let Some(given) = source.next(&known)? {
        let sent = match given {
            Given::Post(mut post) => {
                if let Some(under) = under {
                    post.letter.folder = format!("{under}/{}", post.letter.folder);
                }
                let full = batch.len() == MAX_LETTERS || octets + post.octets.len() > MAX_BATCH;
                let ready = if full && !batch.is_empty() {
                    octets = 0;
                    Some(std::mem::take(&mut batch))
                } else {
                    None
                };
                octets += post.octets.len();
                batch.push(*post);
                match ready {
                    Some(ready) => out.blocking_send(Read::Batch(ready)),
                    None => Ok(()),
                }
            }
            Given::Known => out.blocking_send(Read::Known),
            Given::Skipped(place, why) => out.blocking_send(Read::Skipped(place, why)),
        };
        if sent.is_err() {
            // The writer failed, and says why.
            return Ok(());
        }
    }
    if !batch.is_empty() {
        let _ = out.blocking_send(Read::Batch(batch));
    }
    Ok(())
}

async fn write(
    mut room: Option<Mailroom>,
    mut batches: mpsc::Receiver<Read>,
    journal: &Mutex<Journal>,
    progress: &mut Progress,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    while let Some(read) = batches.recv().await {
        match read {
            Read::Known => {
                tally.already += 1;
                progress.add(1);
            }
            Read::Skipped(place, why) => {
                tally.left += 1;
                progress.note(&format!("left out: {place}: {why}"));
                progress.add(1);
            }
            Read::Batch(posts) => {
                let Some(room) = &mut room else {
                    tally.stored += posts.len() as u64;
                    progress.add(posts.len() as u64);
                    continue;
                };
                let outcomes = room.put(&posts).await?;
                let mut done = Vec::with_capacity(posts.len());
                for (post, outcome) in posts.iter().zip(outcomes) {
                    match outcome {
                        Outcome::Stored => tally.stored += 1,
                        Outcome::Already => tally.already += 1,
                        Outcome::Refused(why) => {
                            tally.left += 1;
                            progress.note(&format!("left out: a message for {}: {why}", post.letter.folder));
                            continue;
                        }
                    }
                    done.push(post.letter.key);
                }
                journal.lock().unwrap_or_else(PoisonError::into_inner).note(&done)?;
                progress.add(posts.len() as u64);
            }
        }
    }
    if let Some(room) = room {
        room.close().await;
    }
    Ok(tally)
}
