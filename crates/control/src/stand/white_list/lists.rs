//! The lists of the white list's cases, as data (`catalogue/liste-blanche.json`): what is served instead of the usual one, and what must become of it.

use serde::{Deserialize, Serialize};

use crate::forge::Expected;

/// The data.
pub(crate) const DATA: &str = include_str!("../../../catalogue/liste-blanche.json");

/// A list that must not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bad {
    /// For people.
    pub nom: String,
    /// What is served.
    pub liste: List,
}

/// An entry to be told from others, and who speaks in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// For people.
    pub nom: String,
    /// The domain as published; absent: no entry of its own.
    #[serde(default)]
    pub domaine: Option<String>,
    /// The name as published.
    #[serde(default)]
    pub dn: Option<Name>,
    /// Another entry of the same domain.
    #[serde(default)]
    pub aussi: Option<Name>,
    /// The domain of MAIL FROM.
    pub expediteur: String,
    /// What must become of it.
    pub attendu: Expected,
}

/// How a certificate's name is written in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are those of the data, which explain them")]
pub enum Name {
    Pair,
    PairEspaces,
    PairGuillemets,
    PairLieu,
    PairOrdre,
    PairProche,
    PairStructure,
    Autre,
}

/// The data of the white list's cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// The domain that is put in and taken out.
    pub temoin: String,
    /// What must not be taken.
    pub refusees: Vec<Bad>,
    /// What must be told apart.
    pub entrees: Vec<Listed>,
}

impl Lists {
    /// Those of this program.
    #[must_use]
    pub fn embedded() -> Lists {
        // Tested below: they cannot be damaged in a program that was built.
        serde_json::from_str(DATA).expect("the lists are tested")
    }
}

/// What is served instead of the usual list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are those of the data, which explain them")]
pub enum List {
    Temoin,
    Sans,
    Entrees,
    Corrompue,
    Tronquee,
    Vide,
    SignatureFausse,
    SansSignature,
    AutreSignataire,
    Ancienne,
    Future,
    Indisponible,
    Muette,
}
