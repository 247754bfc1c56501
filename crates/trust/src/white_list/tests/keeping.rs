//! The keeper: conditional GET, refusals, the copy on disk, a publisher that is down.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::{ALERT_AGE, Keeper, KeeperConfig, KeeperError, RequiredSigner, SignaturePolicy, WhiteListBuilder};
use super::support::{crl, list, now, pki, policy, signed_by};
use crate::clock::{Clock, ManualClock};
use crate::revocation::{Revocation, RevocationSettings};

const HOUR: Duration = Duration::from_secs(3600);

/// What is published; `None`: 503.
#[derive(Clone, Default)]
struct Publisher {
    document: Arc<Mutex<Option<String>>>,
    whole: Arc<AtomicUsize>,
    unchanged: Arc<AtomicUsize>,
}

impl Publisher {
    fn publish(&self, document: impl Into<String>) {
        *self.document.lock().unwrap() = Some(document.into());
    }

    fn stop(&self) {
        *self.document.lock().unwrap() = None;
    }

    async fn serve(&self) -> url::Url {
        let app = Router::new().route("/listeblanchemssante.xml", get(answer)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/listeblanchemssante.xml", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url.parse().unwrap()
    }
}

async fn answer(State(publisher): State<Publisher>, headers: HeaderMap) -> Response {
    let Some(document) = publisher.document.lock().unwrap().clone() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let etag = format!("\"{}\"", openssl::base64::encode_block(&openssl::sha::sha256(document.as_bytes())));
    if headers.get("if-none-match").is_some_and(|sent| sent == etag.as_str()) {
        publisher.unchanged.fetch_add(1, Ordering::SeqCst);
        return StatusCode::NOT_MODIFIED.into_response();
    }
    publisher.whole.fetch_add(1, Ordering::SeqCst);
    ([("etag", etag)], document).into_response()
}

struct Bench {
    publisher: Publisher,
    url: url::Url,
    folder: TempDir,
    clock: ManualClock,
}

impl Bench {
    async fn new() -> Self {
        let publisher = Publisher::default();
        let url = publisher.serve().await;
        Self { publisher, url, folder: tempfile::tempdir().unwrap(), clock: ManualClock::at(now()) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("trust/white_list.xml")
    }

    fn keeper(&self) -> Arc<Keeper> {
        self.keeper_with(policy())
    }

    fn keeper_with(&self, policy: SignaturePolicy) -> Arc<Keeper> {
        let config = KeeperConfig { url: self.url.clone(), policy, path: self.path(), refresh_every: HOUR };
        Keeper::open(config, crate::http::client(&[]).unwrap(), self.clock.shared())
    }
}

fn signed(age: Duration) -> String {
    signed_by(&pki().signer, &list(age))
}

#[tokio::test]
async fn fetches_keeps_and_asks_conditionally() {
    let bench = Bench::new().await;
    bench.publisher.publish(signed(HOUR));
    let keeper = bench.keeper();
    assert!(keeper.current().is_none());
    assert!(keeper.refresh().await.unwrap());
    assert_eq!(keeper.current().unwrap().len(), 2);
    assert!(!keeper.refresh().await.unwrap());
    let counts = (bench.publisher.whole.load(Ordering::SeqCst), bench.publisher.unchanged.load(Ordering::SeqCst));
    assert_eq!(counts, (1, 1));
    assert_eq!(std::fs::read_to_string(bench.path()).unwrap(), signed_document_of(&bench));

    // A newer one replaces it.
    bench
        .publisher
        .publish(signed_by(&pki().signer, &list(Duration::ZERO).replace("beta.mssante.fr", "gamma-longer.mssante.fr")));
    assert!(keeper.refresh().await.unwrap());
    assert!(keeper.current().unwrap().is_listed("gamma-longer.mssante.fr"));
}

fn signed_document_of(bench: &Bench) -> String {
    bench.publisher.document.lock().unwrap().clone().unwrap()
}

#[tokio::test]
async fn what_is_worse_never_replaces_what_is_held() {
    let bench = Bench::new().await;
    bench.publisher.publish(signed(HOUR));
    let keeper = bench.keeper();
    keeper.refresh().await.unwrap();
    let on_disk = std::fs::read(bench.path()).unwrap();

    type Expected = fn(&KeeperError) -> bool;
    let empty = WhiteListBuilder::new(now()).to_xml().replace("<ListeDomaines>", "<ListeDomaines><!-- -->");
    let future = WhiteListBuilder::new(now() + 2 * HOUR)
        .with(super::super::Entry::new("a.mssante.fr", super::support::dn("CN=a,C=FR")));
    let cases: [(&str, String, Expected); 7] = [
        ("replay", signed(2 * HOUR), |e| matches!(e, KeeperError::Older)),
        ("future", signed_by(&pki().signer, &future.to_xml()), |e| matches!(e, KeeperError::FromTheFuture)),
        ("empty", signed_by(&pki().signer, &empty), |e| matches!(e, KeeperError::Empty)),
        ("unsigned", list(Duration::ZERO), |e| matches!(e, KeeperError::List(_))),
        ("stranger", signed_by(&pki().stranger, &list(Duration::ZERO)), |e| matches!(e, KeeperError::List(_))),
        ("tampered", signed(Duration::ZERO).replacen("alpha.", "omega1.", 1), |e| matches!(e, KeeperError::List(_))),
        ("page", "<html>maintenance</html>".to_owned(), |e| matches!(e, KeeperError::List(_))),
    ];
    for (case, document, expected) in cases {
        bench.publisher.publish(document);
        let error = keeper.refresh().await.expect_err(case);
        assert!(expected(&error), "{case}: {error}");
        assert!(keeper.current().unwrap().is_listed("alpha.mssante.fr"), "{case}");
        assert_eq!(std::fs::read(bench.path()).unwrap(), on_disk, "{case}");
    }
    assert_eq!(keeper.status().failures, 7);
    assert!(keeper.status().last_error.is_some());
}

#[tokio::test]
async fn serves_from_disk_when_the_publisher_is_down() {
    let bench = Bench::new().await;
    bench.publisher.publish(signed(HOUR));
    bench.keeper().refresh().await.unwrap();
    bench.publisher.stop();

    let keeper = bench.keeper();
    assert!(keeper.current().unwrap().is_listed("beta.mssante.fr"));
    assert!(matches!(keeper.refresh().await, Err(KeeperError::Http(_))));
    assert!(keeper.current().is_some());

    // A replay is recognised against the copy too.
    bench.publisher.publish(signed(2 * HOUR));
    assert!(matches!(keeper.refresh().await, Err(KeeperError::Older)));
}

#[tokio::test]
async fn the_copy_on_disk_is_checked_again() {
    let bench = Bench::new().await;
    std::fs::create_dir_all(bench.path().parent().unwrap()).unwrap();
    for damaged in
        [signed(HOUR).replacen("alpha", "omega", 1), list(HOUR), signed(HOUR)[..500].to_owned(), String::new()]
    {
        std::fs::write(bench.path(), damaged).unwrap();
        assert!(bench.keeper().current().is_none());
    }
    std::fs::write(bench.path(), signed(HOUR)).unwrap();
    assert!(bench.keeper().current().is_some());
}

#[tokio::test]
async fn the_copy_outlives_the_signers_certificate_and_missing_crls_but_not_a_revocation() {
    let bench = Bench::new().await;
    std::fs::create_dir_all(bench.path().parent().unwrap()).unwrap();
    std::fs::write(bench.path(), signed(HOUR)).unwrap();
    let file = std::fs::File::options().write(true).open(bench.path()).unwrap();
    file.set_modified(now()).unwrap();

    let with = |crl: Option<Vec<u8>>| {
        let SignaturePolicy::Required(signer) = policy() else { unreachable!("the helper gives that one") };
        let mut settings = RevocationSettings::required(signer.anchors.clone(), Vec::new());
        settings.clock = bench.clock.shared();
        let revocation = Revocation::new(settings).unwrap();
        if let Some(crl) = crl {
            revocation.install(&crl).unwrap();
        }
        bench.keeper_with(SignaturePolicy::Required(RequiredSigner { revocation: Arc::new(revocation), ..signer }))
    };
    assert!(with(None).current().is_some(), "no revocation list yet");
    let revoked = crl(&[&pki().signer.certificate]).to_pem().unwrap();
    assert!(with(Some(revoked)).current().is_none(), "a revoked signer");

    bench.clock.advance(Duration::from_secs(400 * 86_400));
    assert!(bench.keeper().current().is_some(), "the signer's certificate has ended since");
}

#[tokio::test]
async fn status_tells_the_age() {
    let bench = Bench::new().await;
    bench.publisher.publish(signed(HOUR));
    let keeper = bench.keeper();
    assert_eq!(keeper.status().age, None);
    keeper.refresh().await.unwrap();
    bench.clock.advance(ALERT_AGE + HOUR);
    bench.publisher.stop();
    assert!(keeper.refresh().await.is_err());
    let status = keeper.status();
    assert_eq!((status.age, status.failures, status.domains), (Some(ALERT_AGE + HOUR), 1, 2));
    assert_eq!(status.generated_at, Some(now() - HOUR));
    assert!(bench.clock.now() > now());
}

#[tokio::test]
async fn the_task_refreshes_and_stops() {
    let bench = Bench::new().await;
    bench.publisher.publish(signed(HOUR));
    let keeper = bench.keeper();
    let shutdown = CancellationToken::new();
    let task = keeper.spawn_refresh(shutdown.clone());
    while keeper.current().is_none() {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    task.await.unwrap();
}
