//! Autoconfiguration over HTTPS (LPS-AUTOCONF): `/mail/config-v1.1.xml` in Mozilla's format, with the two entry points.
//!
//! The answer depends on nothing the asker says (`?emailaddress=` is read by nobody), so it tells nothing of who exists.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use faults::Fault;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::config::Config;

/// The pages: the configuration, and the same at the well-known path.
pub fn router(config: &Config) -> Router {
    let document: Arc<str> = document(config).into();
    let defective = faults::ARMED.then(|| Arc::new(config.clone()));
    let answer = move || {
        let document = match &defective {
            Some(config) => self::document(config).into(),
            None => document.clone(),
        };
        async move {
            (
                if faults::is_on(Fault::AutoconfigAbsent) { StatusCode::NOT_FOUND } else { StatusCode::OK },
                [(header::CONTENT_TYPE, "text/xml; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")],
                document.to_string(),
            )
        }
    };
    Router::new()
        .route("/mail/config-v1.1.xml", get(answer.clone()))
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(answer))
}

/// The document itself.
pub fn document(config: &Config) -> String {
    let public = &config.public;
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = (|| -> std::io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.create_element("clientConfig").with_attribute(("version", "1.1")).write_inner_content(|xml| {
            let main = config.domains()[0].as_str();
            xml.create_element("emailProvider").with_attribute(("id", main)).write_inner_content(|xml| {
                for domain in config.domains().iter().filter(|_| !faults::is_on(Fault::AutoconfigDomain)) {
                    text(xml, "domain", domain.as_str())?;
                }
                text(xml, "displayName", &config.operator.name)?;
                text(xml, "displayShortName", &config.operator.name)?;
                // The first block of each type is the preferred one: Pro Santé Connect.
                let entries = [
                    ("incomingServer", "imap", &public.host, public.imap_port, "OAuth2"),
                    ("incomingServer", "imap", &public.host_app, public.imap_app_port, "TLS-client-cert"),
                    ("outgoingServer", "smtp", &public.host, public.submission_port, "OAuth2"),
                    ("outgoingServer", "smtp", &public.host_app, public.submission_app_port, "TLS-client-cert"),
                ];
                for (element, kind, host, port, authentication) in entries {
                    let is_app = authentication == "TLS-client-cert";
                    if is_app && faults::is_on(Fault::AutoconfigNoApp) {
                        continue;
                    }
                    let host = match host {
                        _ if is_app && faults::is_on(Fault::AutoconfigLiteral) => "192.0.2.1",
                        _ if !is_app && faults::is_on(Fault::AutoconfigOtherHost) => "ailleurs.invalid.mssante.fr",
                        host => host,
                    };
                    xml.create_element(element).with_attribute(("type", kind)).write_inner_content(|xml| {
                        text(xml, "hostname", host)?;
                        text(xml, "port", &port.to_string())?;
                        text(xml, "socketType", "STARTTLS")?;
                        let is_local = faults::is_on(Fault::AutoconfigUser);
                        text(xml, "username", if is_local { "%EMAILLOCALPART%" } else { "%EMAILADDRESS%" })?;
                        text(xml, "authentication", authentication)
                    })?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    })();
    written.expect("writing to memory does not fail");
    String::from_utf8(xml.into_inner()).expect("made of text")
}

fn text(xml: &mut Writer<Vec<u8>>, element: &str, content: &str) -> std::io::Result<()> {
    xml.create_element(element).write_text_content(BytesText::new(content)).map(|_| ())
}
