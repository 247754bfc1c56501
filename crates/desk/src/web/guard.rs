//! Who asks: the cookie of a session, and forms that carry its key.
//!
//! Invariants: the cookie is `__Host-`, `Secure`, `HttpOnly`, `SameSite=Strict`; a form that changes something has the session's key, compared in
//! constant time; a browser that says that another site sent the request is refused, signed in or not.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::layout;
use crate::Desk;
use crate::account::secret::same;
use crate::db::Session;
use crate::error::{Broken, Refusal};
use crate::html::link;

/// The name of the cookie.
const COOKIE: &str = "__Host-controle";
/// The hidden field that holds the key of the session's forms.
pub(super) const FORM_KEY: &str = "cle";
/// Largest form: a job and some fields.
const LARGEST_FORM: usize = 2 * crate::compose::LONGEST;
/// Most fields of a form.
const MOST_FIELDS: usize = 300;

/// A cookie that lives as long as the browser, and the session at most.
pub(super) fn cookie(word: &str) -> HeaderValue {
    // The word is base64url: always a header value.
    HeaderValue::try_from(format!("{COOKIE}={word}; Path=/; Secure; HttpOnly; SameSite=Strict"))
        .unwrap_or(HeaderValue::from_static(""))
}

/// Ends the cookie.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-controle=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// What the cookie holds.
fn word(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, COOKIE)
}

/// What a cookie holds.
pub(super) fn cookie_named<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

async fn session(parts: &Parts, desk: &Desk) -> Result<Option<Session>, Broken> {
    match word(&parts.headers) {
        Some(word) => desk.db().session(word, desk.now()).await,
        None => Ok(None),
    }
}

/// A refusal as a page.
pub(crate) struct Failure {
    desk: Desk,
    session: Option<Box<Session>>,
    refusal: Refusal,
    /// Where to come back after signing in.
    back: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if matches!(self.refusal, Refusal::Unsigned) {
            return Redirect::to(&link("/connexion", &[("suite", &self.back)])).into_response();
        }
        if let Refusal::Broken(error) = &self.refusal {
            tracing::error!("{error}");
        }
        if let Refusal::Away(cause) = &self.refusal {
            tracing::warn!("the database is away: {cause}");
        }
        layout::refusal(&self.desk, self.session.as_deref(), &self.refusal)
    }
}

/// Anybody, signed in or not.
pub(crate) struct Visitor {
    pub desk: Desk,
    pub session: Option<Session>,
}

impl Visitor {
    /// A page that says no.
    pub fn fails(self, refusal: Refusal) -> Failure {
        Failure { desk: self.desk, session: self.session.map(Box::new), refusal, back: String::new() }
    }
}

impl FromRequestParts<Desk> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Visitor, Failure> {
        let found = session(parts, desk).await.map_err(|error| Failure {
            desk: desk.clone(),
            session: None,
            refusal: error.into(),
            back: String::new(),
        })?;
        Ok(Visitor { desk: desk.clone(), session: found.filter(|session| session.is_whole) })
    }
}

/// Somebody whose password was right; a second factor may still be missing.
pub(crate) struct Entering {
    pub desk: Desk,
    pub session: Session,
}

impl FromRequestParts<Desk> for Entering {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Entering, Failure> {
        let failure = |refusal| Failure { desk: desk.clone(), session: None, refusal, back: String::new() };
        match session(parts, desk).await {
            Ok(Some(session)) => Ok(Entering { desk: desk.clone(), session }),
            Ok(None) => Err(failure(Refusal::Unsigned)),
            Err(error) => Err(failure(error.into())),
        }
    }
}

/// Somebody signed in, with a second factor when that is asked for.
pub(crate) struct Signed {
    pub desk: Desk,
    pub session: Session,
}

impl Signed {
    /// A page that says no.
    pub fn fails(&self, refusal: Refusal) -> Failure {
        let session = Some(Box::new(self.session.clone()));
        Failure { desk: self.desk.clone(), session, refusal, back: String::new() }
    }

    /// For `?`.
    pub fn or_fails<T, E: Into<Refusal>>(&self, result: Result<T, E>) -> Result<T, Failure> {
        result.map_err(|error| self.fails(error.into()))
    }

    /// Who that is.
    pub fn who(&self) -> crate::acts::Who {
        (&self.session).into()
    }
}

/// Not signed in, or a step is missing.
pub(crate) enum NotYet {
    Failure(Failure),
    Step(&'static str),
}

impl IntoResponse for NotYet {
    fn into_response(self) -> Response {
        match self {
            NotYet::Failure(failure) => failure.into_response(),
            NotYet::Step(path) => Redirect::to(path).into_response(),
        }
    }
}

impl FromRequestParts<Desk> for Signed {
    type Rejection = NotYet;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Signed, NotYet> {
        let back = parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let Entering { desk, session } = Entering::from_request_parts(parts, desk)
            .await
            .map_err(|failure| NotYet::Failure(Failure { back, ..failure }))?;
        if !session.is_whole {
            return Err(NotYet::Step("/connexion/code"));
        }
        // The provider's second factor stands for ours when the configuration says how it is told.
        let is_strong = session.federation.as_ref().is_some_and(|federation| federation.is_strong);
        let is_needed = desk.settings().second_factor && session.account.totp.is_none();
        if (is_needed || session.account.must_enrol()) && !is_strong {
            return Err(NotYet::Step("/compte/facteur"));
        }
        Ok(Signed { desk, session })
    }
}

/// The fields of a form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Input(Vec<(String, String)>);

impl Input {
    /// The first value of a field, without the spaces around it; nothing when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// Every value of a field that is not empty.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a box is ticked.
    pub fn is_on(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// The parameters of an address.
    pub fn of_query(query: &str) -> Input {
        Input(form_urlencoded::parse(query.as_bytes()).take(MOST_FIELDS).map(|(k, v)| (k.into(), v.into())).collect())
    }

    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Input {
        Input(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// The parameters of the address.
pub(crate) struct Asked(pub Input);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked, Self::Rejection> {
        Ok(Asked(Input::of_query(parts.uri.query().unwrap_or_default())))
    }
}

/// Whether a browser says that another site sent this.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        // An older browser, or a program.
        None => match (text("origin"), text("host")) {
            (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, name)| name != host),
            _ => false,
        },
    }
}

/// A form of nobody in particular: signing in.
pub(crate) struct Sent {
    pub desk: Desk,
    pub input: Input,
}

impl FromRequest<Desk> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, desk: &Desk) -> Result<Sent, Failure> {
        let failure = |refusal| Failure { desk: desk.clone(), session: None, refusal, back: String::new() };
        if is_foreign(request.headers()) {
            return Err(failure(Refusal::Stale));
        }
        let too_large = |_| failure(Refusal::Conflict("Ce formulaire est trop grand."));
        let body = axum::body::to_bytes(request.into_body(), LARGEST_FORM).await.map_err(too_large)?;
        let fields = form_urlencoded::parse(&body).take(MOST_FIELDS);
        let input = Input(fields.map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n"))).collect());
        Ok(Sent { desk: desk.clone(), input })
    }
}

/// A form of somebody signed in.
pub(crate) struct Posted {
    pub signed: Signed,
    pub input: Input,
}

impl FromRequest<Desk> for Posted {
    type Rejection = NotYet;

    async fn from_request(request: Request, desk: &Desk) -> Result<Posted, NotYet> {
        let (mut parts, body) = request.into_parts();
        let signed = Signed::from_request_parts(&mut parts, desk).await?;
        let Sent { input, .. } =
            Sent::from_request(Request::from_parts(parts, body), desk).await.map_err(NotYet::Failure)?;
        if !is_key(&signed.session, &input) {
            return Err(NotYet::Failure(signed.fails(Refusal::Stale)));
        }
        Ok(Posted { signed, input })
    }
}

/// A form of somebody whose second factor is still missing.
pub(crate) struct Completing {
    pub desk: Desk,
    pub session: Session,
    pub input: Input,
}

impl FromRequest<Desk> for Completing {
    type Rejection = Failure;

    async fn from_request(request: Request, desk: &Desk) -> Result<Completing, Failure> {
        let (mut parts, body) = request.into_parts();
        let Entering { session, .. } = Entering::from_request_parts(&mut parts, desk).await?;
        let Sent { input, .. } = Sent::from_request(Request::from_parts(parts, body), desk).await?;
        if !is_key(&session, &input) {
            let back = String::new();
            return Err(Failure { desk: desk.clone(), session: None, refusal: Refusal::Stale, back });
        }
        Ok(Completing { desk: desk.clone(), session, input })
    }
}

fn is_key(session: &Session, input: &Input) -> bool {
    is_form_key(session, input.get(FORM_KEY).as_bytes())
}

/// Whether that is the key of the session's forms.
pub(super) fn is_form_key(session: &Session, said: &[u8]) -> bool {
    same(said, session.form_key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_are_told_from_ours() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            is_foreign(&pairs.iter().map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect())
        };
        assert!(foreign(&[("sec-fetch-site", "cross-site")]) && foreign(&[("sec-fetch-site", "same-site")]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin"), ("origin", "https://x")]));
        assert!(
            foreign(&[("origin", "https://evil.test"), ("host", "a.test")])
                && foreign(&[("origin", "null"), ("host", "a.test")])
        );
        assert!(!foreign(&[("origin", "https://a.test:8443"), ("host", "a.test:8443")]) && !foreign(&[]));
    }

    #[test]
    fn the_cookie_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; __Host-controlex=no; __Host-controle=yes"));
        assert_eq!(word(&headers), Some("yes"));
        assert_eq!(word(&HeaderMap::new()), None);
    }
}
