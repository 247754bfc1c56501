//! Writing a message as Référentiel #2 wants it: [`Draft`] → [`Outgoing`], whose octets are ready to be handed over by
//! [`crate::send`]. ECO-HDR, ECO-DOC, ECO-LABEL, ECO-PATIENT, ECO-THREAD, ECO-RECEIPT; client.md §1.3, §2.
//!
//! Invariants:
//! * X-MSS-NIL is on every message: no draft is begun without it (ECO.2.4.3). X-MSS-CODECDA, X-MSS-INS, the archive and its PDF
//!   copies come from a set of documents, all together: nothing sets one of them alone (ECO.2.4.1, 2.4.2, 2.1.1);
//! * a patient's address comes from a qualified INS, or from the mail that is answered, and from nowhere else; a mail concerns
//!   one patient (ECO.2.2.6, 2.1.1);
//! * no value can begin another header field: what holds CR, LF, NUL or another control is refused before anything is written;
//! * Bcc is never written;
//! * memory is bounded whatever the attachments: the message goes to a [`Spool`], files are read as it is written. (`mail-builder`
//!   makes a message in memory and takes attachments there: the writer is our own.)
//!
//! The octets are made once, with CRLF line ends and in ASCII unless a message is forwarded whole that is not: what is sent again
//! after a doubt is identical to the last octet, which is what lets an operator recognise it (ADR 3).

mod assemble;
mod attachment;
mod body;
mod draft;
mod error;
mod id;
mod origin;
mod outgoing;
mod recipient;
mod spool;

pub use attachment::{Attachment, Source};
pub use draft::{Draft, Limits, MAX_MESSAGE, MAX_RECIPIENTS, PATIENT_LIMIT, Sender};
pub use error::{ComposeError, PatientError};
pub use id::{BadMessageId, MessageId};
pub use origin::Origin;
pub use outgoing::{Outgoing, Reader};
pub use recipient::{Confirmation, PatientRecipient, QualifiedIdentity, Recipient, check_recipients};
pub use spool::{Spool, SpoolWriter};
