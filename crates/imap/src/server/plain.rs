//! Before TLS: CAPABILITY, NOOP, ID, LOGOUT and STARTTLS, and nothing else (LPS-NOPLAIN).
//!
//! Invariants: there is no state to carry over (neither backend nor folder is within reach here); the handshake starts
//! only when not an octet was read beyond the line of STARTTLS, otherwise the connection is dropped: what came in clear
//! together with STARTTLS was perhaps put there by somebody else (RFC 3501 §11.1, CVE-2011-0411 and its kin).

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trust::tls::TlsStream;

use super::{Config, Ended, LINGER, LINGER_OCTETS, capability};
use crate::command::Command;
use crate::parse::parse;
use crate::wire::{CommandReader, Event, Phase};

/// Talks until the client begins TLS.
pub(super) async fn run(
    mut stream: TcpStream,
    config: &Config,
    connection: u64,
    shutdown: &CancellationToken,
) -> Result<TlsStream<TcpStream>, Ended> {
    let deadline = Instant::now() + config.login_timeout;
    let talk = async {
        let (reader, mut writer) = stream.split();
        let mut reader = CommandReader::new(reader, Phase::NotAuthenticated);
        let ended = tokio::select! {
            ended = converse(&mut reader, &mut writer, config) => ended,
            () = tokio::time::sleep_until(deadline) => Err(Ended::Bye("Too slow")),
            () = shutdown.cancelled() => Err(Ended::Bye("The server is stopping")),
            () = config.drain.cancelled() => Err(Ended::Bye("The server is stopping")),
        };
        if let Err(Ended::Bye(why)) = ended {
            // The client may not read: nobody waits for it, the socket's own buffer holds this line.
            let _ = tokio::time::timeout(LINGER, async {
                say(&mut writer, &format!("* BYE {why}\r\n")).await?;
                writer.shutdown().await.map_err(|_| Ended::Gone)?;
                if !shutdown.is_cancelled() && !config.drain.is_cancelled() {
                    reader.forget(LINGER_OCTETS).await.map_err(|_| Ended::Gone)?;
                }
                Ok::<(), Ended>(())
            })
            .await;
        }
        ended?;
        // `converse` looked already; here the reader itself vouches for it, whatever changes above.
        if reader.into_inner().is_err() {
            tracing::warn!(connection, "imap: data sent with STARTTLS, connection dropped");
            return Err(Ended::Gone);
        }
        Ok(())
    };
    talk.await?;
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Err(Ended::Gone),
        tls = config.tls.accept(stream) => tls.map_err(|error| {
            tracing::info!(connection, %error, "imap: no TLS");
            Ended::Gone
        }),
    }
}

async fn converse(
    reader: &mut CommandReader<impl tokio::io::AsyncRead + Unpin>,
    writer: &mut (impl AsyncWrite + Unpin),
    config: &Config,
) -> Result<(), Ended> {
    say(writer, &format!("* OK [CAPABILITY {}] {} ready\r\n", capability::plain(), config.hostname)).await?;
    let mut bad = 0;
    loop {
        let answer = match reader.next().await.map_err(|_| Ended::Gone)? {
            Event::End => return Err(Ended::Gone),
            Event::Fatal(_) => return Err(Ended::Bye("Too much data that cannot be used")),
            Event::Continue => {
                say(writer, "+ Go on\r\n").await?;
                continue;
            }
            Event::Refused { tag, reason } => {
                bad += 1;
                format!("{} BAD {reason}\r\n", tag.as_deref().unwrap_or("*"))
            }
            Event::Append { head, .. } => {
                bad += 1;
                let tag = crate::wire::tag(&head);
                format!("{} BAD Begin TLS first\r\n", tag.as_deref().unwrap_or("*"))
            }
            Event::Command(line) => match parse(&line) {
                Err(error) => {
                    bad += 1;
                    format!("{} BAD {}\r\n", error.tag.as_deref().unwrap_or("*"), error.kind)
                }
                Ok(tagged) => {
                    let tag = &tagged.tag;
                    match tagged.command {
                        Command::Capability => format!("* CAPABILITY {}\r\n{tag} OK Done\r\n", capability::plain()),
                        Command::Noop => format!("{tag} OK Done\r\n"),
                        Command::Id(_) => format!("* ID (\"name\" \"Vaguemestre\")\r\n{tag} OK Done\r\n"),
                        Command::Logout => {
                            say(writer, &format!("* BYE Until next time\r\n{tag} OK Done\r\n")).await?;
                            return Err(Ended::Logout);
                        }
                        Command::StartTls if reader.has_buffered() => {
                            tracing::warn!("imap: commands sent together with STARTTLS");
                            say(writer, &format!("{tag} BAD Nothing may follow STARTTLS before the handshake\r\n"))
                                .await?;
                            // What follows cannot be trusted to come from the client.
                            return Err(Ended::Bye("Data sent with STARTTLS"));
                        }
                        Command::StartTls => return say(writer, &format!("{tag} OK Begin TLS now\r\n")).await,
                        Command::Login | Command::Authenticate { .. } => {
                            bad += 1;
                            format!("{tag} NO [PRIVACYREQUIRED] Begin TLS first\r\n")
                        }
                        _ => {
                            bad += 1;
                            format!("{tag} BAD Begin TLS first\r\n")
                        }
                    }
                }
            },
        };
        say(writer, &answer).await?;
        if bad >= config.max_bad_commands {
            return Err(Ended::Bye("Too many errors"));
        }
    }
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), text: &str) -> Result<(), Ended> {
    writer.write_all(text.as_bytes()).await.map_err(|_| Ended::Gone)
}
