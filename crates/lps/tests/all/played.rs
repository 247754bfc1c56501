//! Submission servers that are played: they cut at every stage, refuse, forget, lose their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use trust::tls::Acceptor;

use crate::world::serve;

/// Lets everything through, but on the first connection cuts what the server says once the client said this many octets: its answer
/// to the whole message is lost.
pub async fn losing_the_answer(real: u16, after: usize) -> u16 {
    let first = Arc::new(AtomicU32::new(0));
    serve(move |client| {
        let first = first.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let server = TcpStream::connect(("127.0.0.1", real)).await.expect("the operator");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let said = Arc::new(AtomicU32::new(0));
            let counted = said.clone();
            let up = tokio::spawn(async move {
                let mut block = vec![0; 16 * 1024];
                while let Ok(count @ 1..) = from_client.read(&mut block).await {
                    counted.fetch_add(count as u32, Ordering::Relaxed);
                    if to_server.write_all(&block[..count]).await.is_err() {
                        break;
                    }
                }
            });
            let mut block = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = from_server.read(&mut block).await {
                if first && said.load(Ordering::Relaxed) as usize > after {
                    break;
                }
                if to_client.write_all(&block[..count]).await.is_err() {
                    break;
                }
            }
            up.abort();
        }
    })
    .await
}

/// Where a played server closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    Connected,
    Greeting,
    Hello,
    StartTls,
    Inside,
    Auth,
    Mail,
    Rcpt,
    Data,
    Body,
    End,
    Never,
}

/// What a played server does on one connection.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub cut: Cut,
    /// Whether it says that it recognises what it had.
    pub once: bool,
    /// The refusal of XOAUTH2: after a challenge, or at once.
    pub auth: Auth,
    /// Its answer to the message; none when empty.
    pub end: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Good,
    Challenge,
    Straight,
    Later,
}

pub const GOOD: Play = Play { cut: Cut::Never, once: false, auth: Auth::Good, end: "250 2.0.0 taken" };

pub struct Played {
    pub port: u16,
    /// Messages that came whole.
    pub whole: Arc<AtomicU32>,
    pub connections: Arc<AtomicU32>,
}

/// A server that plays these one after the other, the last one again and again.
pub async fn played(acceptor: Acceptor, plays: Vec<Play>) -> Played {
    let (whole, connections) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, opened) = (whole.clone(), connections.clone());
    let port = serve(move |tcp| {
        let at = opened.fetch_add(1, Ordering::Relaxed) as usize;
        let play = plays.get(at).or(plays.last()).copied().expect("a play");
        let (acceptor, counted) = (acceptor.clone(), counted.clone());
        async move {
            let _ = converse(tcp, acceptor, play, &counted).await;
        }
    })
    .await;
    Played { port, whole, connections }
}

async fn converse(tcp: TcpStream, acceptor: Acceptor, play: Play, whole: &AtomicU32) -> std::io::Result<()> {
    let gone = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let stage = |at: Cut| if play.cut == at { Err(gone()) } else { Ok(()) };
    let mut plain = BufReader::new(tcp);
    let mut line = String::new();
    stage(Cut::Connected)?;
    plain.write_all(b"220 played\r\n").await?;
    stage(Cut::Greeting)?;
    plain.read_line(&mut line).await?;
    plain.write_all(b"250-played\r\n250 STARTTLS\r\n").await?;
    stage(Cut::Hello)?;
    plain.read_line(&mut line).await?;
    plain.write_all(b"220 go\r\n").await?;
    stage(Cut::StartTls)?;
    let mut tls = BufReader::new(acceptor.accept(plain.into_inner()).await.map_err(|_| gone())?);
    stage(Cut::Inside)?;
    loop {
        line.clear();
        if tls.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let once = if play.once { "250-XONCE 864000\r\n" } else { "" };
        let answer = match verb.as_str() {
            "EHLO" => format!("250-played\r\n{once}250-DSN\r\n250-SIZE 40000000\r\n250 AUTH XOAUTH2\r\n"),
            "AUTH" => {
                stage(Cut::Auth)?;
                match play.auth {
                    Auth::Good => "235 2.7.0 in\r\n".into(),
                    Auth::Later => "454 4.7.0 later\r\n".into(),
                    Auth::Straight => "535 5.7.8 no\r\n".into(),
                    Auth::Challenge => {
                        tls.write_all(b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n").await?;
                        tls.flush().await?;
                        line.clear();
                        tls.read_line(&mut line).await?;
                        assert_eq!(line, "\r\n", "an empty answer to the challenge");
                        "535 5.7.8 no\r\n".into()
                    }
                }
            }
            "MAIL" => {
                assert!(line.contains(" ENVID=") && line.contains(" RET=HDRS") && line.contains(" SIZE="), "{line}");
                stage(Cut::Mail)?;
                "250 2.1.0 ok\r\n".into()
            }
            "RCPT" => {
                assert!(line.contains(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;"), "{line}");
                stage(Cut::Rcpt)?;
                "250 2.1.5 ok\r\n".into()
            }
            "DATA" => {
                stage(Cut::Data)?;
                tls.write_all(b"354 go\r\n").await?;
                tls.flush().await?;
                loop {
                    line.clear();
                    if tls.read_line(&mut line).await? == 0 {
                        return Err(gone());
                    }
                    stage(Cut::Body)?;
                    if line == ".\r\n" {
                        break;
                    }
                }
                whole.fetch_add(1, Ordering::Relaxed);
                stage(Cut::End)?;
                if play.end.is_empty() {
                    std::future::pending::<()>().await;
                }
                format!("{}\r\n", play.end)
            }
            "QUIT" => "221 bye\r\n".into(),
            _ => "502 what\r\n".into(),
        };
        tls.write_all(answer.as_bytes()).await?;
        tls.flush().await?;
    }
}
