//! Pro Santé Connect for software, against the sandbox's: browser, phone, certificate, agent (issue 4 §2; ECO-TOKEN).

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lps::login::agent::{self, AgentError, Refusal};
use lps::login::browser::{self, Browser};
use lps::login::{Channel, LoginError, Over, Provider, PscSession, PscTokens};
use lps::{Explain, Fault, Language, Space, TokenError, TokenSource};
use mssante::NationalId;
use patience::PATIENCE;
use psc::{Introspection, Secret, Verifier, VerifierConfig};
use sandbox::{Options, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trust::{ManualClock, SystemClock};

use crate::world::World;

pub const MARIE: &str = "899700000017";
pub const PAUL: &str = "899700000021";
const SOPHIE: &str = "899700000039";
const JULIEN: &str = "899700000047";

fn id(text: &str) -> NationalId {
    text.parse().expect("a national identifier")
}

fn provider(space: &Arc<Space>) -> Provider {
    space.psc.clone().expect("a section [psc]")
}

/// How a phone of the sandbox answers from now on.
async fn phone(world: &World, space: &Space, form: &[(&str, &str)]) {
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let url = format!("{}/phone", world.sandbox.description.psc.phone);
    assert_eq!(http.post(url).form(form).send().await.expect("an answer").status(), 204);
}

/// Whether the operators would take the token, PSC asked.
pub async fn verified(world: &World, space: &Space, token: &Secret) -> Option<String> {
    let entry = &world.sandbox.description.psc;
    let mut config = VerifierConfig::new(entry.issuer.clone(), entry.jwks_uri.parse().expect("a URL"));
    config.introspection = Some(Introspection {
        url: entry.introspection_endpoint.parse().expect("a URL"),
        client_id: entry.client_id.clone(),
        client_secret: Secret::new(entry.client_secret.as_str()),
    });
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let verifier = Verifier::new(config, http, SystemClock::shared()).expect("safe");
    verifier.verify(token.expose()).await.ok().map(|identity| identity.national_id.as_str().to_owned())
}

/// The end of a token's life, as it says itself.
fn end(token: &Secret) -> SystemTime {
    let payload = token.expose().split('.').nth(1).expect("a JWT");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    SystemTime::UNIX_EPOCH + Duration::from_secs(claims["exp"].as_u64().expect("exp"))
}

/// A request as a browser makes it, without any library: status and page.
async fn get(port: u16, target: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("connected");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer)
}

/// Goes to PSC as `person` and gives back where PSC sends the browser: port, path with query.
async fn at_psc(space: &Space, url: &url::Url, person: &str) -> (u16, String) {
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let mut url = url.clone();
    let others: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "login_hint").collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("login_hint", person);
    let answer = http.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let back: url::Url = answer.headers()["location"].to_str().expect("text").parse().expect("a URL");
    (back.port().expect("a port"), format!("{}?{}", back.path(), back.query().expect("a query")))
}

async fn by_phone(space: &Arc<Space>, person: &str) -> Result<PscSession, LoginError> {
    provider(space).ciba(id(person), Channel::Mobile).await?.wait().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_browser_phone_and_certificate() {
    let world = World::start().await;
    let space = world.space();
    in_the_browser(&world, &space).await;
    on_the_phone(&world, &space).await;

    // The client by its certificate (RFC 8705): no secret at all.
    let entry = &world.sandbox.description.psc;
    let by_certificate = world.space_with(|text| {
        let proof = format!("certificate = \"{}\"\nkey = \"{}\"\n", entry.client_certificate, entry.client_key);
        text.replace("client_secret_file = \"psc/client-secret\"\n", &proof)
    });
    let session = by_phone(&by_certificate, SOPHIE).await.expect("logged in");
    let token = session.access_token().await.expect("a token");
    assert_eq!(verified(&world, &space, &token).await.as_deref(), Some(SOPHIE));
    session.logout().await.expect("PSC is told");
    assert_eq!(verified(&world, &space, &token).await, None);
    let wrong = world.space_with(|text| {
        let proof = "certificate = \"pki/labo.pem\"\nkey = \"pki/labo.key\"\n";
        text.replace("client_secret_file = \"psc/client-secret\"\n", proof)
    });
    let refused = by_phone(&wrong, SOPHIE).await.expect_err("another's certificate");
    assert_eq!((refused.code(), refused.fault()), ("login.client-refused", Fault::Host));
    world.sandbox.stop().await;
}

async fn in_the_browser(world: &World, space: &Arc<Space>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let logging_in = {
        let provider = provider(space);
        let how = Browser { person: Some(id(MARIE)), ..Browser::default() };
        tokio::spawn(
            async move { browser::log_in(&provider, how, |url| tell.send(url.clone()).expect("awaited")).await },
        )
    };
    let url = told.await.expect("announced");
    let (port, back) = at_psc(space, &url, MARIE).await;
    let host = format!("127.0.0.1:{port}");
    // Strangers, before and beside the person: nothing happens to the login.
    for (target, name) in [
        ("/retour?code=x&state=y", host.as_str()),
        ("/retour?error=access_denied&state=y", &host),
        ("/retour", &host),
        ("/autre", &host),
        (back.as_str(), "evil.example.org"),
    ] {
        let (status, page) = get(port, target, name).await;
        assert!(status == 400 || status == 404, "{target}: {status}");
        assert!(!page.contains("Vous êtes connecté"));
    }
    let (status, page) = get(port, &back, &host).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Vous êtes connecté") && page.contains("no-store") && page.contains("no-referrer"), "{page}");
    let session = logging_in.await.expect("no panic").expect("logged in");
    assert_eq!(session.person().as_str(), MARIE);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err(), "the port is closed");

    let tokens = PscTokens::new(session.clone());
    assert_eq!(tokens.author().as_deref(), Some(MARIE));
    let token = tokens.token().await.expect("a token");
    assert_eq!(verified(world, space, &token).await.as_deref(), Some(MARIE));
    let page = session.logout_page(None).await.expect("PSC has such a page");
    assert!(page.expose().contains("id_token_hint=ey"));
    session.logout().await.expect("PSC is told");
    assert_eq!(verified(world, space, &token).await, None, "PSC ended the session");
    assert!(matches!(tokens.token().await, Err(TokenError::LoginNeeded)));

    // Somebody else than who was expected, and a port that is taken.
    let (tell, told) = tokio::sync::oneshot::channel();
    let logging_in = {
        let provider = provider(space);
        let how = Browser { person: Some(id(MARIE)), ..Browser::default() };
        tokio::spawn(
            async move { browser::log_in(&provider, how, |url| tell.send(url.clone()).expect("awaited")).await },
        )
    };
    let url = told.await.expect("announced");
    // Another person than PSC was told to expect.
    let (port, back) = at_psc(space, &url, PAUL).await;
    let (status, page) = get(port, &back, &format!("127.0.0.1:{port}")).await;
    assert_eq!(status, 400);
    assert!(page.contains("La connexion a échoué") && !page.contains(PAUL), "{page}");
    let refused = logging_in.await.expect("no panic").expect_err("another person");
    assert_eq!(refused.code(), "login.other-person");

    let taken = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let how = Browser { port: Some(port), ..Browser::default() };
    let refused = browser::log_in(&provider(space), how, |_| {}).await.expect_err("taken");
    assert_eq!(refused.code(), "login.port-taken");
    assert!(refused.message(Language::French).contains(&port.to_string()));
}

async fn on_the_phone(world: &World, space: &Arc<Space>) {
    let session = by_phone(space, PAUL).await.expect("approved by itself");
    let token = session.access_token().await.expect("a token");
    assert_eq!(verified(world, space, &token).await.as_deref(), Some(PAUL));
    phone(world, space, &[("person", PAUL), ("answer", "refuse"), ("after_ms", "0")]).await;
    let refused = by_phone(space, PAUL).await.expect_err("refused");
    assert_eq!((refused.code(), refused.fault()), ("login.denied", Fault::User));
    phone(world, space, &[("person", JULIEN), ("answer", "approve"), ("after_ms", "0"), ("slow_down", "1")]).await;
    by_phone(space, JULIEN).await.expect("slower, and approved");

    // What the page shows is what the program shows.
    phone(world, space, &[("person", SOPHIE), ("answer", "ignore")]).await;
    let login = provider(space).ciba(id(SOPHIE), Channel::Card).await.expect("asked");
    let digits = login.binding_message().to_string();
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let url = &world.sandbox.description.psc.phone;
    let page = http.get(url).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains(&format!(">{digits}<")) && page.contains("CARD"), "{page}");
    let waiting = tokio::spawn(login.wait());
    let answer = http.post(url).form(&[("person", SOPHIE), ("answer", "approve")]).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    waiting.await.expect("no panic").expect("approved on the page");
    phone(world, space, &[("person", SOPHIE), ("answer", "approve")]).await;
}

/// The proof of issue 4: tokens that live a few seconds are always fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_two_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { token_ttl: Duration::from_secs(2), ..Options::new(folder.path()) };
    let world = World { sandbox: Sandbox::start(options).await.expect("starts"), folder };
    let space = world.space();
    let session = by_phone(&space, MARIE).await.expect("logged in");
    let (mut different, mut accepted) = (std::collections::HashSet::new(), 0);
    let begun = std::time::Instant::now();
    for _ in 0..12 {
        let asked = SystemTime::now();
        let token = session.access_token().await.expect("a token");
        assert!(end(&token) > asked, "a token that was over before it was asked for");
        let verified = verified(&world, &space, &token).await;
        // A machine so busy that asking takes longer than the token lives says nothing of the token.
        if verified.is_some() || SystemTime::now() < end(&token) {
            assert_eq!(verified.as_deref(), Some(MARIE));
            accepted += 1;
        }
        different.insert(token.expose().to_owned());
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(accepted > 0, "no token was verified while it lived");
    // Over two lives have passed; and none is asked for much more often than once a second, half a life.
    let most = begun.elapsed().as_secs() as usize + 4;
    assert!((3..=most).contains(&different.len()), "{} of {most}", different.len());
    world.sandbox.stop().await;
}

struct Agent {
    socket: PathBuf,
    task: tokio::task::JoinHandle<Result<(), AgentError>>,
    kill: tokio::sync::oneshot::Sender<()>,
}

impl Agent {
    async fn start(world: &World, clock: trust::SharedClock) -> Agent {
        let socket = world.path().join("run/agent.sock");
        let (kill, killed) = tokio::sync::oneshot::channel::<()>();
        let task = {
            let socket = socket.clone();
            tokio::spawn(async move {
                let killed = async {
                    if killed.await.is_err() {
                        // Only forgotten.
                        std::future::pending::<()>().await;
                    }
                };
                agent::serve(&socket, clock, killed).await
            })
        };
        let agent = Agent { socket, task, kill };
        while !agent.client().is_running().await.expect("no trouble") {
            tokio::task::yield_now().await;
        }
        agent
    }

    fn client(&self) -> agent::Client {
        agent::client(&self.socket)
    }

    async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").expect("no panic").expect("well");
        assert!(!self.socket.exists());
        assert!(matches!(agent::client(&self.socket).sessions().await, Err(AgentError::NotRunning)));
    }
}

// ECO.1.2.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_keeps_sessions_and_gives_tokens() {
    let world = World::start().await;
    let space = world.space();
    let settings = world.path().join("lps.toml");
    let agent = Agent::start(&world, SystemClock::shared()).await;
    let client = agent.client().of(&provider(&space));
    assert!(matches!(client.token().await, Err(TokenError::LoginNeeded)));
    assert!(matches!(agent::serve(&agent.socket, SystemClock::shared(), async {}).await, Err(AgentError::Running)));

    let session = by_phone(&space, MARIE).await.expect("logged in");
    let kept = session.clone();
    client.add(&settings, session).await.expect("kept");
    assert_eq!(kept.over(), Some(Over::LoggedOut), "nothing stays here");
    let token = client.token().await.expect("a token");
    assert_eq!(verified(&world, &space, &token).await.as_deref(), Some(MARIE));
    assert_eq!(client.author().as_deref(), Some(MARIE));
    let info = client.session().await.expect("one");
    assert_eq!((info.person.as_str(), info.issuer.as_str()), (MARIE, provider(&space).issuer()));
    assert!(info.ends_at() > SystemTime::now() + Duration::from_secs(14 * 60));

    // Two people: each their own.
    client.add(&settings, by_phone(&space, PAUL).await.expect("logged in")).await.expect("kept");
    assert!(matches!(client.session().await, Err(AgentError::Refused(Refusal::SeveralPeople))));
    let paul = agent.client().person(&id(PAUL));
    assert_eq!(verified(&world, &space, &paul.token().await.expect("a token")).await.as_deref(), Some(PAUL));
    // Logging in again replaces the session of before.
    client.add(&settings, by_phone(&space, PAUL).await.expect("logged in")).await.expect("kept");
    assert_eq!(client.sessions().await.expect("a list").len(), 2);

    hostile(&agent, &space, &settings).await;
    no_token_on_disk(&world, &token);

    assert_eq!(paul.logout().await.expect("done"), 1);
    assert!(matches!(paul.token().await, Err(TokenError::LoginNeeded)));
    assert_eq!(verified(&world, &space, &client.token().await.expect("Marie's")).await.as_deref(), Some(MARIE));
    assert_eq!(client.logout().await.expect("done"), 1);
    // The last has gone.
    agent.ended().await;
    assert_eq!(verified(&world, &space, &token).await, None);
    world.sandbox.stop().await;
}

/// What says nonsense, or too much, or nothing, changes nothing for others.
async fn hostile(agent: &Agent, space: &Arc<Space>, settings: &std::path::Path) {
    use tokio::net::UnixStream;
    let mode = std::fs::metadata(&agent.socket).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let silent = UnixStream::connect(&agent.socket).await.expect("connected");
    for octets in [
        &b"\xff\xff\xff\xff"[..],
        b"\0\0\0\x02{}",
        b"\0\0\0\x0d{\"do\":\"dump\"}",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x1c{\"do\":\"add\",\"space\":\"/etc/x\"}\xff\xff\xff\xff",
    ] {
        let mut stream = UnixStream::connect(&agent.socket).await.expect("connected");
        stream.write_all(octets).await.expect("written");
        stream.shutdown().await.expect("closed");
        let mut answer = Vec::new();
        // Dropped without an answer; a reset is one way to see it.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{octets:?}: {answer:?}");
    }
    // A session of another space, and settings that are none.
    let session = by_phone(space, SOPHIE).await.expect("logged in");
    let other = settings.with_file_name("other.toml");
    let text = std::fs::read_to_string(settings).expect("there");
    std::fs::write(&other, text.replace("vaguemestre-bac-a-sable", "autre")).expect("written");
    let refused = agent.client().add(&other, session).await;
    assert!(matches!(refused, Err(AgentError::Refused(Refusal::BadSession))), "{refused:?}");
    let session = by_phone(space, SOPHIE).await.expect("logged in");
    let refused = agent.client().add(&settings.with_file_name("none.toml"), session).await.expect_err("no settings");
    assert_eq!(refused.code(), "agent.space");
    drop(silent);
    assert_eq!(agent.client().sessions().await.expect("a list").len(), 2);
}

/// Looks for a token, and for anything that looks like one, in every file of the sandbox but PSC's own.
fn no_token_on_disk(world: &World, token: &Secret) {
    let mut folders = vec![world.path().to_owned()];
    let mut looked = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let octets = std::fs::read(entry.path()).expect("read");
                let found = |needle: &[u8]| octets.windows(needle.len()).any(|window| window == needle);
                assert!(!found(&token.expose().as_bytes()[..60]), "{}", entry.path().display());
                looked += 1;
            }
        }
    }
    assert!(looked > 20, "{looked}");
}

// ECO.1.2.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_ends_with_its_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::at(SystemTime::now());
    let options = Options { clock: clock.shared(), ..Options::new(folder.path()) };
    let world = World { sandbox: Sandbox::start(options).await.expect("starts"), folder };
    let settings = world.path().join("lps.toml");
    let space = Space::load_at(&settings, clock.shared()).expect("good settings");
    let agent = Agent::start(&world, clock.shared()).await;
    let client = agent.client();
    client.add(&settings, by_phone(&space, MARIE).await.expect("logged in")).await.expect("kept");
    // Each use prolongs it.
    for _ in 0..3 {
        clock.advance(Duration::from_secs(14 * 60));
        client.token().await.expect("a token");
    }
    clock.advance(Duration::from_secs(15 * 60));
    assert!(matches!(client.token().await, Err(TokenError::LoginNeeded)));
    agent.ended().await;

    // A signal: everybody is logged out at PSC.
    let agent = Agent::start(&world, clock.shared()).await;
    let client = agent.client();
    client.add(&settings, by_phone(&space, PAUL).await.expect("logged in")).await.expect("kept");
    let token = client.token().await.expect("a token");
    let Agent { socket, task, kill } = agent;
    kill.send(()).expect("it runs");
    task.await.expect("no panic").expect("well");
    assert!(!socket.exists());
    let introspection = &world.sandbox.description.psc;
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let request = http
        .post(&introspection.introspection_endpoint)
        .basic_auth(&introspection.client_id, Some(&introspection.client_secret));
    let said = request.form(&[("token", token.expose())]).send().await.expect("an answer").text().await.expect("text");
    assert_eq!(said, r#"{"active":false}"#);

    // `stop` does the same for everybody.
    let agent = Agent::start(&world, clock.shared()).await;
    for person in [MARIE, SOPHIE] {
        agent.client().add(&settings, by_phone(&space, person).await.expect("logged in")).await.expect("kept");
    }
    assert_eq!(agent.client().stop().await.expect("done"), 2);
    agent.ended().await;
    world.sandbox.stop().await;
}
