//! Another IMAP server as a source: every folder, by UID, with flags and dates, read without marking anything.
//!
//! Blocking, over [`imap::client`], whose limits bound what the server sends. TLS from the first octet or by STARTTLS, never without;
//! the certificate is checked against the system's authorities or a file of one's own: such a server is outside the trust space.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use imap::client::{self, ClientError, Code, Command, Connection, Fetched, Listed, Patience, Sasl, Untagged, Wanted};
use openssl::ssl::{SslConnector, SslMethod};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_openssl::SslStream;
use zeroize::Zeroizing;

use super::letter::{Key, Letter, Post};
use super::{Given, MAX_MESSAGE, Result, Source, TransferError};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);
/// Old servers under load are slow: they are given more than a BAL's, and an hour to answer one command.
const PATIENCE: Patience =
    Patience { silence: Duration::from_secs(120), answer: Duration::from_secs(3600), more: Duration::from_secs(16) };
/// Messages whose flags are asked at once.
const LISTED: usize = 5000;

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {
    /// At once (usually port 993).
    Implicit,
    /// By STARTTLS (usually port 143).
    StartTls,
}

/// Which server, and as whom.
pub struct Account {
    /// Its name, which its certificate must hold.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins.
    pub tls: Tls,
    /// Authorities believed, in PEM; the system's when absent.
    pub authorities: Option<PathBuf>,
    /// Who; Dovecot's `user*master` works too.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

type Client = Connection<SslStream<TcpStream>>;

/// A mailbox elsewhere.
pub struct Remote {
    source: String,
    place: String,
    /// Of this source alone: whoever reads it waits.
    runtime: Runtime,
    client: Client,
    folders: std::vec::IntoIter<Listed>,
    /// Folders that cannot be asked for: told of first.
    unreadable: Vec<String>,
    current: Option<Current>,
    expected: u64,
}

/// The folder that is open.
struct Current {
    name: String,
    validity: u32,
    /// Sets of UIDs, and the messages of the first.
    windows: std::vec::IntoIter<String>,
    listed: std::vec::IntoIter<Message>,
}

/// A message as it is listed.
struct Message {
    uid: u32,
    flags: Vec<String>,
    /// INTERNALDATE, seconds since 1970.
    date: i64,
    size: u64,
}

impl Remote {
    /// Connects, authenticates and looks at the folders.
    ///
    /// # Errors
    /// [`TransferError::Remote`] with what the server or TLS said.
    pub fn open(account: &Account) -> Result<Self> {
        let place = format!("{}:{}", account.host, account.port);
        let failed = |why: String| TransferError::Remote(place.clone(), why);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| failed(e.to_string()))?;
        let (client, mut folders, unreadable, expected) = runtime.block_on(async {
            let mut client = connect(account).await.map_err(&failed)?;
            let (folders, unreadable) = folders(&mut client).await.map_err(|e| failed(e.to_string()))?;
            let mut expected: u64 = 0;
            for folder in &folders {
                let command = Command::new("STATUS").text(" ").string(&folder.raw).text(" (MESSAGES)");
                let take = &mut |untagged| {
                    if let Untagged::Counts(counts) = untagged {
                        expected = expected.saturating_add(u64::from(counts.messages.unwrap_or(0)));
                    }
                };
                client.run(&command, take).await.map_err(|e| failed(e.to_string()))?;
            }
            Ok::<_, TransferError>((client, folders, unreadable, expected))
        })?;
        folders.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
        let source = format!("imap://{}@{}:{}", account.user, account.host, account.port);
        let folders = folders.into_iter();
        Ok(Remote { source, place, runtime, client, folders, unreadable, current: None, expected })
    }

    fn error(&self, error: &ClientError) -> TransferError {
        TransferError::Remote(self.place.clone(), error.to_string())
    }

    fn begin(&mut self, folder: &Listed) -> Result<()> {
        let mut validity = 1;
        let command = Command::new("EXAMINE").text(" ").string(&folder.raw);
        let client = &mut self.client;
        let opened = self.runtime.block_on(async {
            let take = &mut |untagged| {
                if let Untagged::Status(told) = untagged
                    && let Some(Code::UidValidity(told)) = told.code
                {
                    validity = told;
                }
            };
            client.run(&command, take).await?;
            client.uid_search(|command| command.text(" ALL"), false).await
        });
        let uids = opened.map_err(|e| self.error(&e))?;
        let windows: Vec<String> = uids.chunks(LISTED).flat_map(|window| client::uid_sets(window, LISTED)).collect();
        let (windows, listed) = (windows.into_iter(), Vec::new().into_iter());
        self.current = Some(Current { name: unicode(folder), validity, windows, listed });
        Ok(())
    }

    fn list(&mut self, window: &str) -> Result<Vec<Message>> {
        let mut listed = Vec::new();
        let take = &mut |uid, fetched: Fetched| {
            // No more than was asked for, however often it is said.
            if listed.len() < LISTED {
                let date = fetched.internal_date.map_or(0, |moment| moment.unix);
                let (flags, size) = (fetched.flags.unwrap_or_default(), fetched.size.unwrap_or(0));
                listed.push(Message { uid, flags, date, size });
            }
        };
        let work = self.client.uid_fetch(window, "(UID FLAGS INTERNALDATE RFC822.SIZE)", "", take);
        self.runtime.block_on(work).map_err(|e| self.error(&e))?;
        listed.sort_by_key(|message| message.uid);
        listed.dedup_by_key(|message| message.uid);
        Ok(listed)
    }

    /// A message; none when it is gone.
    fn fetch(&mut self, uid: u32) -> Result<Option<Vec<u8>>> {
        let mut octets = Vec::new();
        let wanted = Wanted { uid, from: 0, limit: MAX_MESSAGE };
        match self.runtime.block_on(self.client.message(wanted, &mut octets, &mut 0)) {
            Ok(()) => Ok(Some(octets)),
            Err(ClientError::Missing) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }
}

impl Source for Remote {
    fn expected(&self) -> Option<u64> {
        Some(self.expected)
    }

    fn next(&mut self, known: &dyn Fn(&Key) -> bool) -> Result<Option<Given>> {
        if let Some(name) = self.unreadable.pop() {
            let why = "the server writes its name so that it cannot be asked for";
            return Ok(Some(Given::Skipped(format!("folder {name}"), why.into())));
        }
        loop {
            let Some(current) = &mut self.current else {
                match self.folders.next() {
                    Some(folder) => self.begin(&folder)?,
                    None => {
                        // BYE is what is expected.
                        let _ = self.runtime.block_on(self.client.run(&Command::new("LOGOUT"), &mut |_| {}));
                        return Ok(None);
                    }
                }
                continue;
            };
            let Some(message) = current.listed.next() else {
                match current.windows.next() {
                    None => self.current = None,
                    Some(window) => {
                        let listed = self.list(&window)?.into_iter();
                        self.current.as_mut().expect("a folder is open").listed = listed;
                    }
                }
                continue;
            };
            let (folder, validity) = (current.name.clone(), current.validity);
            let key = Key::of(&self.source, &folder, &format!("{validity}.{}", message.uid));
            if known(&key) {
                return Ok(Some(Given::Known));
            }
            let place = format!("{folder} UID {}", message.uid);
            if message.size > MAX_MESSAGE {
                return Ok(Some(Given::Skipped(place, "larger than any mailbox takes".into())));
            }
            let Some(octets) = self.fetch(message.uid)? else {
                return Ok(Some(Given::Skipped(place, "the server did not give it (expunged meanwhile?)".into())));
            };
            let octets: bytes::Bytes = super::text::with_crlf(&octets).into_owned().into();
            if octets.is_empty() {
                return Ok(Some(Given::Skipped(place, "an empty message".into())));
            }
            let size = octets.len() as u64;
            let letter = Letter { folder, flags: message.flags, date: message.date, key, size };
            return Ok(Some(Given::Post(Box::new(Post { letter, octets }))));
        }
    }
}

/// The folders that hold messages, and the names of those that cannot be asked for.
async fn folders(client: &mut Client) -> std::result::Result<(Vec<Listed>, Vec<String>), ClientError> {
    let (mut folders, mut unreadable) = (Vec::new(), Vec::new());
    let take = &mut |untagged| match untagged {
        Untagged::List(listed) | Untagged::OddList(listed)
            if folders.len() <= client::MAX_FOLDERS && !listed.has("\\Noselect") && !listed.has("\\NonExistent") =>
        {
            folders.push(listed);
        }
        Untagged::Other(word) if word == "LIST" && unreadable.len() < 100 => {
            unreadable.push(format!("number {}", folders.len() + unreadable.len() + 1));
        }
        _ => {}
    };
    client.run(&Command::new("LIST").text(" \"\" \"*\""), take).await?;
    if folders.len() > client::MAX_FOLDERS { Err(ClientError::TooMuch("folders")) } else { Ok((folders, unreadable)) }
}

/// In Unicode, levels separated by `/`.
fn unicode(folder: &Listed) -> String {
    match folder.separator {
        Some('/') | None => folder.name.clone(),
        // A slash in a name of a server that separates with something else.
        Some(other) => folder.name.replace('/', "_").replace(other, "/"),
    }
}

async fn connect(account: &Account) -> std::result::Result<Client, String> {
    let words = |e: &dyn std::error::Error| e.to_string();
    let dialled = TcpStream::connect((account.host.as_str(), account.port));
    let tcp = tokio::time::timeout(CONNECT, dialled).await.map_err(|_| "it does not answer".to_owned())?;
    let mut tcp = tcp.map_err(|e| words(&e))?;
    if account.tls == Tls::StartTls {
        tcp = client::starttls(tcp, PATIENCE).await.map_err(|e| words(&e))?;
    }
    let mut connector = SslConnector::builder(SslMethod::tls_client()).map_err(|e| words(&e))?;
    if let Some(file) = &account.authorities {
        connector.set_ca_file(file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let ssl = connector.build().configure().and_then(|c| c.into_ssl(&account.host)).map_err(|e| words(&e))?;
    let mut tls = SslStream::new(ssl, tcp).map_err(|e| words(&e))?;
    let shaken = tokio::time::timeout(PATIENCE.silence, Pin::new(&mut tls).connect()).await;
    shaken
        .map_err(|_| "it does not answer".to_owned())?
        .map_err(|e| format!("{e} (its certificate is checked; give the authority that signed it with --ca)"))?;
    let mut client = Connection::new(tls, PATIENCE);
    if account.tls == Tls::Implicit {
        client.greeting().await.map_err(|e| words(&e))?;
    }
    client.ask_capabilities().await.map_err(|e| words(&e))?;
    let (user, password) = (account.user.as_str(), account.password.as_str());
    let entered = match client.capabilities().offers("PLAIN") {
        true => client.authenticate(&Sasl::Plain { user, password }).await,
        false => client.login(user, password).await,
    };
    entered.map_err(|e| words(&e))?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_servers() {
        let listed =
            |name: &str, separator| Listed { name: name.into(), raw: name.into(), separator, flags: Vec::new() };
        assert_eq!(unicode(&listed("Archive.2026.Été", Some('.'))), "Archive/2026/Été");
        assert_eq!(unicode(&listed("a/b.c", Some('.'))), "a_b/c");
        assert_eq!(unicode(&listed("a/b.c", Some('/'))), "a/b.c");
        assert_eq!(unicode(&listed("INBOX", None)), "INBOX");
    }
}
