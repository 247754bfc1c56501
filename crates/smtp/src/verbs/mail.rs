//! MAIL (RFC 5321 §4.1.1.2). On an MX, the first one is when the peer is identified by its certificate (OPE-MTLS).

use std::sync::Arc;

use faults::Fault;

use crate::backend::{Peer, Sender};
use crate::envelope::MailFrom;
use crate::reply::Reply;
use crate::server::{Flow, Open, Role, Session};

pub(crate) async fn mail(session: &mut Session, from: MailFrom) -> Flow {
    if session.tls.is_none() {
        if faults::is_on(Fault::MailInClear) {
            session.reply(&Reply::SENDER_OK);
            return Ok(());
        }
        return session.error(&Reply::STARTTLS_FIRST).await;
    }
    let Some(peer) = session.peer() else {
        return session.error(&Reply::HELLO_FIRST).await;
    };
    if session.config.role == Role::Submission && session.sender.is_none() {
        if faults::is_on(Fault::WithoutAuth) {
            session.reply(&Reply::SENDER_OK);
            return Ok(());
        }
        return session.error(&Reply::AUTH_REQUIRED).await;
    }
    if session.open.is_some() {
        return session.error(&Reply::BAD_SEQUENCE).await;
    }
    if session.messages >= session.config.max_messages {
        return session.refuse(&Reply::TOO_MANY_MESSAGES).await;
    }
    let sender = match identified(session, &peer).await {
        Ok(sender) => sender,
        // A peer refused for good that goes on trying is making errors.
        Err(reply) if reply.is_permanent() && !reply.closes() => return session.error(&reply).await,
        Err(reply) => return session.answer(&reply).await,
    };
    if from.size.is_some_and(|size| size > session.config.max_size) && !faults::is_on(Fault::SizeUnchecked) {
        return session.answer(&Reply::MESSAGE_TOO_BIG).await;
    }
    match sender.mail_from(&peer, &from).await {
        Ok(transaction) => {
            session.open = Some(Open::Envelope { transaction, smtputf8: from.smtputf8, recipients: 0 });
            session.reply(&Reply::SENDER_OK);
            Ok(())
        }
        Err(reply) => {
            session.idle_commands += 1;
            session.answer(&reply).await
        }
    }
}

/// Who sends: settled by AUTH on a submission, by the certificate on an MX.
async fn identified(session: &mut Session, peer: &Peer) -> Result<Arc<dyn Sender>, Reply> {
    if let Some(sender) = &session.sender {
        return Ok(Arc::clone(sender));
    }
    if let Some(refusal) = &session.unidentified {
        return Err(refusal.clone());
    }
    match session.backend.identify(peer).await {
        Ok(sender) => {
            session.stay.reach(meter::Stage::Authenticated);
            session.sender = Some(Arc::clone(&sender));
            Ok(sender)
        }
        Err(reply) => {
            if reply.is_permanent() {
                session.unidentified = Some(reply.clone());
            }
            Err(reply)
        }
    }
}
