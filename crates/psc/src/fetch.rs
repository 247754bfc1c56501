//! One bounded HTTP exchange with PSC.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, header};

/// Longest exchange with PSC: somebody is waiting to log in, and mail programs give up after some tens of seconds.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer read whole.
pub(crate) struct Answer {
    pub status: StatusCode,
    /// Media type without its parameters, in lower case.
    pub media_type: String,
    pub body: Vec<u8>,
}

/// Sends a request and reads at most `limit` octets. `None`: no answer, an interrupted one, or one that is too long.
///
/// Redirections are the client's policy; the one this crate is given follows none. Errors are dropped on purpose: reqwest's
/// may quote the address, and their detail changes nothing in what is answered.
pub(crate) async fn exchange(request: RequestBuilder, limit: usize) -> Option<Answer> {
    let mut response = request.timeout(EXCHANGE_TIMEOUT).send().await.ok()?;
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return None;
    }
    let media_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .unwrap_or_default();
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > limit {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(Answer { status, media_type, body })
}
