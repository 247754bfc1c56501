//! The pages a browser is shown at the end of a login. French, as everything people see; nothing in them comes from a request.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::explain::{Explain, Language};

/// Nothing is loaded, framed, kept or told to the next site: the address of the page holds a code.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
];

/// Adds the headers every answer of a login has.
pub(super) fn guarded(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:4em auto;padding:0 1em}}</style></head>\n\
         <body><h1>{title}</h1><p>{text}</p></body></html>\n",
        title = escape(title),
        text = escape(text),
    );
    guarded((status, Html(body)).into_response())
}

/// The person is logged in.
pub(super) fn done() -> Response {
    page(StatusCode::OK, "Vous êtes connecté", "Vous pouvez fermer cette page et revenir à votre logiciel.")
}

/// The login failed.
pub(super) fn failed(error: &dyn Explain) -> Response {
    let text = format!("{}. {}", error.message(Language::French), error.remedy(Language::French));
    page(StatusCode::BAD_REQUEST, "La connexion a échoué", &text)
}

/// No login waits for this.
pub(super) fn nothing_here() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "Aucune connexion en cours",
        "Cette adresse ne sert qu'une fois, pendant une connexion. Recommencez depuis votre logiciel.",
    )
}

/// For text of HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
