//! The application over HTTP, without a network: pages as a browser without script sees them, and the API.

mod access;
mod api;
mod campaigns;
mod contract;
mod contract_identities;
mod domains;
mod factors;
mod hosting;
mod load;
mod names;
mod outage;
mod postgres;
mod provider;
mod regulator;
mod roles;
mod sign_in;
mod signature;
mod software;
mod surveillance;

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use desk::account::role::Role;
use desk::account::secret::Cost;
use desk::db::{Db, Reach};
use desk::{Desk, Settings, Template};
use patience::PATIENCE;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use trust::SystemClock;

/// Why a campaign is launched although nothing listens where its job says.
pub const REASON: &str = "rien n'écoute, et c'est voulu";
pub const PASSWORD: &str = "un mot de passe d'essai";

/// What alpha's user writes; nothing listens there.
pub const JOB: &str = "plan = \"annuaire\"\nname = \"affaire d'alpha\"\n[operator]\nname = \"Alpha\"\ndomains = [\"alpha.test\"]\n[api_lps]\n\
    imap = { address = \"127.0.0.1:143\", name = \"lps.alpha.test\" }\nsmtp = { address = \"127.0.0.1:587\", name = \"lps.alpha.test\" }\n";

/// An application with two operators, and accounts of every kind.
pub struct Stage {
    pub desk: Desk,
    pub router: Router,
    pub shutdown: CancellationToken,
    pub folder: tempfile::TempDir,
}

pub fn settings(folder: &Path) -> Settings {
    std::fs::write(folder.join("modele.toml"), "[limits]\npatience_seconds = 1\n").expect("written");
    Settings {
        folder: folder.to_owned(),
        database: None,
        hosting: None,
        proof: None,
        url: "https://controle.test".to_owned(),
        title: "Essai".to_owned(),
        campaigns: 2,
        second_factor: false,
        cost: Cost::KNOWN,
        templates: vec![Template {
            name: "essai".to_owned(),
            title: "Essai".to_owned(),
            path: folder.join("modele.toml"),
            organisation: None,
        }],
        factor_key: None,
        oidc: None,
        signature: None,
        client: None,
        clock: SystemClock::shared(),
    }
}

impl Stage {
    pub async fn new() -> Stage {
        Stage::with(|_, _| ()).await
    }

    /// The same, its settings changed before it opens.
    pub async fn with(change: impl FnOnce(&Path, &mut Settings)) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let (shutdown, mut settings) = (CancellationToken::new(), settings(folder.path()));
        change(folder.path(), &mut settings);
        let desk = Desk::with(Db::in_memory().expect("memory"), settings, shutdown.clone()).await.expect("a desk");
        let reach = |domain: &str| Reach {
            domains: vec![domain.to_owned()],
            ranges: vec!["127.0.0.0/8".parse().expect("a range")],
            ports: vec![],
        };
        let operators = [("Alpha", "alpha.test"), ("Beta", "beta.test")];
        for (name, domain) in operators {
            let login = name.to_lowercase();
            for (suffix, role) in [
                ("", Role::AdministrateurOperateur),
                ("-lecteur", Role::Lecteur),
                ("-testeur", Role::Testeur),
                ("-signataire", Role::Signataire),
            ] {
                let organisation = Some((name, reach(domain)));
                desk.provide(organisation, &format!("{login}{suffix}"), role, PASSWORD).await.expect("an account");
            }
        }
        let above =
            [("regulateur", Role::Regulateur), ("instructeur", Role::Instructeur), ("admin", Role::Administrateur)];
        for (login, role) in above {
            desk.provide(None, login, role, PASSWORD).await.expect("an account");
        }
        Stage { router: desk.router(), desk, shutdown, folder }
    }

    pub fn run_campaigns(&self) {
        tokio::spawn(self.desk.clone().schedule());
    }

    /// A browser nobody is signed in with.
    pub fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: String::new(), key: String::new() }
    }

    /// A browser somebody is signed in with.
    pub async fn signed(&self, login: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.post("/connexion", &[("login", login), ("mot_de_passe", PASSWORD)]).await;
        assert_eq!((answer.status, answer.to.as_str()), (StatusCode::SEE_OTHER, "/"), "{login}: {}", answer.text);
        browser.get("/compte").await;
        browser
    }

    /// A job of alpha's; its id.
    pub async fn job(&self, alpha: &mut Browser) -> String {
        let answer = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", JOB)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned()
    }

    /// A campaign of alpha's that is over; its id.
    pub async fn campaign(&self, alpha: &mut Browser, job: &str) -> String {
        let answer = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("motif", REASON)]).await;
        let place = answer.to.clone();
        assert!(place.starts_with("/campagnes/"), "{}", answer.text);
        // It tells nothing of its end but by its stream, which ends with it.
        let stream = alpha.get(&format!("{place}/flux?depuis=0")).await;
        assert!(stream.text.contains("event: fin"), "{}", stream.text);
        place.trim_start_matches("/campagnes/").to_owned()
    }
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub to: String,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}

/// A browser without script.
#[derive(Clone)]
pub struct Browser {
    pub router: Router,
    pub cookie: String,
    pub key: String,
}

impl Browser {
    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4000))));
        if !self.cookie.is_empty() {
            request.headers_mut().insert(header::COOKIE, self.cookie.parse().expect("a header"));
        }
        let sent = tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request));
        let response = sent.await.expect("in time").expect("infallible");
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            let pair = cookie.split(';').next().expect("a pair");
            let name = pair.split_once('=').expect("a name").0;
            let others = self.cookie.split("; ").filter(|one| one.split('=').next() != Some(name) && !one.is_empty());
            let kept = others.chain((!cookie.contains("Max-Age=0")).then_some(pair));
            self.cookie = kept.collect::<Vec<_>>().join("; ");
        }
        let to = headers.get(header::LOCATION).map(|to| to.to_str().expect("text").to_owned()).unwrap_or_default();
        let body = tokio::time::timeout(PATIENCE, to_bytes(response.into_body(), 64 << 20));
        let octets = body.await.expect("in time").expect("a body").to_vec();
        let is_text = headers.get(header::CONTENT_TYPE).is_none_or(|kind| {
            let kind = kind.to_str().expect("text");
            !["application/pdf", "application/pkcs7-signature"].contains(&kind)
        });
        let text = match is_text {
            true => String::from_utf8(octets).expect("UTF-8"),
            false => String::from_utf8_lossy(&octets).into_owned(),
        };
        if let Some(at) = text.find("name=\"cle\" value=\"") {
            self.key = text[at + 18..].split('"').next().expect("a key").to_owned();
        }
        Answer { status, to, headers, text }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Fills a form; the key of the session's forms comes by itself.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("cle", &self.key);
        for (name, value) in fields {
            body.append_pair(name, value);
        }
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.finish())).expect("a request")).await
    }

    /// Gives a file by a form.
    pub async fn give(&mut self, path: &str, octets: &[u8]) -> Answer {
        let mut body = format!(
            "--limite\r\nContent-Disposition: form-data; name=\"cle\"\r\n\r\n{}\r\n--limite\r\n\
             Content-Disposition: form-data; name=\"fichier\"; filename=\"f.p7s\"\r\nContent-Type: application/octet-stream\r\n\r\n",
            self.key
        )
        .into_bytes();
        body.extend_from_slice(octets);
        body.extend_from_slice(b"\r\n--limite--\r\n");
        let request = Request::post(path).header("content-type", "multipart/form-data; boundary=limite");
        self.send(request.body(Body::from(body)).expect("a request")).await
    }

    /// The API by a token.
    pub async fn call(&mut self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::from(body.to_owned())).expect("a request")).await
    }

    /// A token of whoever is signed in.
    pub async fn token(&mut self) -> String {
        self.token_of("essai").await
    }

    /// The same, for that use.
    pub async fn token_of(&mut self, label: &str) -> String {
        // The key of this session's forms.
        self.get("/compte").await;
        let answer = self.post("/jetons", &[("nom", label)]).await;
        let at = answer.text.find("id=\"jeton\">").expect("shown once") + 11;
        answer.text[at..].split('<').next().expect("a token").to_owned()
    }
}
