//! All resources that are served, in a fixed order.

use serde_json::Value;

use super::people::{Content, Mailbox};
use super::resources;

/// The kinds served.
pub(super) const KINDS: [&str; 5] = ["Practitioner", "PractitionerRole", "Organization", "HealthcareService", "Device"];

/// Everything served. A mailbox on the *liste rouge* is declared and hidden: it is in no resource.
#[derive(Debug)]
pub(super) struct Register {
    pub all: Vec<Value>,
}

impl Register {
    /// The resources of a content; `updated` dates them.
    pub fn new(content: &Content, updated: &str) -> Register {
        let mut all = Vec::new();
        let organization_id = |at: usize| format!("001-01-{}", 900_000 + at);
        let shown = |mailboxes: &mut dyn Iterator<Item = &Mailbox>| -> Vec<Value> {
            let public = mailboxes.filter(|mailbox| !mailbox.red_list);
            public
                .enumerate()
                .map(|(at, mailbox)| resources::mailbox(mailbox, at + 1, mailbox.address.len() % 3 == 0))
                .collect()
        };
        for (at, person) in content.people.iter().enumerate() {
            let id = format!("003-{}", 100_000 + at);
            let alone = shown(&mut person.mailboxes.iter().filter(|mailbox| mailbox.structure.is_none()));
            all.push(resources::practitioner(&id, person, alone, updated));
            for (number, structure) in person.structures.iter().enumerate() {
                let there = shown(&mut person.mailboxes.iter().filter(|mailbox| mailbox.structure == Some(*structure)));
                let role = format!("005-{}-{number}", 500_000 + at);
                all.push(resources::role(&role, &id, &organization_id(*structure), person.active, there, updated));
            }
        }
        for (at, structure) in content.structures.iter().enumerate() {
            let own = shown(&mut content.shared.iter().filter(|mailbox| mailbox.structure == Some(at)));
            all.push(resources::organization(&organization_id(at), structure, own, updated));
        }
        Register { all }
    }

    /// A resource by kind and id.
    pub fn read(&self, kind: &str, id: &str) -> Option<&Value> {
        self.all.iter().find(|resource| resource["resourceType"] == kind && resource["id"] == id)
    }
}
