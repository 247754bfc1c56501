//! What every `lps` subcommand has in common: the options, the trust space, the mailbox, the traces.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use clap::ValueEnum;
use lps::account::{Account, Authentication, Credentials};
use lps::discover::discover;
use lps::explain::Language;
use lps::login::agent;
use lps::session::Session;
use lps::space::Space;
use lps::trace::{TraceFolder, Tracer};
use mssante::{Address, NationalId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trust::tls::Identity;

use super::error::{CommandError, Stop};
use super::out::Out;
use super::places::{self, Boxes};

/// Work that takes less shows no sign of life.
const PATIENCE: Duration = Duration::from_millis(400);
/// What has so many octets is shown as it moves: less is gone before anybody could look.
const LARGE: u64 = 512 * 1024;
/// Between two signs.
const TICK: Duration = Duration::from_millis(100);

/// Options of every subcommand.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every lps command")]
pub struct Common {
    /// The settings of the software and its trust space; ~/.config/vaguemestre/lps.toml, else the one of a sandbox in this folder.
    #[arg(long, global = true, value_name = "FILE", env = places::VARIABLE)]
    space: Option<PathBuf>,
    /// The mailbox (BAL); the first of `lps boxes` when absent.
    #[arg(long, short, global = true, value_name = "ADDRESS", env = "VAGUEMESTRE_MAILBOX")]
    pub mailbox: Option<Address>,
    /// Who opens it, among those who are logged in: a national identifier (8 and the RPPS number).
    #[arg(long = "as", global = true, value_name = "IDNAT")]
    pub person: Option<NationalId>,
    /// Opens a BAL APP: the software's certificate, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key, PEM without passphrase.
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Answer in JSON: one document, or one a line where answers keep coming.
    #[arg(long, global = true)]
    pub json: bool,
    /// The language of messages; by LC_ALL and LANG when absent, French when they say neither.
    #[arg(long, global = true, value_enum, value_name = "LANGUAGE")]
    language: Option<Tongue>,
}

/// What `--language` takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Tongue {
    Fr,
    En,
}

impl From<Tongue> for Language {
    fn from(tongue: Tongue) -> Language {
        match tongue {
            Tongue::Fr => Language::French,
            Tongue::En => Language::English,
        }
    }
}

/// The language that the environment asks for.
pub fn language(named: impl Fn(&str) -> Option<String>) -> Language {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    match names.into_iter().filter_map(named).find(|value| !value.is_empty()) {
        Some(value) if value.starts_with("en") => Language::English,
        _ => Language::French,
    }
}

/// One run of a subcommand.
pub struct Frame {
    /// Where the answer goes.
    pub out: Out,
    /// The options.
    pub options: Common,
    traces: OnceLock<Arc<TraceFolder>>,
}

impl Frame {
    /// For these options.
    pub fn new(options: Common) -> Frame {
        let language = match options.language {
            Some(tongue) => tongue.into(),
            None => language(|name| std::env::var(name).ok()),
        };
        Frame { out: Out::new(options.json, language), options, traces: OnceLock::new() }
    }

    /// The settings file.
    pub fn settings(&self) -> Result<PathBuf, Stop> {
        let (path, sandbox) = places::settings(self.options.space.as_deref())?;
        if sandbox {
            let what = self.out.pick("Espace d'essai :", "Test space:");
            self.out.note(&format!("{what} {}", path.display()));
        }
        Ok(path)
    }

    /// The settings file, without a word about where it is.
    pub fn settings_quietly(&self) -> Result<PathBuf, Stop> {
        Ok(places::settings(self.options.space.as_deref())?.0)
    }

    /// Who acts: the one named, else the one remembered of the mailbox.
    pub fn person(&self) -> Result<Option<NationalId>, Stop> {
        if self.options.person.is_some() {
            return Ok(self.options.person.clone());
        }
        let boxes = self.boxes()?;
        let remembered = match &self.options.mailbox {
            Some(address) => boxes.find(address),
            None => boxes.all.first(),
        };
        Ok(remembered.and_then(|one| one.person.clone()))
    }

    /// The mailbox that is meant, with what opens it.
    pub async fn account(&self, space: &Arc<Space>) -> Result<Account, Stop> {
        self.account_of(space, self.mailbox()?).await
    }

    /// One mailbox, with what opens it.
    pub async fn account_of(&self, space: &Arc<Space>, address: Address) -> Result<Account, Stop> {
        let (credentials, authentication) = match self.identity(&address)? {
            Some(identity) => (Credentials::Certificate(identity), Authentication::Certificate),
            None => {
                let mut client = agent::client(agent::default_socket());
                if let Some(provider) = &space.psc {
                    client = client.of(provider);
                }
                let remembered = self.boxes()?.find(&address).and_then(|one| one.person.clone());
                if let Some(person) = self.options.person.clone().or(remembered) {
                    client = client.person(&person);
                }
                // Who it is stands in the traces; and nobody logged in is told before any connection.
                client.session().await?;
                (Credentials::Psc(Arc::new(client)), Authentication::Psc)
            }
        };
        let entry = discover(space, &address, authentication).await?;
        Ok(Account { address, entry, credentials })
    }

    /// The mailbox that is meant, open.
    pub async fn open(&self) -> Result<Session, Stop> {
        let space = self.space()?;
        let account = self.account(&space).await?;
        self.open_as(&space, &account).await
    }

    /// That mailbox, open.
    pub async fn open_as(&self, space: &Arc<Space>, account: &Account) -> Result<Session, Stop> {
        let work = Session::open(space.clone(), account.clone());
        Ok(self.busy(self.out.pick("Connexion", "Connecting"), work).await?)
    }

    /// The trust space, with traces kept.
    pub fn space(&self) -> Result<Arc<Space>, Stop> {
        let space = Space::load(&self.settings()?)?;
        let traces = Arc::new(TraceFolder::open(&trace_folder(&space), space.trace_days, space.clock.clone())?);
        let tracer: Arc<dyn Tracer> = self.traces.get_or_init(|| traces).clone();
        Ok(space.with_tracer(tracer))
    }

    /// The remembered mailboxes.
    pub fn boxes(&self) -> Result<Boxes, Stop> {
        Boxes::load(&self.settings_quietly()?)
    }

    /// The mailbox that is meant.
    pub fn mailbox(&self) -> Result<Address, Stop> {
        match &self.options.mailbox {
            Some(address) => Ok(address.clone()),
            None => {
                let boxes = self.boxes()?;
                Ok(boxes.all.into_iter().next().ok_or(CommandError::NoMailbox)?.address)
            }
        }
    }

    /// The certificate that opens a BAL APP: the one given, else the one remembered of it.
    pub fn identity(&self, address: &Address) -> Result<Option<Identity>, Stop> {
        let boxes = self.boxes()?;
        let remembered = boxes.find(address);
        let path = |given: &Option<PathBuf>, remembered: Option<&PathBuf>| {
            given.clone().or_else(|| remembered.map(|path| boxes.absolute(path)))
        };
        let certificate = path(&self.options.certificate, remembered.and_then(|one| one.certificate.as_ref()));
        let key = path(&self.options.key, remembered.and_then(|one| one.key.as_ref()));
        match (certificate, key) {
            (None, None) => Ok(None),
            // Often one file holds both.
            (Some(certificate), key) => {
                let key = key.unwrap_or_else(|| certificate.clone());
                let identity = Identity::from_files(&certificate, &key);
                Ok(Some(identity.map_err(|error| CommandError::Certificate(error.to_string()))?))
            }
            (None, Some(_)) => Err(CommandError::Certificate("--key without --certificate".into()).into()),
        }
    }

    /// Waits for long work with a sign of life on a terminal.
    pub async fn busy<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        if !self.is_watched() {
            return work.await;
        }
        tokio::pin!(work);
        // Quick work shows nothing.
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return done;
        }
        let spinner = indicatif::ProgressBar::new_spinner().with_message(what.to_owned());
        spinner.enable_steady_tick(TICK);
        let done = work.await;
        spinner.finish_and_clear();
        done
    }

    /// Whether somebody sees how far work is.
    pub fn is_watched(&self) -> bool {
        use std::io::IsTerminal;
        std::io::stderr().is_terminal()
    }

    /// Waits for octets to come or go, with a bar on a terminal; `moved` counts them, `total` is how many there are, 0 when nobody knows.
    pub async fn transfer<T>(&self, what: &str, total: u64, moved: &AtomicU64, work: impl Future<Output = T>) -> T {
        if total < LARGE || !self.is_watched() {
            return self.busy(what, work).await;
        }
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return done;
        }
        let bar = indicatif::ProgressBar::new(total).with_message(what.to_owned());
        // A template of this program's.
        if let Ok(style) =
            indicatif::ProgressStyle::with_template("{msg}  {bar:30}  {bytes}/{total_bytes}  {bytes_per_sec}")
        {
            bar.set_style(style);
        }
        let mut tick = tokio::time::interval(TICK);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => bar.set_position(moved.load(Ordering::Relaxed).min(total)),
            }
        };
        bar.finish_and_clear();
        done
    }

    /// The end: traces are brought to the disk, and told of when they could not be kept.
    pub fn finish(&self) {
        if let Some(traces) = self.traces.get() {
            traces.flush();
            let lost = traces.lost();
            if lost > 0 {
                let what = self.out.pick("trace(s) n'ont pas pu être écrites", "trace(s) could not be written");
                self.out.note(&format!("vaguemestre: {lost} {what}"));
            }
        }
    }
}

/// Counts the octets that pass.
pub struct Counted<I> {
    /// Where they come from or go to.
    pub inner: I,
    /// How many passed.
    pub moved: Arc<AtomicU64>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let done = Pin::new(&mut self.inner).poll_read(cx, into);
        self.moved.fetch_add((into.filled().len() - before) as u64, Ordering::Relaxed);
        done
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, octets);
        if let Poll::Ready(Ok(count)) = &done {
            self.moved.fetch_add(*count as u64, Ordering::Relaxed);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Where the traces of a space are: where its settings say, else with what the person's programs remember.
pub fn trace_folder(space: &Space) -> PathBuf {
    space.traces.clone().unwrap_or_else(|| {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state"))).unwrap_or_default();
        state.join("vaguemestre/lps-traces")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_environments() {
        let of = |pairs: &[(&str, &str)]| {
            language(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[]), Language::French);
        assert_eq!(of(&[("LANG", "C.UTF-8")]), Language::French);
        assert_eq!(of(&[("LANG", "en_GB.UTF-8")]), Language::English);
        assert_eq!(of(&[("LC_ALL", "fr_FR.UTF-8"), ("LANG", "en_US")]), Language::French);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "en_US")]), Language::English);
    }
}
