//! The traps there are, as data: name, door, what is done, in words for people.

use serde::Serialize;

/// Longest tag of a run: what stands behind the `+`.
pub const MAX_RUN: usize = 40;

/// A listener with a host name, an address and a certificate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Nothing is wrong with it: behaviour goes by the local part.
    Usual,
    /// STARTTLS is not announced.
    SansStarttls,
    /// Its certificate is over.
    Expire,
    /// Its certificate is revoked.
    Revoque,
    /// Its certificate is signed by itself.
    Autosigne,
    /// Its certificate names another host.
    MauvaisNom,
    /// Its certificate comes from another authority of the same name.
    AutreAc,
    /// Its certificate is good, and its name is not cited for the domain.
    DnNonListe,
    /// It speaks TLS 1.0 and nothing above.
    Tls10,
    /// It speaks TLS 1.2 with suites that are none of the six.
    SuitesHorsListe,
    /// It speaks TLS 1.2 with a Diffie-Hellman prime of 1024 bits.
    Dh1024,
    /// Its domain resolves and is on no white list.
    HorsListe,
    /// The second server of a domain whose first is closed.
    Mx2,
    /// It glues an answer to EHLO behind its answer to STARTTLS, in clear.
    Injection,
}

impl Door {
    /// Every door.
    pub const ALL: [Door; 14] = [
        Door::Usual,
        Door::SansStarttls,
        Door::Expire,
        Door::Revoque,
        Door::Autosigne,
        Door::MauvaisNom,
        Door::AutreAc,
        Door::DnNonListe,
        Door::Tls10,
        Door::SuitesHorsListe,
        Door::Dh1024,
        Door::HorsListe,
        Door::Mx2,
        Door::Injection,
    ];

    /// Its name: the first label of its domain, but for the usual one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Door::Usual => "nominal",
            Door::SansStarttls => "sans-starttls",
            Door::Expire => "expire",
            Door::Revoque => "revoque",
            Door::Autosigne => "autosigne",
            Door::MauvaisNom => "mauvais-nom",
            Door::AutreAc => "autre-ac",
            Door::DnNonListe => "dn-non-liste",
            Door::Tls10 => "tls10",
            Door::SuitesHorsListe => "suites-hors-liste",
            Door::Dh1024 => "dh1024",
            Door::HorsListe => "hors-liste",
            Door::Mx2 => "mx2",
            Door::Injection => "injection",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Door> {
        Door::ALL.into_iter().find(|door| door.name() == name)
    }

    /// Its mail domain below `main`, the domain of the traps.
    #[must_use]
    pub fn domain(self, main: &str) -> String {
        match self {
            Door::Usual => main.to_owned(),
            other => format!("{}.{main}", other.name()),
        }
    }
}

impl Door {
    /// The usual name of its host: `mx.` and its domain.
    #[must_use]
    pub fn host(self, main: &str) -> String {
        format!("mx.{}", self.domain(main))
    }
}

/// What a trap does once a recipient is named. The counts are those of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Takes the message.
    Take,
    /// 451 the first two times, then takes the message.
    Greylist,
    /// 421 and closes the first time, then takes the message.
    Dismiss,
    /// Waits before each answer, then takes the message.
    Slow,
    /// 550 5.1.1.
    RefuseRecipient,
    /// 552 5.2.2.
    RefuseFull,
    /// 554 5.6.0, once the message is there.
    RefuseContent,
    /// Closes in the middle of the first message, then takes it.
    CutData,
    /// Takes the message, and sends a read receipt.
    Receipt,
    /// Takes the message, and sends a delivery report.
    Report,
    /// Takes the message, and sends an automatic reply.
    Reply,
}

/// One trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Trap {
    /// Its local part.
    pub name: &'static str,
    /// Where.
    pub door: Door,
    /// What is done.
    pub act: Act,
    /// For people.
    pub what: &'static str,
    /// The cases that use it.
    pub cases: &'static [&'static str],
}

const fn usual(name: &'static str, act: Act, what: &'static str, cases: &'static [&'static str]) -> Trap {
    Trap { name, door: Door::Usual, act, what, cases }
}

const fn door(name: &'static str, door: Door, what: &'static str, cases: &'static [&'static str]) -> Trap {
    Trap { name, door, act: Act::Take, what, cases }
}

/// Every trap, in the order of the catalogue.
pub const TRAPS: [Trap; 24] = [
    usual("nominal", Act::Take, "accepte, et garde TLS, certificat, enveloppe et message", &["OPE-10", "SMA-02"]),
    door("sans-starttls", Door::SansStarttls, "n'annonce pas STARTTLS", &["OPE-11"]),
    door("expire", Door::Expire, "montre un certificat périmé", &["OPE-12"]),
    door("revoque", Door::Revoque, "montre un certificat révoqué", &["OPE-12"]),
    door("autosigne", Door::Autosigne, "montre un certificat autosigné", &["OPE-12"]),
    door("mauvais-nom", Door::MauvaisNom, "montre un certificat d'un autre hôte", &["OPE-12"]),
    door("autre-ac", Door::AutreAc, "montre un certificat d'une autre autorité de même nom", &["OPE-12"]),
    door(
        "dn-non-liste",
        Door::DnNonListe,
        "montre un certificat IGC-Santé valide dont le DN n'est pas celui du domaine",
        &["OPE-12"],
    ),
    door("tls10", Door::Tls10, "ne parle que TLS 1.0", &["OPE-13"]),
    door("suites-hors-liste", Door::SuitesHorsListe, "ne parle TLS 1.2 qu'avec des suites hors des six", &["OPE-13"]),
    door("dh1024", Door::Dh1024, "échange ses clés sur un groupe de 1024 bits", &["OPE-13"]),
    door("hors-liste", Door::HorsListe, "domaine qui existe et n'est pas sur la liste blanche", &["OPE-14"]),
    usual("liste-grise", Act::Greylist, "451 deux fois, puis accepte", &["OPE-15"]),
    usual("421", Act::Dismiss, "421 et coupe la première fois, puis accepte", &["OPE-15"]),
    usual("lent", Act::Slow, "attend avant chaque réponse, puis accepte", &["OPE-15"]),
    usual("refus", Act::RefuseRecipient, "550 5.1.1 : boîte inconnue", &["OPE-16"]),
    usual("plein", Act::RefuseFull, "552 5.2.2 : boîte pleine", &["OPE-16"]),
    usual("contenu", Act::RefuseContent, "554 5.6.0 : contenu refusé, une fois le message reçu", &["OPE-16"]),
    usual("coupure-data", Act::CutData, "coupe au milieu du premier message, puis accepte", &["OPE-17"]),
    door("mx2", Door::Mx2, "premier serveur fermé, le second accepte", &["OPE-17"]),
    door(
        "injection",
        Door::Injection,
        "colle une fausse réponse à EHLO derrière sa réponse à STARTTLS, en clair",
        &["OPE-18"],
    ),
    usual("mdn", Act::Receipt, "accepte, et envoie un accusé de lecture", &["ENT-07"]),
    usual("dsn", Act::Report, "accepte, et envoie un avis de remise", &["OPE-08"]),
    usual("repondeur", Act::Reply, "accepte, et répond comme un répondeur automatique", &["OPE-08"]),
];

impl Trap {
    /// By its name, whatever the case.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Trap> {
        TRAPS.iter().find(|trap| trap.name.eq_ignore_ascii_case(name))
    }

    /// Its address for a run, below the domain of the traps.
    #[must_use]
    pub fn address(&self, run: &str, main: &str) -> String {
        format!("{}+{run}@{}", self.name, self.door.domain(main))
    }
}

/// A local part taken apart: the trap, and the run when there is one.
#[must_use]
pub fn read_local(local: &str) -> (Option<&'static Trap>, Option<String>) {
    let (name, run) = match local.split_once('+') {
        Some((name, run)) => (name, Some(run)),
        None => (local, None),
    };
    let is_tag = |run: &&str| {
        (1..=MAX_RUN).contains(&run.len()) && run.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    (Trap::named(name), run.filter(is_tag).map(str::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trap_is_known_by_its_name_and_every_door_has_one() {
        for trap in &TRAPS {
            assert_eq!(read_local(&format!("{}+Abc-1", trap.name)), (Some(trap), Some("abc-1".to_owned())));
            assert!(!trap.cases.is_empty() && !trap.what.is_empty());
            for case in trap.cases {
                assert!(crate::catalogue::Catalogue::embedded().case(case).is_some(), "{case}");
            }
        }
        for door in Door::ALL {
            assert!(TRAPS.iter().any(|trap| trap.door == door), "{door:?}");
            assert_eq!(Door::named(door.name()), Some(door));
        }
        assert_eq!(Trap::named("expire").expect("there").address("r1", "p.test"), "expire+r1@expire.p.test");
        assert_eq!(Trap::named("421").expect("there").address("r1", "p.test"), "421+r1@p.test");
    }

    #[test]
    fn a_run_is_a_short_word() {
        let long = format!("nominal+{}", "a".repeat(MAX_RUN + 1));
        for local in ["nominal", "nominal+", "nominal+a b", "nominal+a+b", long.as_str()] {
            assert_eq!(read_local(local).1, None, "{local}");
        }
        assert_eq!(read_local("inconnu+r").0, None);
    }
}
