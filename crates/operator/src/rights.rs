//! Who may open which mailbox: the identity-to-BAL decision, in one place (LPS-IDENT, LPS-APP, BAL-ROLES).
//!
//! Invariants: a person opens a PER or CAB as its titulaire, or any mailbox by a right that holds now; an application opens
//! only an APP, and only by a certificate of the structure that holds it; a person never opens an APP, a certificate never
//! opens anything else. The answer for a mailbox that does not exist is the answer for one of somebody else.

use mssante::{MailboxKind, NationalId, StructureId};
use store::{Holder, Mailbox, Right, Role};

/// As what somebody opens a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capacity {
    /// Titulaire.
    Holder,
    /// By a right given to them.
    As(Role),
    /// The structure's application.
    Application,
}

impl Capacity {
    /// A word for traces.
    pub fn label(self) -> &'static str {
        match self {
            Capacity::Holder => "titulaire",
            Capacity::As(Role::CoHolder) => "cotitulaire",
            Capacity::As(Role::Member) => "habilite",
            Capacity::As(Role::Delegate) => "delegataire",
            Capacity::Application => "application",
        }
    }
}

/// As what `person` may open `mailbox` at `now` (seconds since 1970), if at all.
pub fn of_person(mailbox: &Mailbox, rights: &[Right], person: &NationalId, now: i64) -> Option<Capacity> {
    if mailbox.kind == MailboxKind::App {
        return None;
    }
    if matches!(&mailbox.holder, Holder::Person(holder) if holder == person) {
        return Some(Capacity::Holder);
    }
    rights.iter().find(|right| right.person == *person && right.holds_at(now)).map(|right| Capacity::As(right.role))
}

/// As what the application of `structure` may open `mailbox`, if at all.
pub fn of_structure(mailbox: &Mailbox, structure: &StructureId) -> Option<Capacity> {
    let holds = matches!(&mailbox.holder, Holder::Structure(holder) if holder == structure);
    (mailbox.kind == MailboxKind::App && holds).then_some(Capacity::Application)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{MailboxId, Quota, Usage};

    const PERSON: &str = "899700000017";
    const OTHER: &str = "899700000025";

    fn id(text: &str) -> NationalId {
        text.parse().expect("a national id")
    }

    fn mailbox(kind: MailboxKind, holder: Holder) -> Mailbox {
        Mailbox {
            id: MailboxId(1),
            address: "a@alpha.formation.mssante.fr".parse().expect("an address"),
            kind,
            holder,
            label: String::new(),
            quota: Quota::default(),
            usage: Usage::default(),
            created_at: 0,
            last_authentication: None,
        }
    }

    fn structure(text: &str) -> StructureId {
        StructureId::lenient(text).expect("a structure id")
    }

    #[test]
    fn titulaire_and_dated_rights() {
        // LPS-IDENT, BAL-ROLES
        let per = mailbox(MailboxKind::Per, Holder::Person(id(PERSON)));
        assert_eq!(of_person(&per, &[], &id(PERSON), 10), Some(Capacity::Holder));
        assert_eq!(of_person(&per, &[], &id(OTHER), 10), None);
        let delegate = Right { person: id(OTHER), role: Role::Delegate, from: 5, until: Some(10) };
        assert_eq!(of_person(&per, std::slice::from_ref(&delegate), &id(OTHER), 4), None);
        assert_eq!(of_person(&per, std::slice::from_ref(&delegate), &id(OTHER), 9), Some(Capacity::As(Role::Delegate)));
        assert_eq!(of_person(&per, &[delegate], &id(OTHER), 10), None);
    }

    #[test]
    fn a_certificate_opens_only_the_app_of_its_structure() {
        // LPS-APP, CER-08
        let app = mailbox(MailboxKind::App, Holder::Structure(structure("1750000001")));
        assert_eq!(of_structure(&app, &structure("1750000001")), Some(Capacity::Application));
        assert_eq!(of_structure(&app, &structure("1750000019")), None);
        let org = mailbox(MailboxKind::Org, Holder::Structure(structure("1750000001")));
        assert_eq!(of_structure(&org, &structure("1750000001")), None);
        let member = Right { person: id(PERSON), role: Role::Member, from: 0, until: None };
        assert_eq!(of_person(&app, std::slice::from_ref(&member), &id(PERSON), 1), None);
        assert_eq!(of_person(&org, &[member], &id(PERSON), 1), Some(Capacity::As(Role::Member)));
    }
}
