//! What became of one recipient, and why, by the operator's codes: never by its words.

use mssante::Address;
use smtp::client::RecipientResult;
use smtp::{Enhanced, Reply};

use crate::explain::Language;

/// One recipient.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Who.
    pub address: Address,
    /// The answer that decided.
    pub reply: Reply,
    /// Why not, when not.
    pub cause: Option<Cause>,
}

impl Outcome {
    /// `alone`: the answer was to this recipient, not to the message.
    pub(super) fn of(address: &Address, result: &RecipientResult, alone: bool, sender: &Address) -> Self {
        let reply = result.reply().clone();
        let cause = match result {
            RecipientResult::Accepted(_) => None,
            RecipientResult::Temporary(_) => Some(Cause::Later),
            RecipientResult::Permanent(_) => {
                Some(Cause::of(address, &reply, alone && address.domain() != sender.domain()))
            }
        };
        Self { address: address.clone(), reply, cause }
    }

    /// Whether the operator took the message for them.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.cause.is_none()
    }
}

/// Why a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The domain is not of the trust space.
    OutsideWhiteList,
    /// No such BAL, or no such patient.
    Unknown,
    /// The address is ill-formed, or the key of a patient's INS is wrong.
    BadAddress,
    /// The BAL is closed.
    Closed,
    /// The BAL is full.
    Full,
    /// The message is too large for them.
    TooLarge,
    /// The operator does not allow it.
    NotAllowed,
    /// Not now: the same message may be accepted later.
    Later,
    /// Anything else.
    Other,
}

impl Cause {
    /// By RFC 3463, else by RFC 5321. `elsewhere`: the answer is about this recipient, whose BAL is another operator's.
    fn of(address: &Address, reply: &Reply, elsewhere: bool) -> Self {
        match (reply.enhanced(), reply.code()) {
            (Some(Enhanced(_, 1, 1 | 2)), _) => Cause::Unknown,
            (Some(Enhanced(_, 1, 3)), _) => Cause::BadAddress,
            (Some(Enhanced(_, 1, 6) | Enhanced(_, 2, 1)), _) => Cause::Closed,
            (Some(Enhanced(_, 2, 2)), _) => Cause::Full,
            (Some(Enhanced(_, 2, 3) | Enhanced(_, 3, 4)), _) => Cause::TooLarge,
            // "Delivery not authorized" (RFC 3463) to a domain that is another's: the operator does not relay there, and the one reason
            // for that is the white list. To a patient it is something else. What is under no domain of the trust space cannot be on it.
            (Some(Enhanced(_, 7, 1)), _) if (elsewhere && !address.is_patient()) || !address.domain().is_mssante() => {
                Cause::OutsideWhiteList
            }
            (Some(Enhanced(_, 7, _)), _) => Cause::NotAllowed,
            (None, 550) => Cause::Unknown,
            (None, 552) => Cause::TooLarge,
            (None, 553) => Cause::BadAddress,
            _ => Cause::Other,
        }
    }

    /// Stable, for JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Cause::OutsideWhiteList => "outside-white-list",
            Cause::Unknown => "unknown",
            Cause::BadAddress => "bad-address",
            Cause::Closed => "closed",
            Cause::Full => "full",
            Cause::TooLarge => "too-large",
            Cause::NotAllowed => "not-allowed",
            Cause::Later => "later",
            Cause::Other => "other",
        }
    }

    /// For people, without full stop.
    #[must_use]
    pub fn text(self, language: Language) -> &'static str {
        match self {
            Cause::OutsideWhiteList => language.pick(
                "hors de l'espace de confiance MSSanté : cherchez une adresse dans l'Annuaire Santé",
                "outside the MSSanté trust space: look for an address in the Annuaire Santé",
            ),
            Cause::Unknown => language.pick("adresse inconnue : vérifiez-la", "unknown address: check it"),
            Cause::BadAddress => language.pick(
                "adresse mal formée ou clé d'INS fausse : vérifiez-la",
                "ill-formed address or wrong key of an INS: check it",
            ),
            Cause::Closed => language.pick("boîte fermée", "closed mailbox"),
            Cause::Full => language.pick("boîte pleine : réessayez plus tard", "full mailbox: try again later"),
            Cause::TooLarge => language.pick(
                "message trop volumineux : envoyez-le en plusieurs fois",
                "message too large: send it in several",
            ),
            Cause::NotAllowed => language.pick("refusé par l'opérateur", "refused by the operator"),
            Cause::Later => {
                language.pick("pas maintenant : réessayez dans quelques minutes", "not now: try again in a few minutes")
            }
            Cause::Other => language.pick("refusé", "refused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_from_codes() {
        let of = |to: &str, code: u16, enhanced: (u8, u16, u16), alone| {
            let reply = Reply::new(code, Enhanced(enhanced.0, enhanced.1, enhanced.2), "whatever is said");
            let (to, from) = (to.parse().expect("an address"), "moi@y.mssante.fr".parse().expect("an address"));
            Outcome::of(&to, &RecipientResult::from_reply(reply), alone, &from).cause
        };
        let cause = |to: &str, code: u16, enhanced: (u8, u16, u16)| of(to, code, enhanced, true);
        assert_eq!(cause("a@gmail.com", 550, (5, 7, 1)), Some(Cause::OutsideWhiteList));
        assert_eq!(cause("a@x.mssante.fr", 550, (5, 7, 1)), Some(Cause::OutsideWhiteList));
        assert_eq!(cause("a@y.mssante.fr", 550, (5, 7, 1)), Some(Cause::NotAllowed), "the operator's own domain");
        assert_eq!(cause("1@patient.mssante.fr", 550, (5, 7, 1)), Some(Cause::NotAllowed));
        assert_eq!(
            of("a@x.mssante.fr", 550, (5, 7, 1), false),
            Some(Cause::NotAllowed),
            "the message is what is refused"
        );
        assert_eq!(cause("a@x.mssante.fr", 550, (5, 7, 30)), Some(Cause::NotAllowed));
        assert_eq!(cause("a@x.mssante.fr", 550, (5, 1, 1)), Some(Cause::Unknown));
        assert_eq!(cause("1@patient.mssante.fr", 550, (5, 1, 3)), Some(Cause::BadAddress));
        assert_eq!(cause("a@x.mssante.fr", 552, (5, 3, 4)), Some(Cause::TooLarge));
        assert_eq!(cause("a@x.mssante.fr", 552, (5, 2, 2)), Some(Cause::Full));
        assert_eq!(cause("a@x.mssante.fr", 451, (4, 7, 1)), Some(Cause::Later));
        assert_eq!(cause("a@x.mssante.fr", 250, (2, 0, 0)), None);
    }
}
