//! RCPT (RFC 5321 §4.1.1.3). A refused recipient leaves the transaction as it was.

use crate::command::needs_utf8;
use crate::envelope::Rcpt;
use crate::reply::Reply;
use crate::server::{Flow, Open, Session};

pub(crate) async fn rcpt(session: &mut Session, to: Rcpt) -> Flow {
    if session.tls.is_none() {
        return session.error(&Reply::STARTTLS_FIRST).await;
    }
    let max_recipients = session.config.max_recipients;
    let Some(Open::Envelope { transaction, smtputf8, recipients }) = &mut session.open else {
        let reply = if session.open.is_some() { &Reply::BAD_SEQUENCE } else { &Reply::MAIL_FIRST };
        return session.error(reply).await;
    };
    if needs_utf8(&to.path) && !*smtputf8 {
        return session.error(&Reply::SMTPUTF8_NEEDED).await;
    }
    if *recipients >= max_recipients {
        // Not counted among the refused: a client with a long list does nothing wrong.
        return session.answer(&Reply::TOO_MANY_RECIPIENTS).await;
    }
    match transaction.rcpt(&to).await {
        Ok(()) => {
            *recipients += 1;
            session.reply(&Reply::RECIPIENT_OK);
            Ok(())
        }
        Err(reply) => count_refused(session, &reply).await,
    }
}

async fn count_refused(session: &mut Session, reply: &Reply) -> Flow {
    session.answer(reply).await?;
    session.refused_recipients += 1;
    if session.refused_recipients > session.config.max_refused_recipients {
        return session.refuse(&Reply::TOO_MANY_ERRORS).await;
    }
    Ok(())
}
