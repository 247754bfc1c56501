//! Whether somebody gets what is written to the postmaster of each domain (RFC 5321 §4.5.1). Told at a start and a reload, and no reason
//! to refuse either: the mailbox may be made any time, beside the running server.

use mssante::{Address, Domain};
use store::Store;

use crate::backends::POSTMASTER;
use crate::config::Config;

/// Says in the log what is missing.
pub(super) async fn look(store: &dyn Store, config: &Config) {
    let named = config.operator.postmaster.as_ref().map(|address| address.get_ref());
    match missing(store, named, config.domains()).await {
        Ok(Missing { named: false, domains }) if domains.is_empty() => {}
        Ok(Missing { named, domains }) => {
            if named {
                tracing::warn!(
                    "[operator] postmaster names a mailbox that does not exist: make it with `vaguemestre mailbox create`, or name \
                     another and reload"
                );
            }
            for domain in domains {
                tracing::warn!(
                    %domain,
                    "what is written to postmaster of this domain is refused, and so are answers to notices: make that mailbox, or name \
                     one in [operator] postmaster and reload"
                );
            }
        }
        Err(error) => tracing::warn!("the mailbox of the postmaster could not be looked for: {error}"),
    }
}

/// What is missing.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    /// The mailbox that the configuration names.
    named: bool,
    /// Domains of which nobody gets the postmaster's mail.
    domains: Vec<Domain>,
}

async fn missing(store: &dyn Store, named: Option<&Address>, domains: &[Domain]) -> store::Result<Missing> {
    if let Some(address) = named
        && store.mailbox(address).await?.is_some()
    {
        return Ok(Missing { named: false, domains: Vec::new() });
    }
    let mut missing = Missing { named: named.is_some(), domains: Vec::new() };
    for domain in domains {
        // The local part is a constant, and a domain is one: it is an address.
        let Ok(address) = format!("{POSTMASTER}@{domain}").parse::<Address>() else { continue };
        if store.mailbox(&address).await?.is_none() {
            missing.domains.push(domain.clone());
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use mssante::MailboxKind;
    use store::{Holder, NewMailbox, Quota};

    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_told_until_it_is_there() {
        let store = store::memory::Memory::new();
        let domains = ["alpha.mssante.fr", "beta.mssante.fr"].map(|d| d.parse::<Domain>().expect("a domain"));
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let make = async |text: &str| {
            let new = NewMailbox {
                address: address(text),
                kind: MailboxKind::Org,
                holder: Holder::Structure("1750000001".parse().expect("a structure")),
                label: "Messagerie".into(),
                quota: Quota::default(),
                created_at: 0,
            };
            store.create_mailbox(new).await.expect("made");
        };
        let named = address("messagerie@alpha.mssante.fr");
        let look = async |named: Option<&Address>| missing(&store, named, &domains).await.expect("read");
        let of = |named, domains: &[Domain]| Missing { named, domains: domains.to_vec() };
        assert_eq!(look(Some(&named)).await, of(true, &domains));
        assert_eq!(look(None).await, of(false, &domains));
        make("postmaster@alpha.mssante.fr").await;
        assert_eq!(look(Some(&named)).await, of(true, &domains[1..]));
        make("messagerie@alpha.mssante.fr").await;
        assert_eq!(look(Some(&named)).await, of(false, &[]));
        assert_eq!(look(None).await, of(false, &domains[1..]));
        make("postmaster@beta.mssante.fr").await;
        assert_eq!(look(None).await, of(false, &[]));
    }
}
