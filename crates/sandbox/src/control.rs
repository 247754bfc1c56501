//! `DIR/<operator>/control.toml`: the job of a campaign of the control application against that operator (docs/control.md), written anew
//! at each start; and `desk.toml`, the same for the application in the browser, whose users see of PSC what is their operator's alone.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::cast::{self, Holder, OPERATORS};
use crate::operators::quoted;
use crate::pki::control::{PEER, PEER_DOMAIN, app_refusals, peer_refusals};
use crate::psc::{Keys, Psc};
use crate::space::crl_url;
use crate::{Layout, Ports, SandboxError};

/// The template of an operator's jobs in the browser, in its folder.
pub(crate) const TEMPLATE: &str = "desk.toml";

/// Writes the files of each operator.
pub(crate) fn write(layout: &Layout, ports: &Ports, keys: &Keys) -> Result<(), SandboxError> {
    for (index, operator) in OPERATORS.iter().enumerate() {
        let whole = (crate::stand::url(ports.stand), crate::stand::KEY_FILE.to_owned());
        let own = (crate::stand::url_of(ports.stand, operator.name), crate::stand::key_file_of(operator.name));
        for (name, (url, key_file)) in [("control.toml", whole), (TEMPLATE, own)] {
            let path = layout.operator(operator.name).join(name);
            std::fs::write(&path, job(index, ports, keys, &url, &key_file)).map_err(SandboxError::file(&path))?;
        }
    }
    Ok(())
}

fn job(index: usize, ports: &Ports, keys: &Keys, stand: &str, stand_key: &str) -> String {
    let (operator, own) = (&OPERATORS[index], &ports.operators[index]);
    // The two people of the cast whose own BAL this operator keeps.
    let mut people = cast::MAILBOXES.iter().filter_map(|mailbox| match mailbox.holder {
        Holder::Person(id) if mailbox.operator == operator.name => Some((mailbox.address(), id)),
        _ => None,
    });
    let mut text = "# A campaign of `vaguemestre control run` against this operator of a sandbox. Written anew at each start: changes made \
                    here are lost.\n# Every key is explained in docs/control.md.\nplan = \"api-lps\"\nname = \"bac à sable\"\n"
        .to_owned();
    let home = |port: u16| quoted(&format!("127.0.0.1:{port}"));
    let server = |port: u16| format!("{{ address = {}, name = {} }}", home(port), quoted(&operator.host("lps")));
    let crl = |path| quoted(&crl_url(ports, path));
    let lines = [
        ("[operator]", String::new()),
        ("name", quoted(&format!("Opérateur {} (bac à sable)", operator.name))),
        ("domains", format!("[{}]", quoted(operator.domain))),
        ("solution", quoted("Vaguemestre")),
        ("version", quoted(env!("CARGO_PKG_VERSION"))),
        ("has_app", "true".to_owned()),
        ("[api_lps]", String::new()),
        ("private_addresses", "true".to_owned()),
        ("imap", server(own.imap)),
        ("smtp", server(own.submission)),
        ("autoconfig", home(own.autoconfig)),
        ("[trust]", String::new()),
        ("anchors", quoted("../pki/ca.pem")),
        ("crl", format!("[{}, {}]", crl(trust::pki::INTERMEDIATE_CRL_PATH), crl(trust::pki::ROOT_CRL_PATH))),
        ("[psc]", String::new()),
        ("issuer", quoted(&Psc::on(ports.psc).issuer())),
        ("key", quoted("../psc/signing.key")),
        ("kid", quoted(keys.signing.kid())),
        ("[stand]", String::new()),
        ("url", quoted(stand)),
        ("key_file", quoted(&format!("../{stand_key}"))),
        ("anchors", quoted("../pki/ca.pem")),
        ("reader", quoted(operator.name)),
        ("[limits]", String::new()),
        // Our own server: nobody is disturbed. With fewer, cases that log in are not over before the longest of them.
        ("parallel", "10".to_owned()),
        ("delivery_seconds", "60".to_owned()),
        // The stand has the operator fetch at once, and waits for it.
        ("settle_milliseconds", "200".to_owned()),
    ];
    let mut put = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = match key.starts_with('[') {
            true => writeln!(text, "\n{key}"),
            false => writeln!(text, "{key} = {value}"),
        };
    };
    for (key, value) in &lines {
        put(key, value);
    }
    if let (Some((address, idnat)), Some((other_address, other_idnat))) = (people.next(), people.next()) {
        put("[mailbox]", "");
        put("address", &quoted(&address));
        put("idnat", &quoted(idnat));
        put("other_address", &quoted(&other_address));
        put("other_idnat", &quoted(other_idnat));
    }
    put("[dns]", "");
    put("server", &home(ports.dns));
    let pair = |file: &str| {
        let path = |extension: &str| quoted(&format!("../pki/{file}.{extension}"));
        format!("{{ certificate = {}, key = {} }}", path("pem"), path("key"))
    };
    let mx = SocketAddr::new(ports.mx(index as u8 + 1), ports.relay).to_string();
    put("[operator_interface]", "");
    put("mx", &format!("[{{ address = {}, name = {} }}]", quoted(&mx), quoted(&operator.host("mx"))));
    put("other_domain", &quoted(OPERATORS[1 - index].domain));
    put("sender_must_match", "true");
    put("[operator_interface.peer]", "");
    put("domain", &quoted(PEER_DOMAIN));
    put("certificate", &quoted(&format!("../pki/{PEER}.pem")));
    put("key", &quoted(&format!("../pki/{PEER}.key")));
    put("[operator_interface.certificates]", "");
    for (name, file) in peer_refusals() {
        put(name, &pair(&file));
    }
    if let Some((address, nominal, refused)) = app_refusals(index) {
        let server = |port: u16| format!("{{ address = {}, name = {} }}", home(port), quoted(&operator.host("app")));
        put("[certificates]", "");
        put("imap", &server(own.imap_app));
        put("smtp", &server(own.submission_app));
        put("mailbox", &quoted(&address));
        put("nominal", &pair(&nominal));
        put("[certificates.refused]", "");
        for (name, file) in refused {
            put(name, &pair(&file));
        }
    }
    // The queues of a sandbox are quick, and so is its slow trap.
    put("[sending]", "");
    put("arrival_seconds", "60");
    put("retry_seconds", "120");
    put("notice_seconds", "60");
    put("repeat_seconds", "3");
    put("[directory]", "");
    put("url", &quoted(&crate::directory::url(ports.directory)));
    put("key_file", &quoted("../directory/api.key"));
    text
}
