//! `GET https://autoconfig.<domain>/mail/config-v1.1.xml`: one request, no redirection followed, no proxy, an answer of limited size
//! and time, over a connection whose address and certificate were checked as for mail.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use mssante::Domain;
use tokio::time::timeout;
use trust::tls::Profile;

use super::DiscoverError;
use super::document::{DocumentError, MAX_DOCUMENT};
use crate::account::Endpoint;
use crate::space::Space;

/// The path every operator has it at.
const PATH: &str = "/mail/config-v1.1.xml";
/// Request and answer, once connected.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// What hyper may buffer of an answer's head.
const MAX_HEAD: usize = 16 * 1024;

/// A document fetched.
pub(super) struct Fetched {
    pub body: Vec<u8>,
    /// How long it may be used without asking again, as the server says; none: it says nothing.
    pub max_age: Option<Duration>,
    /// Whether it may be kept at all.
    pub keep: bool,
}

/// Fetches the document of a domain.
pub(super) async fn fetch(space: &Space, domain: &Domain) -> Result<Fetched, DiscoverError> {
    let host = format!("autoconfig.{domain}");
    let endpoint = Endpoint { host: host.clone(), port: space.autoconfig_port(domain) };
    let tcp = space.dial(&endpoint).await?;
    let connector = space.connector_of(Profile::Https, None)?;
    let tls = connector.connect(&host, tcp).await.map_err(|error| DiscoverError::Tls { host: host.clone(), error })?;
    let broken = |error: hyper::Error| DiscoverError::Http { host: host.clone(), why: error.to_string() };
    let exchange = async {
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (mut sender, connection) = builder.handshake(TokioIo::new(tls)).await.map_err(broken)?;
        // Ends with the exchange: whoever drops the sender ends the connection.
        let driver = tokio::spawn(connection);
        let authority = match endpoint.port {
            443 => host.clone(),
            port => format!("{host}:{port}"),
        };
        let request = Request::get(PATH)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("vaguemestre/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "text/xml, application/xml")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| DiscoverError::Http { host: host.clone(), why: error.to_string() })?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        if answer.status().is_redirection() {
            return Err(DiscoverError::Redirected { host: host.clone() });
        }
        if answer.status() != StatusCode::OK {
            return Err(DiscoverError::Status { host: host.clone(), status: answer.status().as_u16() });
        }
        let (keep, max_age) = caching(answer.headers());
        let body = Limited::new(answer.into_body(), MAX_DOCUMENT).collect().await.map_err(|error| {
            match error.downcast_ref::<LengthLimitError>() {
                Some(_) => DiscoverError::Document { host: host.clone(), error: DocumentError::TooLarge },
                None => DiscoverError::Http { host: host.clone(), why: error.to_string() },
            }
        })?;
        driver.abort();
        Ok(Fetched { body: body.to_bytes().to_vec(), max_age, keep })
    };
    timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(DiscoverError::Silent { host: host.clone() }))
}

/// RFC 9111 §5.2.2, as far as a single document needs it.
fn caching(headers: &hyper::HeaderMap) -> (bool, Option<Duration>) {
    let mut keep = true;
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => keep = false,
                "no-cache" => max_age = Some(Duration::ZERO),
                "max-age" if max_age != Some(Duration::ZERO) => {
                    let seconds = argument.trim().trim_matches('"').parse::<u32>();
                    max_age = Some(Duration::from_secs(seconds.unwrap_or(0).into()));
                }
                _ => {}
            }
        }
    }
    (keep, max_age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_of_keeping() {
        let said = |value: &'static str| {
            let mut headers = hyper::HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().expect("a value"));
            caching(&headers)
        };
        assert_eq!(caching(&hyper::HeaderMap::new()), (true, None));
        assert_eq!(said("public, max-age=600"), (true, Some(Duration::from_secs(600))));
        assert_eq!(said("Max-Age=\"60\""), (true, Some(Duration::from_secs(60))));
        assert_eq!(said("max-age=abc"), (true, Some(Duration::ZERO)));
        assert_eq!(said("no-cache, max-age=600"), (true, Some(Duration::ZERO)));
        assert_eq!(said("no-store"), (false, None));
    }
}
