//! `vaguemestre backup`: a consistent copy of all mail, beside the running server or without it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use operator::service::{ADMIN_SOCKET, HELD};
use store::sqlite::{Making, Sqlite, backup};

use super::{as_owner, load, octets, say};
use crate::failure::Failure;
use crate::progress::Progress;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In it: every message and folder, the register of mailboxes with rights and quotas, the outgoing queue, the functional traces. \
    Everything acknowledged before it began is there.\n\
    Not in it: the keys (`vaguemestre keys export`), without which nobody can read it; the configuration, certificates and the master key; \
    the search index, the white list and revocation lists, which are made or fetched again.\n\n\
    The same folder again is brought up to date: only what is new is copied, and the former backup stays whole until the new one is. \
    An interrupted backup is begun again by the same command.\n\n\
    Examples:\n  vaguemestre backup /srv/backup/mail --config /etc/vaguemestre/vaguemestre.toml\n  \
    vaguemestre keys export /srv/keys/mail.keys --config /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// Where: an empty folder, or one with a backup, best on another disk.
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// Read again what is in the folder already, and replace what is damaged.
    #[arg(long)]
    verify: bool,
    /// The operator's configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// How long the server may take to answer on its socket.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server's word that it removes no file meanwhile.
struct Hold(UnixStream);

impl Hold {
    /// `None` when no server runs. One that starts has the data folder a little before its socket.
    fn of_server(data: &Path) -> Result<Option<Hold>, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            let hold = Hold::take(&data.join(ADMIN_SOCKET))?;
            if hold.is_some() || Instant::now() > until || !Sqlite::in_use(&data.join("store"))? {
                return Ok(hold);
            }
            std::thread::sleep(PATIENCE / 300);
        }
    }

    /// `None` when no server listens.
    fn take(socket: &Path) -> Result<Option<Hold>, Failure> {
        let mut stream = match UnixStream::connect(socket) {
            Ok(stream) => stream,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
            Err(e) => return Err(Failure::new(format!("{}: {e}", socket.display()))),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /hold HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut piece = [0; 512];
        loop {
            let read = stream.read(&mut piece)?;
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer);
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            if body.is_some_and(|body| body.starts_with(HELD)) && text.split(' ').nth(1) == Some("200") {
                return Ok(Some(Hold(stream)));
            }
            if read == 0 || answer.len() > 64 * 1024 {
                return Err(Failure::new(format!(
                    "the server does not hold its files: is it of this version ({})?",
                    env!("CARGO_PKG_VERSION")
                )));
            }
        }
    }

    /// Whether it was kept all along.
    fn kept(mut self) -> bool {
        let mut piece = [0; 4096];
        if self.0.set_nonblocking(true).is_err() {
            return false;
        }
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// Makes it.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = load(&args.config)?;
    let data = &config.operator.data;
    as_owner(data)?;
    let hold = Hold::of_server(data)?;
    let mut progress = Progress::octets();
    let making = Making {
        data,
        target: &args.target,
        served: hold.is_some(),
        verify: args.verify,
        program: env!("CARGO_PKG_VERSION"),
    };
    let mut hold = hold;
    let done =
        backup(&making, &mut || hold.take().is_none_or(Hold::kept), &mut |done, total| progress.set(done, total));
    progress.finish();
    let done = done?;
    let about = &done.about;
    say(format_args!(
        "{}: {} messages of {} mailboxes, {} waiting in the queue; {} files, {}, of which {} ({}) were copied now",
        args.target.display(),
        about.messages,
        about.mailboxes,
        about.queue,
        done.files.0,
        octets(done.files.1),
        done.copied.0,
        octets(done.copied.1)
    ));
    if done.renewed > 0 {
        say(format_args!("{} files of the former backup were damaged and were copied again", done.renewed));
    }
    say(
        "the keys are not in it: `vaguemestre keys export FILE`, to be kept elsewhere and replaced by every later export",
    );
    match (&config.store.key_file, &config.store.key_env) {
        (None, None) => say(format_args!(
            "nor is the master key, which is in the data folder: keep a copy of {}",
            data.join("store/keys/master.key").display()
        )),
        _ => say("nor are the configuration, the certificates and the master key it names: keep copies of them"),
    }
    if done.missing > 0 {
        return Err(Failure::new(format!(
            "{} files of large messages are not in the data folder, though messages name them: the backup is whole but for these; \
             `vaguemestre fsck` names them when the server is stopped",
            done.missing
        )));
    }
    Ok(())
}
