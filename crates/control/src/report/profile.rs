//! The profile: against which texts cases judge, and how what the texts leave open was read (control.md §8). Data
//! (`catalogue/profil.json`, described by `profil.schema.json`); every report cites it with its SHA-256.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

const PROFILE: &str = include_str!("../../catalogue/profil.json");

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// What is open.
    pub sujet: String,
    /// How it was read.
    pub lecture: String,
    /// The cases that judge so.
    pub cas: Vec<String>,
}

/// The profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The texts.
    pub referentiels: Vec<String>,
    /// How they were read.
    pub lectures: Vec<Reading>,
}

impl Profile {
    /// The one of this program.
    #[must_use]
    pub fn embedded() -> &'static Profile {
        static EMBEDDED: OnceLock<Profile> = OnceLock::new();
        // A test reads it: it cannot be damaged in a program that was built.
        EMBEDDED.get_or_init(|| serde_json::from_str(PROFILE).expect("the profile is tested"))
    }

    /// SHA-256 of its data.
    #[must_use]
    pub fn sha256() -> String {
        super::sha256(PROFILE.as_bytes())
    }
}
