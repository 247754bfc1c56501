//! The code flow through the vendor's server: program, browser, vendor, PSC (issue 4 §2; client.md §3.2).

use std::sync::Arc;

use lps::login::browser::Browser;
use lps::login::vendor::{Site, SiteError, Vendor, VendorTokens};
use lps::{Explain, Space, TokenError, TokenSource};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use trust::SystemClock;
use url::Url;

use crate::login::{MARIE, PAUL, verified};
use crate::world::World;

struct Scene {
    world: World,
    space: Arc<Space>,
    site: Site,
    base: Url,
    vendor: CancellationToken,
}

impl Scene {
    async fn set() -> Scene {
        let world = World::start().await;
        let space = world.space();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let base: Url = format!("http://{address}/psc/").parse().expect("a URL");
        let provider = space.psc.clone().expect("a section [psc]");
        let routes = Vendor::new(provider, &base, SystemClock::shared()).expect("an address");
        assert_eq!(routes.redirect_uri().as_str(), format!("http://{address}/psc/retour"));
        let app = axum::Router::new().nest("/psc", routes.router());
        let vendor = CancellationToken::new();
        tokio::spawn(trust::http::serve(listener, None, app, vendor.clone()));
        let site = Site::new(base.clone(), None).expect("a site");
        Scene { world, space, site, base, vendor }
    }

    /// What the browser is answered: status, where it is sent, page. Redirections are the test's to follow.
    async fn get(&self, url: &str) -> (u16, Option<String>, String) {
        let http = trust::http::client(self.space.anchors().certificates()).expect("a client");
        let answer = http.get(url).send().await.expect("an answer");
        let to = answer.headers().get("location").map(|value| value.to_str().expect("text").to_owned());
        (answer.status().as_u16(), to, answer.text().await.expect("a page"))
    }

    /// From the vendor's `connexion` to where it sends the browser in the end.
    async fn through(&self, connexion: &str, person: &str) -> String {
        let (status, at_psc, _) = self.get(connexion).await;
        assert_eq!(status, 303);
        let at_psc = format!("{}&login_hint={person}", at_psc.expect("sent to PSC"));
        let back = self.get(&at_psc).await.1.expect("sent back");
        assert!(back.starts_with(self.base.as_str()), "{back}");
        let (status, home, _) = self.get(&back).await;
        assert_eq!(status, 303);
        assert_eq!(self.get(&back).await.0, 404, "a return serves once");
        home.expect("sent home")
    }

    /// A login under way: its task, and where the browser must go.
    async fn begin(&self) -> (tokio::task::JoinHandle<Result<VendorTokens, SiteError>>, String) {
        let (tell, told) = tokio::sync::oneshot::channel();
        let site = self.site.clone();
        let login =
            async move { site.log_in(Browser::default(), |url| tell.send(url.to_string()).expect("awaited")).await };
        (tokio::spawn(login), told.await.expect("announced"))
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let http = trust::http::client(&[]).expect("a client");
        let answer = http.post(self.base.join(path).expect("a path")).form(form).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

fn parameter(url: &str, name: &str) -> String {
    let url: Url = url.parse().expect("a URL");
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name}: {url}")).1.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_server_logs_in() {
    let scene = Scene::set().await;
    let (login, connexion) = scene.begin().await;
    assert!(connexion.starts_with(scene.base.as_str()));
    let home = scene.through(&connexion, MARIE).await;
    assert!(home.starts_with(&format!("http://127.0.0.1:{}/retour?", parameter(&connexion, "port"))), "{home}");
    // Somebody else's return, before the right one.
    let (ticket, state) = (parameter(&home, "billet"), parameter(&home, "etat"));
    for strange in [home.replace(&state, "autre"), home.replace("billet", "x"), format!("{home}&billet=y")] {
        assert_eq!(scene.get(&strange).await.0, 400, "{strange}");
    }
    let (status, _, page) = scene.get(&home).await;
    assert_eq!(status, 200, "{page}");
    let tokens = login.await.expect("no panic").expect("logged in");
    assert_eq!(tokens.author().as_deref(), Some(MARIE));
    let token = tokens.token().await.expect("a token");
    assert_eq!(verified(&scene.world, &scene.space, &token).await.as_deref(), Some(MARIE));
    assert!(!format!("{tokens:?}").contains(MARIE));
    assert_eq!(scene.post("session", &[("billet", &ticket), ("secret", "x")]).await.0, 403, "spent");
    assert_eq!(scene.post("jeton", &[]).await.0, 401);

    tokens.logout().await.expect("the vendor and PSC are told");
    assert_eq!(verified(&scene.world, &scene.space, &token).await, None);
    assert!(matches!(tokens.token().await, Err(TokenError::LoginNeeded)));

    a_link_somebody_sent(&scene).await;

    // Somebody who is refused; and a vendor that is gone.
    let (login, connexion) = scene.begin().await;
    let at_psc = scene.get(&connexion).await.1.expect("sent to PSC");
    let (state, back) = (parameter(&at_psc, "state"), parameter(&at_psc, "redirect_uri"));
    let iss = scene.space.psc.as_ref().expect("PSC").issuer();
    let home = scene.get(&format!("{back}?error=access_denied&state={state}&iss={iss}")).await.1.expect("sent home");
    assert_eq!(parameter(&home, "erreur"), "login.denied");
    assert_eq!(scene.get(&home).await.0, 400);
    let failed = login.await.expect("no panic").expect_err("refused");
    assert!(matches!(&failed, SiteError::Failed(code) if code == "login.denied"), "{failed}");

    scene.vendor.cancel();
    let gone = tokens.token().await;
    assert!(matches!(gone, Err(TokenError::Unreachable(_) | TokenError::LoginNeeded)), "{:?}", gone.err());
    scene.world.sandbox.stop().await;
}

/// Marie clicks on a link that Paul made: her ticket goes to her machine, and Paul, who has the secret, never sees it.
/// And Paul's own return, sent to her, gives her program nothing.
async fn a_link_somebody_sent(scene: &Scene) {
    let (hers, _) = scene.begin().await;
    let (his, his_link) = scene.begin().await;
    let home = scene.through(&his_link, PAUL).await;
    let ticket = parameter(&home, "billet");
    // Whoever sees the ticket go by has no secret; trying spends it.
    assert_eq!(scene.post("session", &[("billet", &ticket), ("secret", "guess")]).await.0, 403);
    let (status, ..) = scene.get(&home).await;
    assert_eq!(status, 400);
    assert_eq!(his.await.expect("no panic").expect_err("spent").code(), "vendor.wrong-state");
    assert!(!hers.is_finished(), "another login goes on");
    hers.abort();

    for bad in [
        "connexion?demande=x&port=80&etat=a",
        "connexion?demande=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&port=0&etat=a",
        "connexion?demande=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&port=80&etat=a%0D%0Ab",
        "connexion?demande=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&port=80&etat=",
        "connexion?demande=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&port=evil.example.org&etat=a",
        "retour?code=x",
    ] {
        let (status, to, _) = scene.get(scene.base.join(bad).expect("a path").as_str()).await;
        assert_eq!((status, to), (400, None), "{bad}");
    }
    assert_eq!(scene.get(scene.base.join("retour?code=x&state=y").expect("a path").as_str()).await.0, 404);
    for elsewhere in ["http://lps.example.org/psc/", "ftp://127.0.0.1/", "data:x"] {
        let site = Site::new(elsewhere.parse().expect("a URL"), None);
        assert!(matches!(site, Err(SiteError::Settings)), "{elsewhere}");
    }
}
