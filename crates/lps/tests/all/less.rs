//! Our operator made to look like lesser ones: what it can do is left out of what it says, connections are cut where it hurts. So the ways
//! around QRESYNC, CONDSTORE, IDLE, MOVE and UIDPLUS are gone, and a message put twice into a folder is made one (session/append.rs).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imap::client::{Appended, Patience, starttls};
use lps::session::{Event, Known, Listing, Query, Session};
use lps::{Credentials, Endpoint, Explain, Space};
use sandbox::psc::Flaw;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use trust::tls::{Acceptor, Profile, TlsStream};

use crate::session::{HER_BOX, MARIE, Minted, account, endpoint, message, other, put};
use crate::world::{World, serve};

/// What goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    None,
    /// The connection is cut instead of the answer to the first command of this verb, which the server carried out.
    LoseAnswer(&'static str),
    /// The first APPEND is on its way while the connection is cut, and reaches the server only before the second.
    LateAppend,
}

struct Less {
    port: u16,
    /// Lines of the client.
    said: Arc<Mutex<Vec<String>>>,
}

type Upstream = BufReader<TlsStream<TcpStream>>;

struct State {
    space: Arc<Space>,
    real: Endpoint,
    without: &'static [&'static str],
    trick: Mutex<Trick>,
    /// An APPEND that is late, with its connection.
    late: tokio::sync::Mutex<Option<(Upstream, Vec<u8>)>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Less {
    async fn start(world: &World, without: &'static [&'static str], trick: Trick) -> Less {
        let said = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(State {
            space: world.space(),
            real: endpoint(world, false),
            without,
            trick: Mutex::new(trick),
            late: tokio::sync::Mutex::new(None),
            said: said.clone(),
        });
        let acceptor = world.acceptor("alpha", Profile::ApiLps);
        let port = serve(move |tcp| {
            let (state, acceptor) = (state.clone(), acceptor.clone());
            async move {
                // A cut, of whichever side.
                let _ = converse(tcp, &acceptor, &state).await;
            }
        })
        .await;
        Less { port, said }
    }

    async fn session(&self, world: &World) -> Session {
        let imap = Endpoint { port: self.port, ..endpoint(world, false) };
        let source = Minted::of(world, MARIE, Duration::from_secs(60), Flaw::None);
        Session::open(world.space(), account(HER_BOX, imap, Credentials::Psc(source))).await.expect("open")
    }

    fn said(&self, words: &str) -> usize {
        self.said.lock().expect("lock").iter().filter(|line| line.contains(words)).count()
    }
}

async fn converse(tcp: TcpStream, acceptor: &Acceptor, state: &State) -> std::io::Result<()> {
    let gone = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let mut plain = BufReader::new(tcp);
    plain.write_all(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] less\r\n").await?;
    let mut line = String::new();
    plain.read_line(&mut line).await?;
    let tag = line.split(' ').next().unwrap_or_default().to_owned();
    assert!(line.ends_with("STARTTLS\r\n"), "{line}");
    plain.write_all(format!("{tag} OK go\r\n").as_bytes()).await?;
    let mut client = BufReader::new(acceptor.accept(plain.into_inner()).await.map_err(|_| gone())?);
    let stream = state.space.dial(&state.real).await.map_err(|_| gone())?;
    let stream = starttls(stream, Patience::default()).await.map_err(|_| gone())?;
    let connector = state.space.connector(None).map_err(|_| gone())?;
    let mut server = BufReader::new(connector.connect(&state.real.host, stream).await.map_err(|_| gone())?);

    let (mut asked, mut told) = (Vec::new(), Vec::new());
    // The tag whose answer is lost.
    let mut lost: Option<String> = None;
    loop {
        // What was read so far stays in the buffers when the other side is quicker.
        tokio::select! {
            read = client.read_until(b'\n', &mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                let line = String::from_utf8_lossy(&asked).into_owned();
                state.said.lock().expect("lock").push(line.trim_end().to_owned());
                let trick = *state.trick.lock().expect("lock");
                match trick {
                    Trick::LoseAnswer(verb) if line.contains(verb) => {
                        *state.trick.lock().expect("lock") = Trick::None;
                        lost = line.split(' ').next().map(str::to_owned);
                    }
                    Trick::LateAppend if line.contains(" APPEND ") => {
                        *state.trick.lock().expect("lock") = Trick::None;
                        let size = line.trim_end().trim_end_matches("+}").rsplit('{').next().expect("a literal");
                        let mut literal = vec![0; size.parse::<usize>().expect("its size") + 2];
                        client.read_exact(&mut literal).await?;
                        asked.extend_from_slice(&literal);
                        *state.late.lock().await = Some((server, asked));
                        return Ok(());
                    }
                    _ if line.contains(" APPEND ") => {
                        if let Some((mut server, asked)) = state.late.lock().await.take() {
                            server.write_all(&asked).await?;
                            server.flush().await?;
                            let tag = String::from_utf8_lossy(&asked).split(' ').next().expect("a tag").to_owned();
                            let mut answer = String::new();
                            while !answer.starts_with(&format!("{tag} OK")) {
                                answer.clear();
                                assert!(server.read_line(&mut answer).await? > 0, "the late one is taken");
                            }
                        }
                    }
                    _ => {}
                }
                server.write_all(&asked).await?;
                server.flush().await?;
                asked.clear();
            }
            read = server.read_until(b'\n', &mut told) => {
                if read? == 0 {
                    return Ok(());
                }
                let mut line = String::from_utf8_lossy(&told).into_owned();
                if lost.as_ref().is_some_and(|tag| line.starts_with(&format!("{tag} "))) {
                    return Ok(());
                }
                if line.contains("CAPABILITY ") {
                    for word in state.without {
                        line = line.replace(&format!(" {word} "), " ").replace(&format!(" {word}]"), "]").replace(&format!(" {word}\r"), "\r");
                    }
                    told = line.clone().into_bytes();
                }
                if state.without.contains(&"CONDSTORE") && line.starts_with("* OK [HIGHESTMODSEQ") {
                    told.clear();
                    continue;
                }
                client.write_all(&told).await?;
                client.flush().await?;
                told.clear();
            }
        }
    }
}

/// What another client did in a folder of six is told alike, however it is found out.
async fn changes(world: &World, less: &Less) {
    let session = less.session(world).await;
    let mut raw = other(&world.space(), world, &endpoint(world, false)).await;
    let mut known = Known::default();
    assert!(session.sync("INBOX", &mut known).await.expect("synchronised").is_empty());
    let mut uids = Vec::new();
    for number in 1..=6 {
        uids.push(put(&session, "INBOX", &message(number)).await.expect("UIDPLUS"));
    }
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived, uids);
    raw.uid_store(&uids[0].to_string(), '+', &["\\Seen", "$Fait"]).await.expect("stored");
    let two = format!("{}:{}", uids[2], uids[3]);
    raw.uid_store(&two, '+', &["\\Deleted"]).await.expect("stored");
    raw.uid_expunge(&two, &mut |_| {}).await.expect("gone");
    let seventh = message(7);
    let flagged = Appended { flags: &["\\Flagged"], size: seventh.len() as u64, ..Appended::default() };
    let put = raw.append("INBOX", &flagged, &mut &seventh[..], &mut false).await.expect("put").expect("UIDPLUS").1;
    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!((changes.arrived, changes.marked, changes.vanished), (vec![put], vec![uids[0]], uids[2..4].to_vec()));
    assert_eq!(known.flags(uids[0]).expect("known"), ["\\Seen", "$Fait"]);
    assert_eq!(known.flags(put).expect("known"), ["\\Flagged"]);
    assert!(session.sync("INBOX", &mut known).await.expect("synchronised").is_empty());
    assert_eq!(less.said("QRESYNC"), 0);
    session.expunge("INBOX", &[uids[0], uids[1], uids[4], uids[5], put]).await.expect("gone");
}

#[tokio::test]
async fn without_qresync_or_condstore() {
    let world = World::start().await;
    let condstore = Less::start(&world, &["IMAP4rev2", "QRESYNC"], Trick::None).await;
    changes(&world, &condstore).await;
    assert!(condstore.said("CHANGEDSINCE") > 0 && condstore.said("(CONDSTORE)") > 0);
    let neither = Less::start(&world, &["IMAP4rev2", "QRESYNC", "CONDSTORE", "ESEARCH"], Trick::None).await;
    changes(&world, &neither).await;
    assert_eq!((neither.said("CHANGEDSINCE"), neither.said("CONDSTORE")), (0, 0));
}

#[tokio::test]
async fn without_idle_it_asks() {
    let world = World::start().await;
    let less = Less::start(&world, &["IMAP4rev2", "IDLE"], Trick::None).await;
    let session = less.session(&world).await;
    let mut watch = session.watch_every("INBOX", Duration::from_millis(50)).await.expect("watched");
    let mut raw = other(&world.space(), &world, &endpoint(&world, false)).await;
    let mut uids = Vec::new();
    for number in 1..=3 {
        let octets = message(number);
        let one = Appended { size: octets.len() as u64, ..Appended::default() };
        let put = raw.append("INBOX", &one, &mut &octets[..], &mut false).await.expect("put");
        uids.push(put.expect("UIDPLUS").1);
    }
    let mut told = Vec::new();
    while told.len() < 3 {
        if let Event::Arrived(uids) = watch.next().await.expect("news") {
            told.extend(uids);
        }
    }
    assert_eq!(told, uids);
    raw.uid_store(&uids[0].to_string(), '+', &["\\Seen"]).await.expect("stored");
    assert_eq!(watch.next().await.expect("news"), Event::Changed);
    assert!(less.said("NOOP") > 1);
    assert_eq!(less.said("IDLE"), 0);
}

#[tokio::test]
async fn without_move_it_copies() {
    let world = World::start().await;
    let less = Less::start(&world, &["IMAP4rev2", "MOVE"], Trick::None).await;
    let session = less.session(&world).await;
    session.create("Été", None).await.expect("created");
    let first = put(&session, "INBOX", &message(1)).await.expect("UIDPLUS");
    let second = put(&session, "INBOX", &message(2)).await.expect("UIDPLUS");
    session.move_to("INBOX", &[first], "Été").await.expect("moved");
    let left = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(left.iter().map(|s| s.uid).collect::<Vec<_>>(), [second]);
    let moved = session.list("Été", &Listing::all()).await.expect("listed");
    assert_eq!(moved.iter().filter_map(|s| s.message_id()).collect::<Vec<_>>(), ["<1@test>"]);
    assert_eq!((less.said("UID MOVE"), less.said("UID COPY"), less.said("UID EXPUNGE")), (0, 1, 1));

    // Cut when the copy may be made or not: told, nothing is deleted, nothing is copied twice.
    let cut = Less::start(&world, &["IMAP4rev2", "MOVE"], Trick::LoseAnswer("UID COPY")).await;
    let session = cut.session(&world).await;
    let error = session.move_to("INBOX", &[second], "Été").await.expect_err("uncertain");
    assert_eq!((error.code(), error.is_temporary()), ("session.uncertain", false));
    assert_eq!(session.list("INBOX", &Listing::all()).await.expect("listed").len(), 1);
    assert_eq!(session.list("Été", &Listing::all()).await.expect("listed").len(), 2);

    // Without UIDPLUS nothing is deleted either: a plain EXPUNGE would take what others have marked.
    let old = Less::start(&world, &["IMAP4rev2", "MOVE", "UIDPLUS"], Trick::None).await;
    let session = old.session(&world).await;
    let error = session.expunge("INBOX", &[second]).await.expect_err("refused");
    assert_eq!(error.code(), "session.unsupported");
    assert_eq!(session.list("INBOX", &Listing::all()).await.expect("listed").len(), 1);
    assert_eq!(old.said("EXPUNGE"), 0);
}

#[tokio::test]
async fn a_message_put_twice_is_made_one() {
    let world = World::start().await;
    // The answer is lost: it is found, and not put again.
    let lost = Less::start(&world, &[], Trick::LoseAnswer(" APPEND ")).await;
    let session = lost.session(&world).await;
    put(&session, "Sent", &message(1)).await.expect("UIDPLUS");
    assert_eq!((lost.said(" APPEND "), lost.said("EXPUNGE")), (1, 0));
    assert_eq!(session.list("Sent", &Listing::all()).await.expect("listed").len(), 1);

    // The first was still on its way when the folder was looked into: both are there, and the later one goes.
    let late = Less::start(&world, &[], Trick::LateAppend).await;
    let session = late.session(&world).await;
    let kept = put(&session, "Sent", &message(2)).await.expect("UIDPLUS");
    assert_eq!((late.said(" APPEND "), late.said("UID EXPUNGE")), (2, 1));
    let found = session.search("Sent", &Query::message_id("<2@test>")).await.expect("found");
    assert_eq!(found, [kept], "one, the one that was told");
    assert_eq!(session.list("Sent", &Listing::all()).await.expect("listed").len(), 2);
    assert_eq!(session.fetch_bytes("Sent", kept, 1 << 20).await.expect("read"), message(2));
}
