//! The HTTP client.

use std::time::Duration;

use openssl::x509::X509;
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, redirect, tls};

/// Time to establish a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a server.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A whole exchange: the largest thing fetched, the white list, has 4 MB.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A request that gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An authority could not be used.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// Connection, TLS, time-out or protocol.
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    /// An answer other than 200.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// An answer larger than the caller's limit.
    #[error("answer larger than {0} bytes")]
    TooLarge(usize),
}

/// A client that believes these authorities only (none: plain HTTP only), follows no redirection, uses no proxy, speaks TLS 1.2 or
/// more and never waits for ever. Make one and keep it: it holds a pool of connections.
///
/// # Errors
/// An authority that cannot be used.
pub fn client(anchors: &[X509]) -> Result<Client, HttpError> {
    Ok(builder(Some(anchors))?.build()?)
}

/// The same, to be completed (a client certificate). Without `anchors` the machine's own authorities are believed: for services
/// outside the trust space only.
///
/// # Errors
/// An authority that cannot be used.
pub fn builder(anchors: Option<&[X509]>) -> Result<ClientBuilder, HttpError> {
    let mut builder = Client::builder().tls_backend_native();
    if let Some(anchors) = anchors {
        let mut roots = Vec::with_capacity(anchors.len());
        for anchor in anchors {
            roots.push(Certificate::from_der(&anchor.to_der()?)?);
        }
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder
        .tls_version_min(tls::Version::TLS_1_2)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .user_agent(concat!("vaguemestre/", env!("CARGO_PKG_VERSION"))))
}

/// The body of `url`, of at most `max` bytes.
///
/// # Errors
/// Anything but a 200 with a body within the limit.
pub async fn get_limited(client: &Client, url: &str, max: usize) -> Result<Vec<u8>, HttpError> {
    let response = client.get(url).send().await?;
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    read_limited(response, max).await
}

/// The body of a response, of at most `max` bytes; it is never buffered beyond.
///
/// # Errors
/// A larger body, or a broken connection.
pub async fn read_limited(mut response: Response, max: usize) -> Result<Vec<u8>, HttpError> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(HttpError::TooLarge(max));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max {
            return Err(HttpError::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
