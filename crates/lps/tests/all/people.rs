//! Who writes and who reads in these tests: Marie MARTIN at alpha, the laboratory, the patient Léa; and what they write.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use lps::account::{Authentication, Credentials, Endpoint, EntryPoints, TokenError, TokenSource};
use lps::compose::{Draft, Outgoing, PatientRecipient, QualifiedIdentity, Recipient, Sender, Source};
use lps::documents::Preparation;
use lps::{Account, Space};
use mssante::label::Label;
use mssante::xdm;
use psc::Secret;
use sandbox::psc::{Flaw, Order, mint};
use time::OffsetDateTime;
use trust::tls::Identity;

use crate::world::{ALPHA, World, eventually};

pub const MARIE: &str = "899700000017";
pub const INS: &str = "279035121518989";

/// Tokens that are wrong in these ways one after the other, then good.
pub struct Minted {
    folder: std::path::PathBuf,
    flaws: Mutex<VecDeque<Flaw>>,
    pub given: AtomicU32,
}

#[async_trait]
impl TokenSource for Minted {
    async fn token(&self) -> Result<Secret, TokenError> {
        self.given.fetch_add(1, Ordering::Relaxed);
        let flaw = self.flaws.lock().expect("lock").pop_front().unwrap_or_default();
        let order = Order { flaw, ..Order::of(MARIE.parse().expect("an identifier")) };
        Ok(Secret::new(mint(&self.folder, &order, SystemTime::now()).expect("a token")))
    }

    fn author(&self) -> Option<String> {
        Some(MARIE.into())
    }
}

pub fn tokens(world: &World, flaws: &[Flaw]) -> Arc<Minted> {
    Arc::new(Minted {
        folder: world.path().to_owned(),
        flaws: Mutex::new(flaws.iter().copied().collect()),
        given: AtomicU32::new(0),
    })
}

/// Marie MARTIN's mailbox at alpha, by another port of its submission when there is one.
pub fn marie(world: &World, source: Arc<Minted>, port: Option<u16>) -> Account {
    let alpha = &world.sandbox.description.operators[0];
    let endpoint = |e: &sandbox::Endpoint| Endpoint { host: e.name.clone(), port: e.port };
    let mut smtp = endpoint(&alpha.submission);
    smtp.port = port.unwrap_or(smtp.port);
    Account {
        address: format!("marie.martin@{ALPHA}").parse().expect("an address"),
        entry: EntryPoints { imap: endpoint(&alpha.imap), smtp, authentication: Authentication::Psc },
        credentials: Credentials::Psc(source),
    }
}

pub fn draft(space: &Space) -> Draft {
    let sender = Sender {
        address: format!("marie.martin@{ALPHA}").parse().expect("an address"),
        label: Label::personal(Some("Dr"), "Marie", "Martin", Some("Hôpital Alpha")).expect("a label"),
    };
    Draft::new(space.software.nil.clone(), sender).text("Bonjour,\nà bientôt.\n")
}

pub fn to(address: &str) -> Recipient {
    Recipient::new(address.parse().expect("an address")).expect("no patient")
}

pub fn lea() -> Recipient {
    let identity = QualifiedIdentity {
        matricule: INS.into(),
        authority: mssante::InsAuthority::NirTest,
        birth_name: "PATIENT".into(),
        first_name: "Léa".into(),
        birth_date: time::macros::date!(1979 - 03 - 12),
        sex: mssante::Sex::Female,
    };
    Recipient::patient(&PatientRecipient::from_qualified(identity).expect("qualified").0)
}

pub fn bytes(size: usize) -> Source {
    Source::Bytes((0..size).map(|n| (n % 251) as u8).collect())
}

pub async fn built(draft: Draft) -> Outgoing {
    draft.build().await.expect("built")
}

/// What Mon espace santé has for the patient: each message once it is whole.
pub fn received(world: &World) -> Vec<String> {
    let folder = world.path().join(&world.sandbox.description.mes.folder).join(INS);
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = found.map(|entry| entry.expect("an entry").path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "eml"));
    names.sort();
    names.iter().map(|name| String::from_utf8_lossy(&std::fs::read(name).expect("read")).into_owned()).collect()
}

/// Waits until Mon espace santé has a message with this text.
pub async fn arrived(world: &World, text: &str) -> Vec<String> {
    eventually(text, async || {
        let all = received(world);
        all.iter().any(|message| message.contains(text)).then_some(all)
    })
    .await
}

/// The laboratory of an operator: a BAL APP, which its certificate opens (SASL EXTERNAL).
pub fn application(world: &World, operator: &str) -> Account {
    let description = &world.sandbox.description;
    let own = description.applications.iter().find(|a| a.operator == operator).expect("it has one");
    let place = description.operators.iter().find(|o| o.name == operator).expect("an operator");
    let identity = Identity::from_files(&world.path().join(&own.certificate), &world.path().join(&own.key));
    let endpoint = |e: &sandbox::Endpoint| Endpoint { host: e.name.clone(), port: e.port };
    Account {
        address: own.mailbox.parse().expect("an address"),
        entry: EntryPoints {
            imap: endpoint(&place.imap_app),
            smtp: endpoint(&place.submission_app),
            authentication: Authentication::Certificate,
        },
        credentials: Credentials::Certificate(identity.expect("a certificate")),
    }
}

/// What Marie MARTIN's software puts documents into an `IHE_XDM.zip` with.
pub fn preparation(space: &Space) -> Preparation {
    let sender = xdm::Sender {
        name: "Dr Marie MARTIN".into(),
        organization: "Hôpital Alpha".into(),
        postal_address: None,
        phone: None,
    };
    Preparation::new(&space.software, sender, OffsetDateTime::now_utc())
}
