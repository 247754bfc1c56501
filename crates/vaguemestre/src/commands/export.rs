//! `vaguemestre export`: a mailbox as a Maildir or as mbox files, beside the running server or not.

use std::path::PathBuf;

use mssante::Address;
use operator::transfer::maildir::MaildirWriter;
use operator::transfer::mbox::MboxWriter;

use super::{load, say};
use crate::failure::Failure;
use crate::mailroom::Mailroom;
use crate::progress::Progress;
use crate::runtime::block_on;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The mail leaves the encrypted store: the files are readable by their owner only, and are yours to protect and to erase.\n\n\
    Examples (C stands for --config /etc/vaguemestre/vaguemestre.toml, or set VAGUEMESTRE_CONFIG):\n  \
    vaguemestre export maildir C /srv/export/marie --from marie.martin@hopital.mssante.fr\n  \
    vaguemestre export mbox C /srv/export/marie-mbox --from marie.martin@hopital.mssante.fr"
)]
pub struct Args {
    #[command(subcommand)]
    target: To,
    /// The mailbox.
    #[arg(long, global = true, value_name = "ADDRESS")]
    from: Option<Address>,
    /// The operator's configuration file.
    #[arg(long, short, global = true, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum To {
    /// A Maildir with its folders (Maildir++), which may be there already: what it has is not written again.
    Maildir {
        /// Where.
        path: PathBuf,
    },
    /// One mbox file for each folder, in a new folder.
    Mbox {
        /// Where.
        path: PathBuf,
    },
}

/// Writes it.
pub fn run(args: Args) -> Result<(), Failure> {
    let path =
        args.config.ok_or_else(|| Failure::new("which operator? give --config FILE, or set VAGUEMESTRE_CONFIG"))?;
    let from = args.from.ok_or_else(|| Failure::new("which mailbox? give --from ADDRESS"))?;
    let config = load(&path)?;
    let mut progress = None;
    let (mut written, mut there) = (0u64, 0u64);
    let given = block_on(async {
        let mut room = Mailroom::open(&config, &from).await?;
        let mut maildir = None;
        let mut mbox = None;
        match &args.target {
            To::Maildir { path } => maildir = Some(MaildirWriter::open(path)?),
            To::Mbox { path } => mbox = Some(MboxWriter::open(path)?),
        }
        let bar = std::cell::RefCell::new(None::<Progress>);
        let given = room
            .take(
                |count| *bar.borrow_mut() = Some(Progress::new("messages", Some(count))),
                |post| {
                    let new = match (&mut maildir, &mut mbox) {
                        (Some(maildir), _) => maildir.write(&post)?,
                        (_, Some(mbox)) => mbox.write(&post).map(|()| true)?,
                        _ => false,
                    };
                    if new {
                        written += 1;
                    } else {
                        there += 1;
                    }
                    if let Some(bar) = &mut *bar.borrow_mut() {
                        bar.add(1);
                    }
                    Ok(())
                },
            )
            .await;
        if let Some(mbox) = &mut mbox {
            mbox.finish()?;
        }
        progress = bar.into_inner();
        room.close().await;
        given
    });
    if let Some(progress) = progress {
        progress.finish();
    }
    given?;
    say(format_args!("{written} messages of {from} written; {there} were there already"));
    Ok(())
}
