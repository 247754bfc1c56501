//! APPEND (RFC 3501 §6.3.11) with APPENDUID (RFC 4315), LITERAL+ (RFC 7888) and APPENDLIMIT (RFC 7889).
//!
//! The message goes from the wire to the store piece by piece: the next piece is read when the store has taken the one
//! before. A refusal comes before the continuation, so that nothing is sent for nothing; a client that did not wait has its
//! message read and forgotten by the reader, within a bound.

use super::super::Ended;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::session::Session;
use super::{flags, possible};
use crate::backend::{Account, AppendTo};
use crate::command;
use crate::wire::MAX_CHUNK;

pub(in super::super) async fn run(session: &mut Session, account: &dyn Account, append: command::Append) -> Outcome {
    let limit = account.append_limit();
    if append.size > limit {
        // RFC 7889 §4, RFC 4469 §4.2.
        return Ok(Reply::no("The message is larger than APPENDLIMIT").code("TOOBIG"));
    }
    if append.size == 0 {
        return Ok(Reply::no("An empty message cannot be kept").code("CANNOT"));
    }
    let folder = possible(append.folder)?;
    let (system, keywords) = flags(&append.flags)?;
    let to = AppendTo { folder, flags: system, keywords, internal_date: append.date, size: append.size };
    let mut message = account.append(to).await.map_err(Reply::to_folder)?;
    if append.synchronizing {
        session.out.put(b"+ Send the message\r\n");
        session.out.flush().await?;
    }
    loop {
        let piece = tokio::select! {
            piece = session.reader.literal_chunk(MAX_CHUNK as u64) => piece.map_err(|_| Ended::Gone)?,
            () = tokio::time::sleep(session.config.stall_timeout) => return Err(Ended::Bye("The message stopped coming").into()),
            () = session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
        };
        if piece.is_empty() {
            break;
        }
        if let Err(failure) = message.write(&piece).await {
            // What the client still sends belongs to the message: the reader forgets it before it reads another command.
            return Ok(Reply::to_folder(failure));
        }
    }
    end(session).await?;
    let (validity, uid) = message.commit().await.map_err(Reply::to_folder)?;
    Ok(Reply::ok("Done").code(format!("APPENDUID {} {}", validity.0, uid.0)))
}

/// Reads to the end of the command.
async fn end(session: &mut Session) -> Result<(), Stop> {
    let end = tokio::select! {
        end = session.reader.append_end() => end.map_err(|_| Ended::Gone)?,
        () = tokio::time::sleep(session.config.stall_timeout) => return Err(Ended::Bye("The message stopped coming").into()),
        () = session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
    };
    match end {
        Ok(()) => Ok(()),
        Err(refusal) if refusal.is_fatal() => Err(Ended::Bye("Too much data that cannot be used").into()),
        Err(_) => Err(Reply::bad("One message at a time, and a line end after it").into()),
    }
}
