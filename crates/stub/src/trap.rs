//! The trap address: what `jku`, `x5u` and redirections point to. It serves whatever bait was laid, and every fetch is kept as
//! forbidden. JWT-14, RES-03

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::realm::Realm;

/// Longest bait.
pub(crate) const MAX_BAIT: usize = 16 * 1024;
/// Baits at once.
pub(crate) const MAX_BAITS: usize = 1_000;

/// What a trap serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bait {
    /// Its media type.
    #[serde(rename = "type", default = "json")]
    pub media_type: String,
    /// The document.
    pub body: String,
}

fn json() -> String {
    "application/json".to_owned()
}

impl Default for Bait {
    fn default() -> Bait {
        Bait { media_type: json(), body: r#"{"keys":[]}"#.to_owned() }
    }
}

/// `GET /piege/<name>`.
pub(crate) async fn serve(State(realm): State<Realm>, Path(name): Path<String>) -> Response {
    let bait = realm.bait(&name);
    // Only what can stand in a header: what is told by a campaign is checked when it comes.
    ([(header::CONTENT_TYPE, bait.media_type), (header::CACHE_CONTROL, "no-store".to_owned())], bait.body)
        .into_response()
}
