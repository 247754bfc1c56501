//! Who plays in the test trust space. All fictional: numbers of the test ranges, names of the telephone book.

use mssante::MailboxKind;
use trust::pki::Organization;

/// An organisation, as its certificates name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure {
    /// National identifier, type digit included.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// *Département*, as `ST` has it.
    pub department: &'static str,
}

impl Structure {
    /// As the test authority takes it.
    pub fn organization(&self) -> Organization {
        Organization::new(self.id, self.name, self.department)
    }
}

/// An operator.
#[derive(Debug, Clone, Copy)]
pub struct Operator {
    /// Its short name, also that of its folder.
    pub name: &'static str,
    /// Its mail domain.
    pub domain: &'static str,
    /// Whose it is.
    pub structure: Structure,
    /// Whether it asks PSC about each token (introspection and userinfo) or goes by the keys alone (JWKS).
    pub asks_psc: bool,
}

impl Operator {
    /// A host of its domain: `lps`, `app`, `mx`, `autoconfig`.
    pub fn host(&self, name: &str) -> String {
        format!("{name}.{}", self.domain)
    }
}

/// The two operators.
pub const OPERATORS: [Operator; 2] = [
    Operator {
        name: "alpha",
        domain: "alpha.formation.mssante.fr",
        structure: Structure { id: "1750000001", name: "HOPITAL ALPHA", department: "Paris (75)" },
        asks_psc: true,
    },
    Operator {
        name: "beta",
        domain: "beta.formation.mssante.fr",
        structure: Structure { id: "1420000001", name: "MAISON DE SANTE BETA", department: "Loire (42)" },
        asks_psc: false,
    },
];

/// Who runs the services of the space: PSC, white list, authority.
pub const SPACE: Structure =
    Structure { id: "1750000009", name: "ESPACE DE CONFIANCE DE TEST", department: "Paris (75)" };
/// Who runs Mon espace santé.
pub const MES: Structure =
    Structure { id: "1930000009", name: "MON ESPACE SANTE DE TEST", department: "Seine-Saint-Denis (93)" };
/// Who makes the mail software: the client known to PSC.
pub const EDITOR: Structure =
    Structure { id: "1920000005", name: "EDITEUR DE LOGICIEL", department: "Hauts-de-Seine (92)" };
/// Somebody with a valid certificate and no place on the white list.
pub const OUTSIDER: Structure = Structure { id: "1590000004", name: "CLINIQUE HORS LISTE", department: "Nord (59)" };
/// A domain that resolves and is not on the white list.
pub const OUTSIDER_DOMAIN: &str = "horsliste.formation.mssante.fr";

/// The domain of the scripted operator before which mail software is tested.
pub const SOFTWARE_DOMAIN: &str = "logiciels.formation.mssante.fr";

/// A professional.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// National identifier: `8` and a number of RPPS.
    pub id: &'static str,
    /// Title, when the profession has one.
    pub title: Option<&'static str>,
    /// First name.
    pub given: &'static str,
    /// Surname.
    pub family: &'static str,
    /// Code of the profession (TRE_G15): 10 physician, 60 nurse.
    pub profession: &'static str,
}

impl Person {
    /// First name and surname.
    pub fn name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }
}

/// Everybody PSC knows. The last one has no mailbox anywhere.
pub const PEOPLE: [Person; 5] = [
    Person { id: "899700000017", title: Some("Dr"), given: "Marie", family: "MARTIN", profession: "10" },
    Person { id: "899700000021", title: Some("Dr"), given: "Paul", family: "DURAND", profession: "10" },
    Person { id: "899700000039", title: Some("Dr"), given: "Sophie", family: "LEROY", profession: "10" },
    Person { id: "899700000047", title: None, given: "Julien", family: "BERNARD", profession: "60" },
    Person { id: "899700000054", title: None, given: "Camille", family: "NOUVEAU", profession: "60" },
];

/// The person of an identifier.
pub fn person(id: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.id == id)
}

/// Whose a mailbox is.
#[derive(Debug, Clone, Copy)]
pub enum Holder {
    /// A person, by identifier: PER.
    Person(&'static str),
    /// The operator's structure, and who may use the mailbox: ORG.
    Service(&'static [&'static str]),
    /// The operator's structure by its software: APP.
    Application,
}

/// A mailbox of an operator.
#[derive(Debug, Clone, Copy)]
pub struct Mailbox {
    /// The operator's name.
    pub operator: &'static str,
    /// What stands before the `@`.
    pub local: &'static str,
    /// Whose it is.
    pub holder: Holder,
    /// What people see beside the address.
    pub label: &'static str,
}

impl Mailbox {
    /// Its kind.
    pub fn kind(&self) -> MailboxKind {
        match self.holder {
            Holder::Person(_) => MailboxKind::Per,
            Holder::Service(_) => MailboxKind::Org,
            Holder::Application => MailboxKind::App,
        }
    }

    /// Whether a person may open it: its titulaire, or one of those entitled to it.
    pub fn is_used_by(&self, id: &str) -> bool {
        match self.holder {
            Holder::Person(holder) => holder == id,
            Holder::Service(users) => users.contains(&id),
            Holder::Application => false,
        }
    }

    /// Its operator.
    pub fn operator(&self) -> &'static Operator {
        // Every mailbox of the table below names one of the two (checked by a test).
        OPERATORS.iter().find(|operator| operator.name == self.operator).expect("a mailbox names an operator")
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.operator().domain)
    }
}

/// The mailboxes: on each operator two PER, one ORG, one APP. Marie MARTIN and Sophie LEROY use a PER and an ORG.
pub const MAILBOXES: [Mailbox; 8] = [
    Mailbox {
        operator: "alpha",
        local: "marie.martin",
        holder: Holder::Person("899700000017"),
        label: "Dr_Marie_MARTIN_Hopital Alpha",
    },
    Mailbox {
        operator: "alpha",
        local: "paul.durand",
        holder: Holder::Person("899700000021"),
        label: "Dr_Paul_DURAND_Hopital Alpha",
    },
    Mailbox {
        operator: "alpha",
        local: "cardiologie",
        holder: Holder::Service(&["899700000017"]),
        label: "Hôpital Alpha – Service Cardiologie",
    },
    Mailbox { operator: "alpha", local: "labo", holder: Holder::Application, label: "Hôpital Alpha – Laboratoire" },
    Mailbox {
        operator: "beta",
        local: "sophie.leroy",
        holder: Holder::Person("899700000039"),
        label: "Dr_Sophie_LEROY_Maison de Sante Beta",
    },
    Mailbox {
        operator: "beta",
        local: "julien.bernard",
        holder: Holder::Person("899700000047"),
        label: "Julien_BERNARD_Maison de Sante Beta",
    },
    Mailbox {
        operator: "beta",
        local: "accueil",
        holder: Holder::Service(&["899700000039"]),
        label: "Maison de santé Beta – Accueil",
    },
    Mailbox {
        operator: "beta",
        local: "labo",
        holder: Holder::Application,
        label: "Maison de santé Beta – Laboratoire",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use mssante::{Address, NationalId, StructureId};

    #[test]
    fn everything_in_the_cast_is_well_formed() {
        for person in PEOPLE {
            person.id.parse::<NationalId>().expect("a national id");
        }
        for mailbox in MAILBOXES {
            mailbox.address().parse::<Address>().expect("an address");
            let people: &[&str] = match mailbox.holder {
                Holder::Person(id) => &[id],
                Holder::Service(users) => users,
                Holder::Application => &[],
            };
            assert!(people.iter().all(|id| person(id).is_some()), "{}", mailbox.local);
        }
        for structure in OPERATORS.map(|o| o.structure).into_iter().chain([SPACE, MES, OUTSIDER, EDITOR]) {
            structure.id.parse::<StructureId>().expect("a structure id");
            assert!(structure.name.chars().count() <= 40, "cut by the authority: {}", structure.name);
        }
    }

    #[test]
    fn the_cast_is_what_the_contract_promises() {
        for operator in OPERATORS {
            let of = |kind| MAILBOXES.iter().filter(|m| m.operator == operator.name && m.kind() == kind).count();
            assert_eq!((of(MailboxKind::Per), of(MailboxKind::Org), of(MailboxKind::App)), (2, 1, 1));
        }
        let uses = |id: &str| MAILBOXES.iter().filter(|m| m.is_used_by(id)).count();
        assert!(PEOPLE.iter().any(|p| uses(p.id) == 2), "somebody with a PER and an ORG");
        assert!(PEOPLE.iter().any(|p| uses(p.id) == 0), "somebody with nothing");
    }
}
