//! What every case has at hand: the job, the authorities, the forge, what was already seen; and where it puts what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use trust::tls::Anchors;

use crate::cases::Performance;
use crate::catalogue::Case;
use crate::forge::{Forge, ForgeError, xoauth2};
use crate::job::{Job, Mailbox, Server};
use crate::stand;
use crate::tls::{Settings, Starttls, Survey, Target, survey};
use crate::verdict::Verdict;
use crate::wire::{Log, Wire, WireError};

/// The two protocols of the API LPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Reading.
    Imap,
    /// Sending.
    Smtp,
}

impl Protocol {
    /// Both.
    pub const BOTH: [Protocol; 2] = [Protocol::Imap, Protocol::Smtp];

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Protocol::Imap => "IMAP",
            Protocol::Smtp => "SMTP",
        }
    }
}

/// Why a campaign cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The authorities.
    #[error("trust.anchors: {0}")]
    Anchors(#[from] trust::tls::TlsError),
    /// Their file.
    #[error("trust.anchors: {0}")]
    File(std::io::Error),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The stand.
    #[error(transparent)]
    Stand(#[from] stand::StandError),
}

/// What every case has at hand.
pub struct Context {
    /// What was asked.
    pub job: Job,
    /// The authorities believed.
    pub anchors: Option<Anchors>,
    /// What makes tokens; none when the job has no PSC.
    pub forge: Option<Forge>,
    /// What the operator talks to; none when the job has no such section.
    pub stand: Option<stand::Client>,
    surveys: [OnceCell<Survey>; 2],
    mx_surveys: Vec<OnceCell<Survey>>,
    /// What was seen while Pro Santé Connect answered nothing in time: looked at once.
    pub(crate) silence: OnceCell<Performance>,
}

impl Context {
    /// Reads what the job names.
    ///
    /// # Errors
    /// [`SetUpError`].
    pub fn new(job: Job) -> Result<Context, SetUpError> {
        let anchors = match &job.trust.anchors {
            Some(path) => Some(Anchors::from_pem(&std::fs::read(path).map_err(SetUpError::File)?)?),
            None => None,
        };
        let forge = job.psc.as_ref().map(Forge::new).transpose()?;
        let stand = job.stand.as_ref().map(stand::Client::open).transpose()?;
        let servers = job.operator_interface.as_ref().map_or(0, |interface| interface.mx.len());
        let mx_surveys = (0..servers).map(|_| OnceCell::new()).collect();
        Ok(Context { job, anchors, forge, stand, surveys: Default::default(), mx_surveys, silence: OnceCell::new() })
    }

    /// A server.
    #[must_use]
    pub fn server(&self, protocol: Protocol) -> &Server {
        match protocol {
            Protocol::Imap => &self.job.api_lps.imap,
            Protocol::Smtp => &self.job.api_lps.smtp,
        }
    }

    /// The TLS of a server, looked at once.
    pub async fn survey(&self, protocol: Protocol) -> &Survey {
        let (cell, starttls) = match protocol {
            Protocol::Imap => (&self.surveys[0], Starttls::Imap),
            Protocol::Smtp => (&self.surveys[1], Starttls::Smtp),
        };
        cell.get_or_init(|| self.look(self.server(protocol), starttls)).await
    }

    /// The TLS of a server of the operator interface, looked at once. `index`: its place in the job.
    ///
    /// # Panics
    /// When the job names no server of that number.
    pub async fn mx_survey(&self, index: usize) -> &Survey {
        let server = self.job.operator_interface.as_ref().and_then(|interface| interface.mx.get(index));
        let server = server.expect("who asks goes through the job's servers");
        self.mx_surveys[index].get_or_init(|| self.look(server, Starttls::Smtp)).await
    }

    /// The TLS of a server, as it is now.
    pub async fn look(&self, server: &Server, starttls: Starttls) -> Survey {
        let limits = &self.job.limits;
        let target = Target { address: server.address, server_name: Some(server.name.clone()), starttls };
        let pause = Duration::from_millis(limits.pause_milliseconds);
        let settings = Settings { patience: limits.patience(), pause, budget: limits.budget };
        survey(target, settings, self.anchors.as_ref(), &|_| {}).await
    }

    /// Connected in clear.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn connect(&self, protocol: Protocol, log: &Log) -> Result<Wire, WireError> {
        Wire::connect(self.server(protocol).address, self.job.limits.patience(), log).await
    }

    /// Connected, greeted, inside TLS; with EHLO said again for SMTP.
    ///
    /// # Errors
    /// [`WireError`]: [`WireError::Protocol`] when STARTTLS is refused.
    pub async fn open(&self, protocol: Protocol, log: &Log) -> Result<Wire, WireError> {
        let mut wire = self.connect(protocol, log).await?;
        let name = &self.server(protocol).name;
        match protocol {
            Protocol::Imap => {
                wire.imap_greeting().await?;
                let answer = wire.imap("STARTTLS").await?;
                if !answer.is_ok() {
                    return Err(WireError::Protocol(answer.line));
                }
                wire.tls(name).await
            }
            Protocol::Smtp => {
                let greeting = wire.smtp_answer().await?;
                if greeting.code == 421 {
                    return Err(WireError::Busy(greeting.line().to_owned()));
                }
                wire.smtp(EHLO).await?;
                let answer = wire.smtp("STARTTLS").await?;
                if answer.code != 220 {
                    return Err(WireError::Protocol(answer.line().to_owned()));
                }
                let mut wire = wire.tls(name).await?;
                wire.smtp(EHLO).await?;
                Ok(wire)
            }
        }
    }

    /// Logs in with a SASL response, by an initial one or without.
    pub async fn login(&self, protocol: Protocol, response: &[u8], initial: bool, log: &Log) -> Login {
        self.login_within(self.job.limits.patience(), protocol, response, initial, log).await
    }

    /// The same, waiting so long for the answer.
    pub async fn login_within(
        &self,
        patience: Duration,
        protocol: Protocol,
        response: &[u8],
        initial: bool,
        log: &Log,
    ) -> Login {
        let mut wire = match self.open(protocol, log).await {
            Ok(wire) => wire,
            Err(error) => return Login::failed(error),
        };
        wire.set_patience(patience);
        let done = match protocol {
            Protocol::Imap => wire.imap_xoauth2(response, initial).await.map(|(answer, challenge)| {
                let outcome = match answer.status.as_str() {
                    "OK" => LoginOutcome::Accepted,
                    _ if answer.says("UNAVAILABLE") || answer.says("INUSE") || answer.says("LIMIT") => {
                        LoginOutcome::Temporary
                    }
                    _ => LoginOutcome::Refused,
                };
                (outcome, answer.line, challenge)
            }),
            Protocol::Smtp => wire.smtp_xoauth2(response, initial).await.map(|(answer, challenge)| {
                let outcome = match answer.code {
                    200..300 => LoginOutcome::Accepted,
                    400..500 => LoginOutcome::Temporary,
                    _ => LoginOutcome::Refused,
                };
                (outcome, crate::tls::starttls::shown(answer.line()), challenge)
            }),
        };
        match done {
            Ok((outcome, line, challenge)) => Login { outcome, line, challenge, wire: Some(wire) },
            // After the credentials, a close is a refusal without words.
            Err(WireError::Closed) => {
                let line = WireError::Closed.to_string();
                Login { outcome: LoginOutcome::Cut, line, challenge: None, wire: None }
            }
            Err(error) => Login::failed(error),
        }
    }

    /// The BAL and the forge, or why token cases cannot run.
    ///
    /// # Errors
    /// The verdict to give.
    pub fn tokens(&self) -> Result<(&Forge, &Mailbox), Verdict> {
        match (&self.forge, &self.job.mailbox) {
            (Some(forge), Some(mailbox)) => Ok((forge, mailbox)),
            (None, _) => Err(Verdict::NonExecute {
                cause: "le job n'a pas de section [psc] : aucun jeton ne peut être fait".into(),
            }),
            (_, None) => Err(Verdict::NonExecute { cause: "le job n'a pas de section [mailbox]".into() }),
        }
    }

    /// The stand, or why what needs it cannot run.
    ///
    /// # Errors
    /// The verdict to give.
    pub fn stand(&self) -> Result<&stand::Client, Verdict> {
        self.stand.as_ref().ok_or_else(|| Verdict::NonExecute {
            cause: "le job n'a pas de section [stand] : l'opérateur ne s'adresse pas à un banc de l'application".into(),
        })
    }

    /// A good login; none when tokens cannot be made.
    pub async fn nominal(&self, protocol: Protocol, log: &Log) -> Option<Login> {
        let (forge, mailbox) = self.tokens().ok()?;
        let token = forge.nominal(&mailbox.idnat).ok()?;
        Some(self.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await)
    }
}

/// Who says EHLO.
pub const EHLO: &str = "EHLO controle.vaguemestre.invalid";

/// What became of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Taken.
    Accepted,
    /// Refused in words.
    Refused,
    /// Refused by closing.
    Cut,
    /// Refused for now: nothing can be concluded.
    Temporary,
    /// It never came to that.
    Failed(WireError),
}

/// A login, and the session when there is one.
pub struct Login {
    /// What became of it.
    pub outcome: LoginOutcome,
    /// The deciding line.
    pub line: String,
    /// The challenge before it, decoded.
    pub challenge: Option<String>,
    /// The session, when it still stands.
    pub wire: Option<Wire>,
}

impl Login {
    fn failed(error: WireError) -> Login {
        let line = error.to_string();
        Login { outcome: LoginOutcome::Failed(error), line, challenge: None, wire: None }
    }

    /// Whether it was taken.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome == LoginOutcome::Accepted
    }
}

/// What one variant of a case gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VariantResult {
    /// Its name.
    pub nom: String,
    /// By which protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocole: Option<Protocol>,
    /// What had to be seen.
    pub attendu: String,
    /// What was seen.
    pub observe: String,
    /// What that means.
    pub verdict: Verdict,
    /// Whether a good login worked just before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controle_avant: Option<bool>,
    /// And just after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controle_apres: Option<bool>,
    /// Proof: keys of [`Findings::evidence`].
    pub preuves: Vec<String>,
}

/// Where a case puts what it sees.
#[derive(Debug, Default)]
pub struct Findings {
    /// Its variants.
    pub variants: Vec<VariantResult>,
    /// Proof by its SHA-256, as JSON.
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// Whether what was seen may be the doing of a case that ran beside: it is run once more, beside none that disturbs it.
    pub again: bool,
}

impl Findings {
    /// Keeps a proof; its key.
    pub fn keep(&mut self, proof: &impl Serialize) -> String {
        let value = serde_json::to_value(proof).unwrap_or_default();
        let key = crate::report::sha256(value.to_string().as_bytes());
        self.evidence.insert(key.clone(), value);
        key
    }

    /// Adds a variant. What a server said in it acts neither on a terminal nor in a page.
    pub fn add(&mut self, variant: VariantResult) {
        self.variants.push(VariantResult {
            observe: harmless(variant.observe),
            verdict: variant.verdict.with_reason(harmless),
            ..variant
        });
    }

    /// Adds a variant in short.
    pub fn tell(
        &mut self,
        nom: &str,
        protocole: Option<Protocol>,
        attendu: &str,
        observe: impl Into<String>,
        verdict: Verdict,
        proof: Option<String>,
    ) {
        self.add(VariantResult {
            nom: nom.to_owned(),
            protocole,
            attendu: attendu.to_owned(),
            observe: observe.into(),
            verdict,
            controle_avant: None,
            controle_apres: None,
            preuves: proof.into_iter().collect(),
        });
    }
}

/// A text without what moves a terminal or turns around what is read.
fn harmless(text: String) -> String {
    let acts = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return text;
    }
    text.chars().flat_map(|c| if acts(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// The verdict for something seen: conforming, or the case's severity.
#[must_use]
pub fn judge(is_right: bool, case: &Case) -> Verdict {
    if is_right { Verdict::Conforme } else { Verdict::fault(case.severity) }
}
