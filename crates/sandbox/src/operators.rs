//! The two operators: their configuration files, written at each start, and their mailboxes, made when missing.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use operator::config::Config;
use store::{Holder, NewMailbox, Quota, Right, Role, Store};
use trust::SharedClock;

use crate::cast::{self, OPERATORS};
use crate::pki::{Pki, seconds};
use crate::psc::Psc;
use crate::psc::keys::CLIENT_ID;
use crate::{Layout, Ports, SandboxError};

/// Pause before the second attempt of the queue, in seconds: a test does not want to wait a minute.
const FIRST_RETRY: u64 = 2;

/// How long a server that cannot be trusted is waited for, in seconds: one more attempt.
const DISTRUST: u64 = 2;

/// A text of TOML. JSON's escapes are TOML's too.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The configuration of an operator, with paths relative to its folder.
pub(crate) fn configuration(index: usize, ports: &Ports, pki: &Pki) -> Result<String, SandboxError> {
    let operator = &OPERATORS[index];
    let own = &ports.operators[index];
    let (psc, door) = (Psc::on(ports.psc), crate::psc::door(ports.psc, operator.name));
    let home = |port: u16| quoted(&SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port).to_string());
    let mx = SocketAddr::new(ports.mx(index as u8 + 1), ports.relay);
    let crl = |path: &str| quoted(&format!("http://127.0.0.1:{}{path}?operateur={}", ports.crl, operator.name));
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = match key.starts_with('[') {
            true => writeln!(text, "\n{key}"),
            false => writeln!(text, "{key} = {value}"),
        };
    };
    line("[operator]", String::new());
    line("name", quoted(&format!("Opérateur {} (bac à sable)", operator.name)));
    line("domains", format!("[{}]", quoted(operator.domain)));
    line("hostname", quoted(&operator.host("mx")));
    line("data", quoted("data"));
    line("[tls]", String::new());
    line("certificate", quoted(&format!("../pki/{}.pem", operator.name)));
    line("key", quoted(&format!("../pki/{}.key", operator.name)));
    line("[trust]", String::new());
    line("anchors", quoted("../pki/ca.pem"));
    line("crl", format!("[{}, {}]", crl(trust::pki::INTERMEDIATE_CRL_PATH), crl(trust::pki::ROOT_CRL_PATH)));
    line("[white_list]", String::new());
    // By that word a campaign serves its list to this operator and to no other.
    let list = format!(
        "https://127.0.0.1:{}{}?operateur={}",
        ports.white_list,
        ::control::stand::white_list::PATH,
        operator.name
    );
    line("url", quoted(&list));
    line("signer", quoted(&pki.signer_dn()?.to_string()));
    line("[psc]", String::new());
    line("issuer", quoted(&psc.issuer()));
    line("jwks_uri", quoted(&door.jwks_uri()));
    line("anchors", quoted("../pki/ca.pem"));
    // A campaign has the stub publish wrong keys six times over, and waits each time until they are read.
    line("keys_retry_seconds", "1".to_owned());
    if operator.asks_psc {
        line("userinfo", quoted(&door.userinfo_endpoint()));
        line("[psc.introspection]", String::new());
        line("url", quoted(&door.introspection_endpoint()));
        line("client_id", quoted(CLIENT_ID));
        line("client_secret_file", quoted("../psc/client-secret"));
    }
    line("[listen]", String::new());
    line("imap", home(own.imap));
    line("submission", home(own.submission));
    line("imap_app", home(own.imap_app));
    line("submission_app", home(own.submission_app));
    line("mx", quoted(&mx.to_string()));
    line("autoconfig", home(own.autoconfig));
    line("[public]", String::new());
    line("host", quoted(&operator.host("lps")));
    line("host_app", quoted(&operator.host("app")));
    line("imap_port", own.imap.to_string());
    line("submission_port", own.submission.to_string());
    line("imap_app_port", own.imap_app.to_string());
    line("submission_app_port", own.submission_app.to_string());
    line("[monitoring]", String::new());
    line("listen", home(own.monitoring));
    // A laptop may have little room, and nobody calls anybody for it.
    line("least_free_mib", "64".to_owned());
    // Whoever measures how fast the server is must not measure its limits.
    line("[rates]", String::new());
    for key in [
        "sessions_per_mailbox",
        "logins_per_minute_per_mailbox",
        "logins_per_minute_per_address",
        "refusals_per_minute_per_address",
        "messages_per_hour",
        "mib_per_minute",
    ] {
        line(key, "0".to_owned());
    }
    line("[relay]", String::new());
    line("port", ports.relay.to_string());
    line("nameserver", home(ports.dns));
    line("first_retry_seconds", FIRST_RETRY.to_string());
    line("distrust_seconds", DISTRUST.to_string());
    Ok(format!(
        "# Operator {} of a sandbox. Written anew by `vaguemestre sandbox` at each start: changes made here are lost.\n\
         # Every key is explained in docs/vaguemestre.toml.\n{text}",
        operator.name
    ))
}

/// Writes the configuration of an operator and reads it as `vaguemestre serve` would.
pub(crate) fn configure(index: usize, layout: &Layout, ports: &Ports, pki: &Pki) -> Result<Config, SandboxError> {
    let name = OPERATORS[index].name;
    let folder = layout.operator(name);
    std::fs::create_dir_all(&folder).map_err(SandboxError::file(&folder))?;
    let path = layout.config(name);
    std::fs::write(&path, configuration(index, ports, pki)?).map_err(SandboxError::file(&path))?;
    Config::load(&path).map_err(|problems| SandboxError::Config {
        name,
        problems: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    })
}

/// Makes the mailboxes of an operator that are not there yet, and gives its ORG to those who use it. What somebody changed
/// since (rights ended, mailboxes of their own) is left alone.
pub(crate) async fn populate(index: usize, store: &dyn Store, clock: &SharedClock) -> Result<(), SandboxError> {
    let name = OPERATORS[index].name;
    let failed = |error| SandboxError::Store { name, error };
    let now = seconds(clock.now());
    for mailbox in cast::MAILBOXES.iter().filter(|mailbox| mailbox.operator == name) {
        let address = mailbox.address().parse().map_err(SandboxError::setup("the cast"))?;
        if store.mailbox(&address).await.map_err(failed)?.is_some() {
            continue;
        }
        let holder = match mailbox.holder {
            cast::Holder::Person(id) => Holder::Person(id.parse().map_err(SandboxError::setup("the cast"))?),
            cast::Holder::Service(_) | cast::Holder::Application => {
                Holder::Structure(mailbox.operator().structure.id.parse().map_err(SandboxError::setup("the cast"))?)
            }
        };
        let new = NewMailbox {
            address,
            kind: mailbox.kind(),
            holder,
            label: mailbox.label.to_owned(),
            quota: Quota::default(),
            created_at: now,
        };
        let id = store.create_mailbox(new).await.map_err(failed)?;
        if let cast::Holder::Service(users) = mailbox.holder {
            for user in users {
                let person = user.parse().map_err(SandboxError::setup("the cast"))?;
                store.grant(id, Right { person, role: Role::Member, from: now, until: None }).await.map_err(failed)?;
            }
        }
    }
    Ok(())
}
