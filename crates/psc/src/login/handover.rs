//! A session on its way from one process to another: from the command that logged in to the agent that keeps the session.
//!
//! It is never written to a file. Both processes have it in memory that is wiped; between them it goes over a socket that only this
//! user can open.

use std::fmt;
use std::time::{Duration, SystemTime};

use mssante::NationalId;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use super::session::{Access, State};
use super::wire::is_token;
use super::{LoginError, Provider};
use crate::{MAX_LIFETIME, Secret};

/// Longest handover, in octets: three tokens at their limit, and the rest.
pub const MAX_HANDOVER: usize = 3 * crate::MAX_TOKEN + 4096;

/// A session without a process.
pub struct Handover(Document);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    issuer: String,
    client_id: String,
    person: NationalIdText,
    begun: u64,
    last_used: u64,
    access_token: Option<Exposed>,
    access_until: u64,
    access_life: u64,
    refresh_token: Option<Exposed>,
    refresh_until: Option<u64>,
    id_token: Option<Exposed>,
}

/// A secret that is written out: here only.
#[derive(Deserialize)]
#[serde(transparent)]
struct Exposed(Secret);

impl Serialize for Exposed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// The identifier, not printed by accident.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct NationalIdText(String);

/// A handover that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandoverError {
    /// Longer than [`MAX_HANDOVER`].
    #[error("the session handed over is too long")]
    TooLong,
    /// Not what [`Handover::to_json`] makes.
    #[error("what was handed over is not a session")]
    Malformed,
}

pub(super) struct Parts {
    pub access: Option<Access>,
    pub refresh: Option<Secret>,
    pub refresh_until: Option<SystemTime>,
    pub id_token: Option<Secret>,
    pub last_used: SystemTime,
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}

impl Handover {
    pub(super) fn of(provider: &Provider, person: &NationalId, begun: SystemTime, state: &mut State) -> Handover {
        let access = state.access.take();
        Handover(Document {
            issuer: provider.issuer().to_owned(),
            client_id: provider.client_id().to_owned(),
            person: NationalIdText(person.as_str().to_owned()),
            begun: seconds(begun),
            last_used: seconds(state.last_used),
            access_until: access.as_ref().map_or(0, |access| seconds(access.until)),
            access_life: access.as_ref().map_or(0, |access| access.life.as_secs()),
            access_token: access.map(|access| Exposed(access.token)),
            refresh_token: state.refresh.take().map(Exposed),
            refresh_until: state.refresh_until.map(seconds),
            id_token: state.id_token.take().map(Exposed),
        })
    }

    /// Whose session it is.
    #[must_use]
    pub fn person(&self) -> &str {
        &self.0.person.0
    }

    /// Of which PSC.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// As JSON, without a line end.
    ///
    /// # Errors
    /// [`HandoverError::TooLong`].
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, HandoverError> {
        // Its size is given at once: growing would leave copies of tokens in freed memory.
        let mut octets = Zeroizing::new(vec![0; MAX_HANDOVER]);
        let mut writer = std::io::Cursor::new(octets.as_mut_slice());
        serde_json::to_writer(&mut writer, &self.0).map_err(|_| HandoverError::TooLong)?;
        let length = usize::try_from(writer.position()).map_err(|_| HandoverError::TooLong)?;
        octets.truncate(length);
        Ok(octets)
    }

    /// Reads what [`Handover::to_json`] made.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn from_json(octets: &[u8]) -> Result<Handover, HandoverError> {
        if octets.len() > MAX_HANDOVER {
            return Err(HandoverError::TooLong);
        }
        let document: Document = serde_json::from_slice(octets).map_err(|_| HandoverError::Malformed)?;
        let tokens = [&document.access_token, &document.refresh_token, &document.id_token];
        if tokens.into_iter().flatten().all(|token| is_token(&token.0)) {
            Ok(Handover(document))
        } else {
            Err(HandoverError::Malformed)
        }
    }

    pub(super) fn open(self, provider: &Provider) -> Result<(NationalId, SystemTime, Parts), LoginError> {
        let document = self.0;
        if document.issuer != provider.issuer() || document.client_id != provider.client_id() {
            return Err(LoginError::WrongIssuer);
        }
        let person = document.person.0.parse().map_err(|_| LoginError::UnknownPerson)?;
        let access = document.access_token.map(|token| Access {
            token: token.0,
            until: instant(document.access_until),
            life: Duration::from_secs(document.access_life).min(MAX_LIFETIME),
            refused: false,
        });
        let parts = Parts {
            access,
            refresh: document.refresh_token.map(|token| token.0),
            refresh_until: document.refresh_until.map(instant),
            id_token: document.id_token.map(|token| token.0),
            last_used: instant(document.last_used),
        };
        Ok((person, instant(document.begun), parts))
    }
}

fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A date of the document; one that no calendar has is the beginning of time.
fn instant(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sessions_are_read() {
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"issuer":"i","client_id":"c","person":"899700000017","begun":0,"last_used":0,"access_token":"a b","access_until":0,"access_life":0,"refresh_token":null,"refresh_until":null,"id_token":null}"#,
        ] {
            assert_eq!(Handover::from_json(bad).err(), Some(HandoverError::Malformed));
        }
        assert_eq!(Handover::from_json(&[b' '; MAX_HANDOVER + 1]).err(), Some(HandoverError::TooLong));
        let good = br#"{"issuer":"i","client_id":"c","person":"899700000017","begun":1,"last_used":2,"access_token":"a.b","access_until":18446744073709551615,"access_life":60,"refresh_token":"r","refresh_until":null,"id_token":null}"#;
        let handover = Handover::from_json(good).expect("a session");
        assert_eq!(handover.to_json().expect("short").as_slice(), good);
        assert!(!format!("{handover:?}").contains("8997"));
    }
}
