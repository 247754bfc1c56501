//! IDLE (RFC 2177): the client is told what happens as it happens, until it says DONE.
//!
//! A waiting session costs its pictures and a timer; its buffers are given back.

use tokio::time::Instant;

use super::super::Ended;
use super::super::notify::Notifying;
use super::super::reply::{Outcome, Reply};
use super::super::selected::Expunges;
use super::super::session::{Session, changed};
use crate::wire::Line;

pub(in super::super) async fn run(session: &mut Session) -> Outcome {
    let (limit, why) = session.patience();
    let mut keep_alive = Instant::now() + session.config.keep_alive;
    session.out.put(b"+ Waiting\r\n");
    loop {
        // A command is in progress and it names no number: expunges may be told.
        session.tell_open(Expunges::Tell).await?;
        session.tell_elsewhere().await?;
        session.out.flush().await?;
        let look = session.next_look();
        tokio::select! {
            line = session.reader.line() => {
                return match line.map_err(|_| Ended::Gone)? {
                    Line::Text(line) if line.eq_ignore_ascii_case(b"DONE") => Ok(Reply::ok("Done")),
                    Line::Text(_) | Line::Refused(_) => Ok(Reply::bad("Expected DONE")),
                    Line::Fatal(_) => Err(Ended::Bye("Too much data that cannot be used").into()),
                    Line::End => Err(Ended::Gone.into()),
                };
            }
            () = changed(session.selected.as_mut()) => {}
            () = elsewhere(session.notify.as_deref_mut()) => {}
            () = tokio::time::sleep_until(look) => session.look().await?,
            () = tokio::time::sleep_until(keep_alive.min(limit)) => {
                if Instant::now() >= limit {
                    return Err(Ended::Bye(why).into());
                }
                keep_alive = Instant::now() + session.config.keep_alive;
                session.out.put(b"* OK Still here\r\n");
            }
            () = session.config.drain.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
            () = session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
        }
    }
}

/// Waits for something new in another folder, if that is wanted.
async fn elsewhere(notify: Option<&mut Notifying>) {
    match notify {
        Some(notify) => notify.changed().await,
        None => std::future::pending().await,
    }
}
