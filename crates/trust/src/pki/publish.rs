//! The distribution point: the authorities' certificates and lists, and the OCSP service, at the paths the certificates point to.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{Ca, OcspManner, PkiError, TestAuthority};

/// The root's list.
pub const ROOT_CRL_PATH: &str = "/CRL/ACR-EL-TEST.crl";
/// The list of the authority of organisations.
pub const INTERMEDIATE_CRL_PATH: &str = "/CRL/ACI-EL-ORG-TEST.crl";
/// The root's certificate.
pub(super) const ROOT_PATH: &str = "/AC%20TEST/ACR-EL-TEST.cer";
/// The certificate of the authority of organisations.
pub(super) const INTERMEDIATE_PATH: &str = "/AC%20TEST/ACI-EL-ORG-TEST.cer";
/// The OCSP service.
pub const OCSP_PATH: &str = "/ocsp";

/// Serves the authority's lists (fresh at each request) and certificates, as `http://igc-sante.esante.gouv.fr` does, and its OCSP
/// service (POST, and GET with the request in the path: RFC 6960, appendix A), as `http://ocsp.esante.gouv.fr`.
pub fn router(authority: Arc<TestAuthority>) -> Router {
    let lists = Arc::clone(&authority);
    let asked = Arc::clone(&authority);
    Router::new()
        .route(
            OCSP_PATH,
            post(move |body: Bytes| {
                let authority = Arc::clone(&authority);
                async move { ocsp(&authority, &body) }
            }),
        )
        .route(
            &format!("{OCSP_PATH}/{{*request}}"),
            get(move |Path(request): Path<String>| {
                let authority = Arc::clone(&asked);
                // what is no base 64 is an ill-formed request, which has an answer
                async move { ocsp(&authority, &openssl::base64::decode_block(&request).unwrap_or_default()) }
            }),
        )
        .fallback(move |uri: Uri| {
            let authority = Arc::clone(&lists);
            async move { answer(&authority, uri.path()) }
        })
}

fn ocsp(authority: &TestAuthority, request: &[u8]) -> Response {
    match authority.ocsp(request, OcspManner::Honest) {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/ocsp-response")], answer).into_response(),
        Err(error) => {
            tracing::error!(%error, "the test authority cannot answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn answer(authority: &TestAuthority, path: &str) -> Response {
    const CRL: &str = "application/pkix-crl";
    const CERTIFICATE: &str = "application/pkix-cert";
    let (kind, body): (_, Result<Vec<u8>, PkiError>) = match path {
        ROOT_CRL_PATH => (CRL, authority.crl_der(Ca::Root)),
        INTERMEDIATE_CRL_PATH => (CRL, authority.crl_der(Ca::Organizations)),
        ROOT_PATH => (CERTIFICATE, authority.root().to_der().map_err(PkiError::from)),
        INTERMEDIATE_PATH => (CERTIFICATE, authority.intermediate().to_der().map_err(PkiError::from)),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match body {
        Ok(body) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "the test authority cannot publish");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
