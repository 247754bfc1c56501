//! The stand (PSC stub, traps) of an operator: by the templates it is offered. An operator drives its own, and sees of the traps what speaks in its name.

use control::stand;
use control::trap::record::Session;
use toml::Table;

use crate::Desk;
use crate::acts::Who;
use crate::compose::Template;
use crate::db::{Organisation, OrganisationId};
use crate::error::{Broken, Refusal};
use crate::hosting::Declared;

/// A stand, and whose eyes look at it.
pub(crate) struct Seen {
    pub stand: Option<stand::Client>,
    pub template: Template,
    /// None: somebody who sees every operator.
    pub operator: Option<Organisation>,
    /// Every template that may be chosen.
    pub templates: Vec<Template>,
    /// What the operator is to be told, of what this process serves it.
    pub declared: Declared,
}

impl Desk {
    /// A template, with the stand of an operator when this process serves it and the template names no other.
    pub(crate) async fn base(&self, template: &Template, operator: Option<OrganisationId>) -> Result<Table, Broken> {
        let (template, hosting) = (template.clone(), self.settings().hosting.clone());
        // It reads a file, and makes keys the first time.
        let made = tokio::task::spawn_blocking(move || {
            let mut table = template.table()?;
            if let Some(hosting) = hosting {
                hosting.complete(&mut table, operator)?;
            }
            Ok(table)
        });
        made.await.map_err(|_| Broken::Task)?
    }

    /// Opens the stand of an operator, when this process serves it.
    pub(crate) async fn open_stand(&self, operator: OrganisationId) -> Result<(), Broken> {
        let Some(hosting) = self.settings().hosting.clone() else { return Ok(()) };
        let opened = tokio::task::spawn_blocking(move || hosting.complete(&mut Table::new(), Some(operator)));
        Ok(opened.await.map_err(|_| Broken::Task)??)
    }

    /// The stand of the template of that name, or of the first one.
    pub(crate) async fn stand_of(&self, who: &Who, asked: &str) -> Result<Seen, Refusal> {
        who.scope()?;
        let operator = self.operator_of(who).await?;
        let templates: Vec<Template> = match &operator {
            Some(operator) => self.templates(&operator.name).cloned().collect(),
            None => self.settings().templates.clone(),
        };
        let found = templates.iter().find(|one| asked.is_empty() || one.name == asked);
        let template = found.cloned().ok_or(Refusal::NotFound)?;
        let table = self.base(&template, operator.as_ref().map(|operator| operator.id)).await?;
        let hosting = self.settings().hosting.as_ref().zip(operator.as_ref());
        let declared = hosting.map(|(hosting, operator)| hosting.declared(&table, operator.id)).unwrap_or_default();
        let inside = template.clone();
        // It reads a key and authorities.
        let opened = tokio::task::spawn_blocking(move || inside.stand(table)).await.map_err(|_| Broken::Task)?;
        Ok(Seen { stand: opened?, template, operator, templates, declared })
    }
}

/// Whether a session speaks in the name of an operator; whoever has none sees all. The certificate decides when the white list knows it; else the
/// senders do, and all of them must be the operator's: in a session that mixes them there is something of another's.
pub(crate) fn is_of(session: &Session, operator: Option<&Organisation>) -> bool {
    let Some(operator) = operator else { return true };
    let has = |domain: &str| operator.reach.domains.contains(&domain.to_ascii_lowercase());
    let shown = session.tls.as_ref().and_then(|tls| tls.certificate.as_ref()).and_then(|shown| shown.domains.as_ref());
    if let Some(domains) = shown.filter(|domains| !domains.is_empty()) {
        return domains.iter().any(|domain| has(domain));
    }
    let mut senders = session.transactions.iter().filter_map(|one| one.from.rsplit_once('@')).peekable();
    senders.peek().is_some() && senders.all(|(_, domain)| has(domain))
}

#[cfg(test)]
mod tests {
    use control::trap::record::{Certificate, Sheet, Transaction};

    use super::*;
    use crate::db::Reach;

    fn session(from: &str, domains: &[&str]) -> Session {
        let shown = Certificate {
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            sha256: String::new(),
            not_before: String::new(),
            not_after: String::new(),
            chain: Vec::new(),
            fault: None,
            is_unclear: false,
            domains: Some(domains.iter().map(|domain| (*domain).to_owned()).collect()),
        };
        let transaction = Transaction { ms: 0, from: from.to_owned(), to: Vec::new(), message: None };
        Session {
            seq: 1,
            at: String::new(),
            at_ms: 0,
            door: "usuelle".to_owned(),
            peer: String::new(),
            hello: None,
            tls: Some(Sheet { certificate: Some(shown), ..Sheet::default() }),
            taken_in: None,
            transactions: vec![transaction],
            end: None,
            ms: 0,
            dialogue: Vec::new(),
        }
    }

    #[test]
    fn an_operator_sees_what_speaks_in_its_name() {
        let alpha = Organisation {
            id: OrganisationId(1),
            name: "alpha".to_owned(),
            reach: Reach { domains: vec!["alpha.test".to_owned()], ..Reach::default() },
            identifiers: Vec::new(),
        };
        assert!(is_of(&session("a@Alpha.test", &[]), Some(&alpha)));
        assert!(is_of(&session("", &["alpha.test"]), Some(&alpha)));
        assert!(!is_of(&session("a@beta.test", &["beta.test"]), Some(&alpha)));
        assert!(!is_of(&session("", &[]), Some(&alpha)));
        // Whoever writes alpha's name on what another's certificate sends shows alpha nothing of the other's.
        assert!(!is_of(&session("a@alpha.test", &["beta.test"]), Some(&alpha)));
        assert!(is_of(&session("a@beta.test", &["alpha.test"]), Some(&alpha)));
        let mut mixed = session("a@alpha.test", &[]);
        mixed.transactions.push(session("b@beta.test", &[]).transactions.remove(0));
        assert!(!is_of(&mixed, Some(&alpha)), "something in it is another's");
        assert!(is_of(&session("a@beta.test", &[]), None));
    }
}
