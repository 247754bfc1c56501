//! Whether a message may be answered by a receipt, and whether a program may decide it alone (RFC 8098 §2.1).

use mssante::Address;

use crate::explain::Language;
use crate::read::{Kind, Message};

/// The keyword of a message for which a receipt was sent, or will never be (RFC 3503).
pub const MDN_SENT: &str = "$MDNSent";
/// Addresses a receipt is sent to: one is asked for, more are a way to make others send mail.
const MAX_ADDRESSEES: usize = 3;

/// Whether a receipt may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A program set to may send it, to these.
    Automatic(Vec<Address>),
    /// A person must agree for this message.
    AskPerson(Vec<Address>, Doubt),
    /// None is sent.
    Refused(Refusal),
}

/// Why a person must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// The receipt is asked for another address than the one the message came from (`Return-Path`).
    OtherAddress,
    /// Nothing says where the message came from.
    NoReturnPath,
    /// The receipt is asked for several addresses.
    Several,
    /// The BAL is neither in `To` nor in `Cc`.
    NotAddressed,
}

impl Doubt {
    /// For people.
    #[must_use]
    pub fn message(self, language: Language) -> &'static str {
        match self {
            Doubt::OtherAddress => language.pick(
                "l'accusé est demandé pour une autre adresse que celle de l'expéditeur",
                "the receipt is asked for another address than the sender's",
            ),
            Doubt::NoReturnPath => language.pick(
                "rien ne dit d'où vient réellement le message",
                "nothing tells where the message really comes from",
            ),
            Doubt::Several => language
                .pick("l'accusé est demandé pour plusieurs adresses", "the receipt is asked for several addresses"),
            Doubt::NotAddressed => language
                .pick("le message n'est pas adressé à cette boîte", "the message is not addressed to this mailbox"),
        }
    }
}

/// Why no receipt is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// None is asked for.
    NotAsked,
    /// The address it is asked for is none of the trust space's form.
    BadAddress,
    /// One was sent, or refused for good (`$MDNSent`).
    AlreadySent,
    /// The message is a receipt, a notice or a bounce.
    NoMail,
    /// A program wrote it by itself.
    Automatic,
    /// It came through a list.
    List,
}

impl Refusal {
    /// For people.
    #[must_use]
    pub fn message(self, language: Language) -> &'static str {
        match self {
            Refusal::NotAsked => language.pick("aucun accusé n'est demandé", "no receipt is asked for"),
            Refusal::BadAddress => language.pick(
                "l'adresse demandée pour l'accusé n'est pas valide",
                "the address the receipt is asked for is not valid",
            ),
            Refusal::AlreadySent => language.pick("un accusé a déjà été envoyé", "a receipt was already sent"),
            Refusal::NoMail => language
                .pick("le message est lui-même un accusé ou un avis", "the message is itself a receipt or a notice"),
            Refusal::Automatic => {
                language.pick("le message a été écrit par un programme", "the message was written by a program")
            }
            Refusal::List => language.pick("le message vient d'une liste", "the message comes from a list"),
        }
    }
}

/// Whether a receipt may be sent for a message of the BAL `own`; `flags` are those the message has in its folder.
#[must_use]
pub fn request(message: &Message, own: &Address, flags: &[String]) -> Request {
    if message.receipt_to.is_empty() {
        return Request::Refused(Refusal::NotAsked);
    }
    if flags.iter().any(|flag| flag.eq_ignore_ascii_case(MDN_SENT)) {
        return Request::Refused(Refusal::AlreadySent);
    }
    if message.kind != Kind::Mail {
        return Request::Refused(Refusal::NoMail);
    }
    if message.automatic {
        return Request::Refused(Refusal::Automatic);
    }
    if message.from_list {
        return Request::Refused(Refusal::List);
    }
    match addressees(message, own) {
        Ok((to, None)) => Request::Automatic(to),
        Ok((to, Some(doubt))) => Request::AskPerson(to, doubt),
        Err(refusal) => Request::Refused(refusal),
    }
}

/// Whom the receipt goes to, and what speaks against sending it without a person.
pub(super) fn addressees(message: &Message, own: &Address) -> Result<(Vec<Address>, Option<Doubt>), Refusal> {
    if message.receipt_to.is_empty() {
        return Err(Refusal::NotAsked);
    }
    let mut to: Vec<Address> = Vec::new();
    for asked in message.receipt_to.iter().filter_map(|text| text.parse::<Address>().ok()) {
        if !to.contains(&asked) {
            to.push(asked);
        }
    }
    // A patient's address is answered because the patient wrote, never because somebody says so.
    to.retain(|asked| !asked.is_patient() || message.from.iter().any(|from| from.address.as_ref() == Some(asked)));
    if to.is_empty() || to.len() > MAX_ADDRESSEES {
        return Err(Refusal::BadAddress);
    }
    let addressed = message.to.iter().chain(&message.cc).any(|to| to.address.as_ref() == Some(own));
    let doubt = if to.len() > 1 {
        Some(Doubt::Several)
    } else {
        match message.return_path.as_deref() {
            None | Some("") => Some(Doubt::NoReturnPath),
            Some(path) if path.parse::<Address>().ok().as_ref() != to.first() => Some(Doubt::OtherAddress),
            Some(_) if !addressed => Some(Doubt::NotAddressed),
            Some(_) => None,
        }
    };
    Ok((to, doubt))
}
