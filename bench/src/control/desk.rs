//! Many campaigns at once in `vaguemestre control serve`, by its REST API: each of an operator of its own, all against the sandbox's alpha.
//! Then once more, with a kill -9 in the middle: nothing that was shown may be lost, and all of them must end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use desk::account::role::Role;
use desk::account::secret::Cost;
use desk::config::Config;
use desk::db::{Db, Reach};
use desk::{Desk, Settings};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Options, Running, job};
use crate::imap::process;
use crate::sandbox::Sandbox;

/// Cases of one campaign: some seconds, with and without login.
const CASES: [&str; 7] = ["STL", "ACF", "IMA-01", "IMA-02", "SMA-01", "SMA-04", "JWT-02"];
/// Cases at a time of one campaign: alpha lets in 200 connections from one address.
const PARALLEL: usize = 2;
/// Longest wait for all campaigns.
const ALL: Duration = Duration::from_secs(600);
/// How long the application may take to start.
const START: Duration = Duration::from_secs(30);
/// Between two looks at all campaigns.
const LOOK: Duration = Duration::from_millis(250);
const PASSWORD: &str = "un mot de passe du banc";

/// The application, and a token of each of its operators.
struct Served {
    config: PathBuf,
    url: String,
    tokens: Vec<String>,
    regulator: String,
    client: reqwest::Client,
}

/// What there was when half of the results were.
struct Middle {
    /// Of each campaign, the results that were shown by their case.
    shown: Vec<BTreeMap<String, Value>>,
    /// How many there will be in all.
    planned: u64,
    /// Campaigns that were not over once those were shown.
    under_way: usize,
}

/// A campaign: whose token sees it, and its path.
type Launched = Vec<(String, String)>;

/// Measures.
pub(super) fn measure(options: &Options, sandbox: &Sandbox) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(all(options, sandbox))
}

async fn all(options: &Options, sandbox: &Sandbox) -> Result<String, String> {
    let served = prepare(options, sandbox).await?;
    let mut application = served.start(&options.binary).await?;
    let pid = application.0.id();
    let idle = process::peak(pid)?;
    let (processor, operator) = (process::cpu(pid)?, process::cpu(sandbox.pid())?);
    let jobs = served.jobs(sandbox).await?;
    let began = Instant::now();
    let campaigns = served.launch(&jobs).await?;
    let accepted = began.elapsed();
    let over = served.over(&campaigns).await?;
    let took = began.elapsed().as_secs_f64();
    let peak = process::peak(pid)?;
    let (processor, operator) = (process::cpu(pid)? - processor, process::cpu(sandbox.pid())? - operator);
    let counts = served.counts(&campaigns).await?;
    let results: u64 = counts.values().sum();
    eprintln!("{} campaigns: {took:.1} s, {results} results", campaigns.len());

    // Once more, with a kill.
    let again = served.launch(&jobs).await?;
    let middle = served.middle(&again).await?;
    let (shown, planned) = (middle.shown, middle.planned);
    application.0.kill().map_err(|e| e.to_string())?;
    let _ = application.0.wait();
    drop(application);
    let kept: usize = shown.iter().map(BTreeMap::len).sum();
    let began = Instant::now();
    let application = served.start(&options.binary).await?;
    let resumed = served.over(&again).await?;
    let rest = began.elapsed().as_secs_f64();
    let after = served.results(&again).await?;
    let lost = shown
        .iter()
        .zip(&after)
        .map(|(before, after)| before.iter().filter(|(case, result)| after.get(*case) != Some(*result)).count())
        .sum::<usize>();
    drop(application);

    let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let count = campaigns.len();
    let mut out = format!(
        "{count} campaigns at once in `control serve`, each of an operator of its own ({}; {PARALLEL} cases at a time each), all against one sandbox \
         on the same machine:\n\n| what | |\n|---|---|\n",
        CASES.join(", ")
    );
    let mut row = |what: &str, text: String| {
        let _ = writeln!(out, "| {what} | {text} |");
    };
    row("accepted within", format!("{:.2} s", accepted.as_secs_f64()));
    row("all over after", format!("**{took:.1} s**, {over} of {count} ended"));
    row("results", format!("{results}, {:.0} a second: {}", results as f64 / took, counts.join(", ")));
    row("memory before, and at most (VmHWM)", format!("{:.1} MiB, **{:.1} MiB**", mib(idle), mib(peak)));
    row("memory of one campaign more", format!("{:.2} MiB", mib(peak.saturating_sub(idle)) / count as f64));
    row("processor: the application, the sandbox", format!("{processor:.1} s, {operator:.1} s"));
    row(
        if middle.under_way > 0 { "kill -9 in the middle" } else { "kill -9, after the end" },
        format!(
            "{} of {count} campaigns under way, {kept} of {planned} results shown; **{lost} lost or changed**; {resumed} of {count} ended, \
             {rest:.1} s after the start",
            middle.under_way
        ),
    );
    Ok(out)
}

/// The database, with as many operators as campaigns, and the file of the application.
async fn prepare(options: &Options, sandbox: &Sandbox) -> Result<Served, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let folder = std::path::absolute(sandbox.folder.join("desk")).map_err(|e| told(&e))?;
    std::fs::create_dir_all(&folder).map_err(|e| told(&e))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| told(&e))?;
    let address = listener.local_addr().map_err(|e| told(&e))?;
    drop(listener);
    let url = format!("https://{address}");
    let config = folder.join("controle.toml");
    let text = format!(
        "listen = \"{address}\"\nurl = \"{url}\"\ncertificate = \"../pki/alpha.pem\"\nkey = \"../pki/alpha.key\"\ndata = \"data\"\n\
         second_factor = false\ncampaigns = {}\n[[template]]\nname = \"alpha\"\ntitle = \"alpha\"\nfile = \"../alpha/control.toml\"\n",
        options.campaigns
    );
    std::fs::write(&config, text).map_err(|e| told(&e))?;
    let settings = Settings { cost: Cost::KNOWN, ..Config::load(&config).map_err(|e| told(&e))?.settings() };
    std::fs::create_dir_all(&settings.folder).map_err(|e| told(&e))?;
    let db = Db::open(&settings.folder.join("controle.db")).map_err(|e| told(&e))?;
    let desk = Desk::with(db.clone(), settings, CancellationToken::new()).await.map_err(|e| told(&e))?;
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs().cast_signed());
    let ports = ports(&std::fs::read_to_string(job(sandbox)).map_err(|e| told(&e))?);
    let mut tokens = Vec::new();
    for number in 1..=options.campaigns {
        let name = format!("operateur-{number}");
        let reach = Reach {
            domains: vec!["alpha.formation.mssante.fr".to_owned()],
            ranges: vec!["127.0.0.0/8".parse().map_err(|_| "a range")?],
            ports: ports.clone(),
        };
        let role = Role::AdministrateurOperateur;
        desk.provide(Some((&name, reach)), &name, role, PASSWORD).await.map_err(|e| told(&e))?;
        let account = db.account_named(&name).await.map_err(|e| told(&e))?.ok_or("an account was not made")?;
        let organisation = account.organisation.ok_or("an account has no operator")?;
        tokens.push(db.add_token(Some(organisation), account.id, "banc", now).await.map_err(|e| told(&e))?);
    }
    let name = "regulateur";
    desk.provide(None, name, Role::Regulateur, PASSWORD).await.map_err(|e| told(&e))?;
    let account = db.account_named(name).await.map_err(|e| told(&e))?.ok_or("an account was not made")?;
    let regulator = db.add_token(None, account.id, "banc", now).await.map_err(|e| told(&e))?;
    let anchors = std::fs::read(sandbox.folder.join("pki/ca.pem")).map_err(|e| told(&e))?;
    let anchors = openssl::x509::X509::stack_from_pem(&anchors).map_err(|e| told(&e))?;
    let client = trust::http::client(&anchors).map_err(|e| told(&e))?;
    Ok(Served { config, url, tokens, regulator, client })
}

/// The ports a job names.
fn ports(job: &str) -> Vec<u16> {
    job.split('"').filter_map(|text| text.parse::<SocketAddr>().ok()).map(|address| address.port()).collect()
}

fn is_over(state: &Value) -> bool {
    !matches!(state["etat"].as_str(), Some("en_file" | "en_cours"))
}

impl Served {
    async fn start(&self, binary: &Path) -> Result<Running, String> {
        let mut command = Command::new(binary);
        command.args(["control", "serve", "--config"]).arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command.spawn().map_err(|e| e.to_string())?);
        let began = Instant::now();
        while self.client.get(format!("{}/api/openapi.json", self.url)).send().await.is_err() {
            if began.elapsed() > START {
                return Err("control serve does not start".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(running)
    }

    async fn call(&self, token: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("{}{path}", self.url);
        let request = match &body {
            Some(body) => self.client.post(url).json(body),
            None => self.client.get(url),
        };
        let answer = request.bearer_auth(token).send().await.map_err(|e| format!("{path}: {e}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| format!("{path}: {e}"))?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {text}"));
        }
        serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))
    }

    /// One for each operator.
    async fn jobs(&self, sandbox: &Sandbox) -> Result<Vec<String>, String> {
        let text = std::fs::read_to_string(job(sandbox)).map_err(|e| e.to_string())?;
        let text = text.replace("parallel = 10", &format!("parallel = {PARALLEL}"));
        let mut jobs = Vec::new();
        for token in &self.tokens {
            let made = self.call(token, "/api/v1/jobs", Some(json!({ "modele": "alpha", "texte": text }))).await?;
            jobs.push(made["id"].as_str().ok_or("a job has no id")?.to_owned());
        }
        Ok(jobs)
    }

    async fn launch(&self, jobs: &[String]) -> Result<Launched, String> {
        let mut launched = Vec::new();
        for (token, job) in self.tokens.iter().zip(jobs) {
            let body = json!({ "autorise": true, "cas": CASES, "motif": "une machine chargée" });
            let begun = self.call(token, &format!("/api/v1/jobs/{job}/campagnes"), Some(body)).await?;
            let id = begun["id"].as_str().ok_or("a campaign has no id")?;
            launched.push((token.clone(), format!("/api/v1/campagnes/{id}")));
        }
        Ok(launched)
    }

    async fn states(&self, campaigns: &Launched) -> Result<Vec<Value>, String> {
        let mut states = Vec::new();
        for (token, path) in campaigns {
            states.push(self.call(token, path, None).await?);
        }
        Ok(states)
    }

    /// The newest campaigns of all, by the regulator's listing: asking each operator for its own takes as long as half of them.
    async fn newest(&self, count: usize) -> Result<Vec<Value>, String> {
        let (mut all, mut path) = (Vec::new(), "/api/v1/campagnes".to_owned());
        while all.len() < count {
            let mut page = self.call(&self.regulator, &path, None).await?;
            let Value::Array(found) = page["campagnes"].take() else { return Err("no listing".into()) };
            all.extend(found);
            match page["avant"].as_str() {
                Some(before) => path = format!("/api/v1/campagnes?avant={before}"),
                None => break,
            }
        }
        all.truncate(count);
        Ok(all)
    }

    /// Waits until half of the results are there, then has all of them shown at once.
    async fn middle(&self, campaigns: &Launched) -> Result<Middle, String> {
        loop {
            let all = self.newest(campaigns.len()).await?;
            let sum = |key: &str| all.iter().filter_map(|one| one[key].as_u64()).sum::<u64>();
            let (done, planned) = (sum("faits"), sum("prevus"));
            if all.iter().all(|one| one["prevus"].as_u64() > Some(0)) && done * 2 >= planned {
                let shown = self.results(campaigns).await?;
                let now = self.newest(campaigns.len()).await?;
                return Ok(Middle { shown, planned, under_way: now.iter().filter(|one| !is_over(one)).count() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for all of them; how many ended as they should, with every case planned.
    async fn over(&self, campaigns: &Launched) -> Result<usize, String> {
        let began = Instant::now();
        loop {
            let states = self.states(campaigns).await?;
            if states.iter().all(is_over) {
                let is_whole = |state: &&Value| state["etat"] == "terminee" && state["faits"] == state["prevus"];
                return Ok(states.iter().filter(is_whole).count());
            }
            if began.elapsed() > ALL {
                return Err(format!("not all campaigns were over after {} s", ALL.as_secs()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Of each campaign, the results by their case.
    async fn results(&self, campaigns: &Launched) -> Result<Vec<BTreeMap<String, Value>>, String> {
        let of = |(token, path): &(String, String)| {
            let (token, path) = (token.clone(), format!("{path}/cas"));
            async move {
                let mut answer = self.call(&token, &path, None).await?;
                let Value::Array(cases) = answer["cas"].take() else { return Err("no results".to_owned()) };
                let by_id = |case: Value| (case["id"].as_str().unwrap_or_default().to_owned(), case);
                Ok(cases.into_iter().map(by_id).collect())
            }
        };
        futures_util::future::try_join_all(campaigns.iter().map(of)).await
    }

    /// How many results of each kind.
    async fn counts(&self, campaigns: &Launched) -> Result<BTreeMap<String, u64>, String> {
        let mut counts = BTreeMap::new();
        for result in self.results(campaigns).await?.iter().flat_map(BTreeMap::values) {
            let state = result["etat"].as_str().unwrap_or("?");
            let level = result["niveau"].as_str().map(|level| format!(" ({level})")).unwrap_or_default();
            *counts.entry(format!("{state}{level}")).or_insert(0) += 1;
        }
        Ok(counts)
    }
}
