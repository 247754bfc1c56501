//! Describing a space that runs: from its ports and certificates to [`Description`].

use std::collections::BTreeMap;

use crate::cast::{self, OPERATORS};
use crate::description::{
    ApplicationEntry, ControlEntry, Description, DirectoryEntry, DnsEntry, Endpoint, MesEntry, NegativeEntry,
    OperatorEntry, PersonEntry, PkiEntry, PscEntry, StandEntry, VERSION,
};
use crate::pki::{self, Pki};
use crate::psc::keys::CLIENT_ID;
use crate::psc::{Keys, Psc};
use crate::space::{crl_url, white_list_url};
use crate::{Ports, SandboxError, mes};

/// Everything a program must know.
pub(crate) fn describe(
    ports: &Ports,
    pki: &Pki,
    psc: &Psc,
    keys: &Keys,
    directory_key: String,
) -> Result<Description, SandboxError> {
    let home = "127.0.0.1";
    let operators = OPERATORS.iter().enumerate().map(|(index, operator)| {
        let own = &ports.operators[index];
        let endpoint = |port: u16, host: &str| Endpoint { host: home.to_owned(), port, name: operator.host(host) };
        OperatorEntry {
            name: operator.name.to_owned(),
            domain: operator.domain.to_owned(),
            config: format!("{}/vaguemestre.toml", operator.name),
            dn: pki.operators[index].to_string(),
            certificate: format!("pki/{}.pem", operator.name),
            key: format!("pki/{}.key", operator.name),
            imap: endpoint(own.imap, "lps"),
            submission: endpoint(own.submission, "lps"),
            imap_app: endpoint(own.imap_app, "app"),
            submission_app: endpoint(own.submission_app, "app"),
            mx: Endpoint { host: ports.mx(index as u8 + 1).to_string(), port: ports.relay, name: operator.host("mx") },
            autoconfig: format!("https://{home}:{}/mail/config-v1.1.xml", own.autoconfig),
            monitoring: format!("http://{home}:{}", own.monitoring),
        }
    });
    let negative = pki::NEGATIVE.iter().map(|(name, why)| {
        let file = |extension: &str| format!("pki/negative/{name}.{extension}");
        ((*name).to_owned(), NegativeEntry { certificate: file("pem"), key: file("key"), why: (*why).to_owned() })
    });
    Ok(Description {
        version: VERSION,
        pid: std::process::id(),
        pki: PkiEntry {
            ca: "pki/ca.pem".to_owned(),
            crl_url: crl_url(ports, trust::pki::INTERMEDIATE_CRL_PATH),
            root_crl_url: crl_url(ports, trust::pki::ROOT_CRL_PATH),
            ocsp_url: crl_url(ports, trust::pki::OCSP_PATH),
        },
        dns: DnsEntry { host: home.to_owned(), port: ports.dns },
        psc: PscEntry {
            issuer: psc.issuer(),
            discovery: psc.discovery(),
            jwks_uri: psc.jwks_uri(),
            authorization_endpoint: psc.authorization_endpoint(),
            token_endpoint: psc.token_endpoint(),
            introspection_endpoint: psc.introspection_endpoint(),
            userinfo_endpoint: psc.userinfo_endpoint(),
            ciba_endpoint: psc.ciba_endpoint(),
            revocation_endpoint: psc.revocation_endpoint(),
            end_session_endpoint: psc.end_session_endpoint(),
            phone: psc.phone(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: keys.client_secret.clone(),
            client_certificate: format!("pki/{}.pem", pki::EDITOR),
            client_key: format!("pki/{}.key", pki::EDITOR),
        },
        directory: DirectoryEntry {
            url: crate::directory::url(ports.directory),
            api_key: directory_key,
            extraction: crate::directory::extraction_url(ports.directory),
        },
        white_list: white_list_url(ports),
        white_list_signer: pki.signer_dn()?.to_string(),
        operators: operators.collect(),
        people: people(),
        applications: applications(),
        mes: MesEntry {
            domain: mssante::PATIENT_DOMAIN.to_owned(),
            folder: "mes".to_owned(),
            mx: Endpoint { host: ports.mx(3).to_string(), port: ports.relay, name: mes::HOST.to_owned() },
            dn: pki.mes_dn()?.to_string(),
        },
        // Told by whoever starts it.
        control: ControlEntry::default(),
        stand: StandEntry { url: crate::stand::url(ports.stand), key_file: crate::stand::KEY_FILE.to_owned() },
        lps: "lps.toml".to_owned(),
        negative: negative.collect::<BTreeMap<_, _>>(),
    })
}

fn people() -> Vec<PersonEntry> {
    let mut entries = Vec::new();
    for person in &cast::PEOPLE {
        let entry = |mailbox: Option<&cast::Mailbox>| PersonEntry {
            id: person.id.to_owned(),
            name: person.name(),
            operator: mailbox.map(|m| m.operator.to_owned()),
            mailbox: mailbox.map(cast::Mailbox::address),
            kind: mailbox.map(|m| m.kind().code().to_owned()),
        };
        let before = entries.len();
        entries.extend(cast::MAILBOXES.iter().filter(|m| m.is_used_by(person.id)).map(|m| entry(Some(m))));
        if entries.len() == before {
            entries.push(entry(None));
        }
    }
    entries
}

fn applications() -> Vec<ApplicationEntry> {
    let theirs = cast::MAILBOXES.iter().filter(|m| matches!(m.holder, cast::Holder::Application));
    theirs
        .map(|mailbox| {
            let file = pki::application_file(mailbox);
            ApplicationEntry {
                operator: mailbox.operator.to_owned(),
                mailbox: mailbox.address(),
                kind: mailbox.kind().code().to_owned(),
                structure: mailbox.operator().structure.id.to_owned(),
                certificate: format!("pki/{file}.pem"),
                key: format!("pki/{file}.key"),
            }
        })
        .collect()
}
