//! The whole service: one realm at the root when there is one, and one for each operator's alias, added and taken away while it runs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use crate::{Alias, Psc, Realm, Service};

type Served = BTreeMap<Option<Alias>, (Realm, Router)>;

/// Realms of one origin. Cheap to clone.
#[derive(Clone)]
pub struct Realms {
    home: Psc,
    served: Arc<Mutex<Served>>,
}

impl Realms {
    /// None yet, at this origin.
    #[must_use]
    pub fn new(home: Psc) -> Realms {
        Realms { home, served: Arc::default() }
    }

    fn served(&self) -> std::sync::MutexGuard<'_, Served> {
        // Every change is one insertion or removal.
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the realm of an alias is, there or not; of none: the root's.
    #[must_use]
    pub fn addresses(&self, alias: Option<&Alias>) -> Psc {
        alias.map_or_else(|| self.home.clone(), |alias| self.home.of(alias))
    }

    /// Opens a realm, or opens it anew with other keys or people: what it was told is forgotten.
    pub fn open(&self, alias: Option<Alias>, service: Service) -> Realm {
        let realm = Realm::new(self.addresses(alias.as_ref()), service);
        self.serve(alias, realm.clone());
        realm
    }

    /// Opens another door of a realm, under an alias: whoever comes by it is told apart from the others. The same issuer, keys and tokens.
    pub fn open_door(&self, alias: Alias, realm: &Realm) -> Realm {
        let door = realm.door(self.addresses(Some(&alias)));
        self.serve(Some(alias), door.clone());
        door
    }

    fn serve(&self, alias: Option<Alias>, realm: Realm) {
        let router = match &alias {
            None => realm.router(),
            Some(alias) => Router::new().nest(&alias.path(), realm.router()),
        };
        self.served().insert(alias, (realm, router));
    }

    /// A realm that is open.
    pub fn get(&self, alias: Option<&Alias>) -> Option<Realm> {
        self.served().get(&alias.cloned()).map(|(realm, _)| realm.clone())
    }

    /// Closes a realm.
    pub fn close(&self, alias: &Alias) {
        self.served().remove(&Some(alias.clone()));
    }

    /// Serves all of them, those opened later too.
    pub fn router(&self) -> Router {
        let realms = self.clone();
        Router::new().fallback(move |request: Request| {
            let realms = realms.clone();
            async move { realms.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        let alias = request.uri().path().strip_prefix("/b/").map(|rest| rest.split('/').next().unwrap_or(rest));
        let key = match alias.map(Alias::new) {
            None => None,
            Some(Some(alias)) => Some(alias),
            Some(None) => return StatusCode::NOT_FOUND.into_response(),
        };
        let router = self.served().get(&key).map(|(_, router)| router.clone());
        match router {
            Some(router) => router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}
