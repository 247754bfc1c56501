//! `lps.toml`: the settings of mail software that works in this space (docs/editor.md), written anew at each start.

use std::fmt::Write;

use crate::cast::OPERATORS;
use crate::operators::quoted;
use crate::psc::Psc;
use crate::psc::keys::CLIENT_ID;
use crate::space::crl_url;
use crate::{Layout, Ports, SandboxError};

/// Writes the file.
pub(crate) fn write(layout: &Layout, ports: &Ports) -> Result<(), SandboxError> {
    let path = layout.lps();
    std::fs::write(&path, settings(ports)).map_err(SandboxError::file(&path))
}

/// One function per section: whoever adds a service to the space adds its section.
fn settings(ports: &Ports) -> String {
    [
        "# Mail software of a sandbox. Written anew by `vaguemestre sandbox` at each start: changes made here are lost.\n\
         # Every key is explained in docs/editor.md.\n"
            .to_owned(),
        software(),
        trust(ports),
        network(ports),
        psc(ports),
        directory(ports),
        "[traces]\nfolder = \"lps/traces\"\n".to_owned(),
        "[patients]\nlimit = 25000000\n".to_owned(),
    ]
    .join("\n")
}

fn software() -> String {
    let version = quoted(env!("CARGO_PKG_VERSION"));
    format!(
        "[software]\nnil = \"3734\"\nname = \"Vaguemestre LPS\"\nversion = {version}\nvendor = \"Vaguemestre\"\n\
         source_id = \"1.2.250.1.999.1.1\"\n"
    )
}

fn trust(ports: &Ports) -> String {
    let crl = |path| quoted(&crl_url(ports, path));
    format!(
        "[trust]\nanchors = \"pki/ca.pem\"\ncrl = [{}, {}]\nocsp = true\ncache = \"lps/cache\"\n",
        crl(trust::pki::INTERMEDIATE_CRL_PATH),
        crl(trust::pki::ROOT_CRL_PATH)
    )
}

fn network(ports: &Ports) -> String {
    let mut text = format!(
        "[network]\ndomains = []\nprivate_addresses = true\nnameserver = \"127.0.0.1:{}\"\n[network.autoconfig_ports]\n",
        ports.dns
    );
    for (operator, own) in OPERATORS.iter().zip(&ports.operators) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} = {}", quoted(operator.domain), own.autoconfig);
    }
    text
}

fn directory(ports: &Ports) -> String {
    let url = quoted(&crate::directory::url(ports.directory));
    let extraction = quoted(&crate::directory::extraction_url(ports.directory));
    format!(
        "# The real interface has a certificate of a public authority: leave anchors out there.\n[directory]\nurl = {url}\n\
         api_key_file = \"directory/api.key\"\nanchors = \"pki/ca.pem\"\nextraction = {extraction}\n\
         index = \"lps/directory.index\"\n"
    )
}

fn psc(ports: &Ports) -> String {
    let psc = Psc::on(ports.psc);
    let mut text = "[psc]\n".to_owned();
    for (key, value) in [
        ("issuer", psc.issuer()),
        ("client_id", CLIENT_ID.to_owned()),
        ("client_secret_file", "psc/client-secret".to_owned()),
        // The real PSC has a certificate of a public authority.
        ("anchors", "pki/ca.pem".to_owned()),
    ] {
        let _ = writeln!(text, "{key} = {}", quoted(&value));
    }
    text
}
