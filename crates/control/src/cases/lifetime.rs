//! How long a session lives: past the end of its token (SES-03), and when nothing is said (SES-04).
//!
//! By day SES-03 watches for less than a minute and only tells what it saw; the four hours of a session and the half hour of silence are
//! for a campaign by night (`limits.night`). RFC 3501 §5.4 forbids an IMAP server to close before thirty minutes: the fifteen minutes of
//! PSC concern mail software, not servers.
//!
//! Once logged in a session has nothing more to ask, neither of Pro Santé Connect nor of whoever lets people in: outages, refusals and lists of other
//! cases may be played beside. When it ends during one, or the operator asks about its token then, it is watched again with nothing beside.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Things;
use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol};
use crate::engine::{disturbed_since, lets_go, waiting};
use crate::forge::{Mutation, id, xoauth2};
use crate::job::Limits;
use crate::stand::psc::Behaviour;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Wire, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["SES-03", "SES-04"];

/// How a session is watched.
#[derive(Debug, Clone, Copy)]
struct Watch {
    /// From one NOOP to the next.
    every: Duration,
    /// For how long.
    length: Duration,
    /// Whether that is long enough to say that it lives too long.
    is_whole: bool,
}

/// The token of SES-03 has a minute to live, of which so many seconds are left when the session begins: the second when the first was over before
/// a slow machine had logged in.
const LEFT: [i64; 2] = [10, 40];
const LIFE: i64 = 60;
/// By day: half a minute past the end of the token, which is what clocks may differ by.
const BY_DAY: Watch = Watch { every: Duration::from_secs(5), length: Duration::from_secs(42), is_whole: false };
/// From one NOOP to the next by night.
const BY_NIGHT: Duration = Duration::from_secs(30);
/// What is watched beyond the longest life of a session, as a part of it: five minutes of four hours.
const BEYOND: u32 = 48;
/// Least silence an IMAP server must bear.
const LEAST_IDLE: Duration = Duration::from_secs(30 * 60);
/// Longest silence waited through.
const MOST_IDLE: Duration = Duration::from_secs(65 * 60);

impl Watch {
    /// To the end of what a session may last when there is a night for it, or when that is soon over.
    fn of(limits: &Limits) -> Watch {
        let whole = limits.session() + limits.session() / BEYOND;
        match whole <= BY_DAY.length {
            true => Watch { length: whole, is_whole: true, ..BY_DAY },
            false if limits.night => Watch { every: BY_NIGHT, length: whole, is_whole: true },
            false => BY_DAY,
        }
    }

    /// As long past the end of a token that has so many seconds left, when it is not watched to the end of what a session may last.
    fn past(self, left: i64) -> Watch {
        match self.is_whole {
            true => self,
            false => Watch { length: self.length + Duration::from_secs((left - LEFT[0]).unsigned_abs()), ..self },
        }
    }
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let night = context.job.limits.night;
    if case.id == "SES-04" && !night {
        let cause = "demande plus d'une demi-heure de silence : limits.night = true".to_owned();
        return findings.tell("cas", None, &case.expected, "", Verdict::NonExecute { cause }, None);
    }
    let logs = [Log::default(), Log::default()];
    let from = match &context.stand {
        Some(stand) => stand.psc().await.ok().map(|now| now.last),
        None => None,
    };
    let jtis = [id(), id()];
    let (imap, smtp) = tokio::join!(
        enter(case, context, Protocol::Imap, &jtis[0], &logs[0]),
        enter(case, context, Protocol::Smtp, &jtis[1], &logs[1])
    );
    // From here on both sessions live, or do not, by themselves.
    lets_go(Things::SERVER | Things::PSC);
    let (imap, smtp) =
        tokio::join!(watched(case, context, Protocol::Imap, imap), watched(case, context, Protocol::Smtp, smtp));
    findings.again = imap.is_disturbed || smtp.is_disturbed || has_asked(context, from, &jtis).await;
    for ((protocol, seen), log) in Protocol::BOTH.into_iter().zip([imap, smtp]).zip(&logs) {
        let proof = findings.keep(&json!({ "activite": seen.curve, "dialogue": log.lines() }));
        let name = &context.server(protocol).name;
        findings.tell(name, Some(protocol), &case.expected, seen.observed, seen.verdict, Some(proof));
    }
}

/// Whether the operator asked about one of these tokens while Pro Santé Connect was not itself.
async fn has_asked(context: &Context, from: Option<u64>, jtis: &[String]) -> bool {
    let (Some(stand), Some(from)) = (&context.stand, from) else { return false };
    // The stand does not answer: nobody plays anything either.
    let calls = stand.psc_calls(from).await.unwrap_or_default();
    let normal = Behaviour::Normal.to_string();
    calls.iter().any(|call| call.behaviour != normal && call.jti.as_ref().is_some_and(|jti| jtis.contains(jti)))
}

/// What was seen of one session.
struct Seen {
    observed: String,
    verdict: Verdict,
    curve: Vec<Value>,
    /// Whether it ended while another case disturbed what it had let go of.
    is_disturbed: bool,
}

/// A session that stands, and in how many seconds its token ends.
struct Entered {
    wire: Wire,
    left: i64,
}

/// A session with a token of its own; the answer and the verdict when there is none.
async fn enter(
    case: &Case,
    context: &Context,
    protocol: Protocol,
    jti: &str,
    log: &Log,
) -> Result<Entered, (String, Verdict)> {
    let (forge, mailbox) = context.tokens().map_err(|verdict| (String::new(), verdict))?;
    let mut line = String::new();
    for left in LEFT {
        let life = [("exp", left), ("iat", left - LIFE)]
            .map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: json!(format!("T{at:+}")) });
        let named = Mutation::PoserCharge { nom: "jti".to_owned(), valeur: json!(jti) };
        let life = life.into_iter().filter(|_| case.id == "SES-03");
        let mutations: Vec<Mutation> = life.chain([named]).collect();
        let began = Instant::now();
        let token = forge
            .make(&mailbox.idnat, &mailbox.other_idnat, &mutations)
            .map_err(|error| (String::new(), Verdict::unclear(error)))?;
        let login = context.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await;
        line = login.line;
        match (login.outcome, login.wire) {
            (LoginOutcome::Accepted, Some(wire)) => return Ok(Entered { wire, left }),
            // Ends are whole seconds.
            (LoginOutcome::Refused | LoginOutcome::Cut, _) if began.elapsed().as_secs() + 1 < left.unsigned_abs() => {
                break;
            }
            _ => {}
        }
    }
    Err((line, Verdict::unclear("le jeton n'a pas été accepté d'abord")))
}

async fn watched(
    case: &Case,
    context: &Context,
    protocol: Protocol,
    entered: Result<Entered, (String, Verdict)>,
) -> Seen {
    let Entered { wire, left: until } = match entered {
        Ok(entered) => entered,
        Err((observed, verdict)) => return Seen { observed, verdict, curve: Vec::new(), is_disturbed: false },
    };
    if case.id == "SES-03" {
        let watch = Watch::of(&context.job.limits).past(until);
        let (curve, end) = active(wire, protocol, watch, &Real(Instant::now())).await;
        let (observed, verdict) = outlived(&end, until, watch, case.severity);
        Seen { observed, verdict, curve, is_disturbed: !end.lives && disturbed_since(end.alive) }
    } else {
        waiting("que le serveur ferme une session qui ne dit rien (plus d'une demi-heure)");
        let end = silent(wire, protocol, MOST_IDLE).await;
        let (observed, verdict) = left(&end, protocol, LEAST_IDLE, case.severity);
        let curve = vec![json!({ "s": end.after.as_secs(), "fin": end.line })];
        Seen { observed, verdict, curve, is_disturbed: !end.lives && disturbed_since(end.alive) }
    }
}

/// How a session ended, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    /// After how long; the whole watch when it lives on.
    after: Duration,
    /// Whether it still lives.
    lives: bool,
    /// Whether the server said why: `* BYE`, 421.
    is_polite: bool,
    /// The last line.
    line: String,
    /// When it was last known to live.
    alive: Instant,
}

/// The time that goes by while a session is watched: a test has not four hours.
trait Clock {
    /// Since the watch began.
    fn elapsed(&self) -> Duration;
    /// Until so much more went by.
    async fn sleep(&self, wait: Duration);
}

/// The machine's.
struct Real(Instant);

impl Clock for Real {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// NOOP after NOOP; what was seen, and the end.
async fn active(mut wire: Wire, protocol: Protocol, watch: Watch, clock: &impl Clock) -> (Vec<Value>, End) {
    let mut curve = Vec::new();
    let mut line = String::new();
    let mut alive = Instant::now();
    while clock.elapsed() < watch.length {
        clock.sleep(watch.every.min(watch.length.saturating_sub(clock.elapsed()))).await;
        let after = clock.elapsed();
        let said = match protocol {
            Protocol::Imap => wire.imap("NOOP").await.map(|answer| {
                let bye = answer.untagged.into_iter().find(|line| is_bye(line));
                (answer.line, bye)
            }),
            Protocol::Smtp => wire.smtp("NOOP").await.map(|answer| (answer.line().to_owned(), None)),
        };
        let ended = match said {
            Ok((last, None)) => {
                (line, alive) = (last, Instant::now());
                None
            }
            Ok((_, Some(bye))) => Some((true, bye)),
            // The line of a BYE that came alone is in the error or was the last before the close.
            Err(WireError::Busy(last)) => Some((true, last)),
            Err(error) => Some((said_goodbye(&wire), error.to_string())),
        };
        curve.push(json!({ "s": after.as_secs(), "vivante": ended.is_none() }));
        if let Some((is_polite, line)) = ended {
            return (curve, End { after, lives: false, is_polite, line, alive });
        }
    }
    (curve, End { after: clock.elapsed(), lives: true, is_polite: false, line, alive })
}

/// Waits without a word.
async fn silent(mut wire: Wire, protocol: Protocol, longest: Duration) -> End {
    let began = Instant::now();
    let (mut is_polite, mut line) = (false, String::new());
    loop {
        let left = longest.saturating_sub(began.elapsed());
        if left.is_zero() {
            return End { after: began.elapsed(), lives: true, is_polite, line, alive: Instant::now() };
        }
        wire.set_patience(left);
        match wire.line().await {
            Ok(last) => {
                is_polite |= match protocol {
                    Protocol::Imap => is_bye(&last),
                    Protocol::Smtp => last.starts_with("421"),
                };
                line = last;
            }
            Err(WireError::Silent) => {
                return End { after: began.elapsed(), lives: true, is_polite, line, alive: Instant::now() };
            }
            Err(error) => {
                let line = if line.is_empty() { error.to_string() } else { line };
                // Seen at once: it lived until now.
                return End { after: began.elapsed(), lives: false, is_polite, line, alive: Instant::now() };
            }
        }
    }
}

fn is_bye(line: &str) -> bool {
    line.to_ascii_uppercase().starts_with("* BYE")
}

/// Whether the last thing the server said was BYE or 421, before it closed.
fn said_goodbye(wire: &Wire) -> bool {
    wire.last_said().is_some_and(|line| is_bye(&line) || line.starts_with("421"))
}

/// SES-03, of a session whose token had so many seconds left.
fn outlived(end: &End, left: i64, watch: Watch, severity: Severity) -> (String, Verdict) {
    let past = i64::try_from(end.after.as_secs()).unwrap_or(i64::MAX).saturating_sub(left);
    match end.lives {
        true if watch.is_whole => {
            let (minutes, seconds) = (end.after.as_secs() / 60, end.after.as_secs() % 60);
            (format!("vivante après {minutes} min {seconds} s"), Verdict::fault(severity))
        }
        true => (
            format!(
                "vivante {past} s après la fin de son jeton ; la borne de 4 h ne se voit que de nuit (limits.night = true)"
            ),
            Verdict::fault(Severity::Information),
        ),
        false => {
            let how = if end.is_polite { "avec un mot" } else { "sans un mot" };
            (format!("fermée {past} s après la fin de son jeton, {how} : {}", end.line), Verdict::Conforme)
        }
    }
}

/// SES-04.
fn left(end: &End, protocol: Protocol, least: Duration, severity: Severity) -> (String, Verdict) {
    let after = format!("{} min {} s", end.after.as_secs() / 60, end.after.as_secs() % 60);
    if end.lives {
        return (format!("toujours ouverte après {after} de silence"), Verdict::fault(Severity::Information));
    }
    let is_early = protocol == Protocol::Imap && end.after < least;
    let observed = format!("fermée après {after} de silence : {}", end.line);
    match end.is_polite && !is_early {
        true => (observed, Verdict::Conforme),
        false => (observed, Verdict::fault(severity)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const QUICK: Watch =
        Watch { every: Duration::from_millis(20), length: Duration::from_millis(200), is_whole: false };

    /// A server that says this and closes when told to.
    async fn server(said: &'static str, closes: bool) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.write_all(said.as_bytes()).await;
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        Wire::connect(address, Duration::from_secs(5), &Log::default()).await.expect("listening")
    }

    #[test]
    fn a_session_is_watched_to_its_end_when_there_is_time_for_it() {
        let of = |session_seconds, night| {
            let watch = Watch::of(&Limits { session_seconds, night, ..Limits::default() });
            (watch.length.as_secs(), watch.is_whole)
        };
        assert_eq!(of(4 * 3600, false), (42, false));
        assert_eq!(of(4 * 3600, true), (4 * 3600 + 300, true));
        assert_eq!(of(24, false), (24, true));
        // Nobody has more than four hours.
        assert_eq!(of(24 * 3600, true), (4 * 3600 + 300, true));
    }

    #[tokio::test]
    async fn sessions_that_end_politely_rudely_or_not_at_all() {
        let end = silent(server("* BYE idle\r\n", true).await, Protocol::Imap, QUICK.length).await;
        assert!(!end.lives && end.is_polite, "{end:?}");
        assert_eq!(left(&end, Protocol::Imap, Duration::ZERO, Severity::Minor).1, Verdict::Conforme);
        assert_eq!(
            left(&end, Protocol::Imap, LEAST_IDLE, Severity::Minor).1,
            Verdict::fault(Severity::Minor),
            "too early"
        );
        let end = silent(server("421 4.4.2 idle\r\n", true).await, Protocol::Smtp, QUICK.length).await;
        assert_eq!(left(&end, Protocol::Smtp, LEAST_IDLE, Severity::Minor).1, Verdict::Conforme);
        let end = silent(server("", true).await, Protocol::Smtp, QUICK.length).await;
        assert_eq!(left(&end, Protocol::Smtp, LEAST_IDLE, Severity::Minor).1, Verdict::fault(Severity::Minor));
        let end = silent(server("* OK still here\r\n", false).await, Protocol::Imap, QUICK.length).await;
        assert_eq!(left(&end, Protocol::Imap, LEAST_IDLE, Severity::Minor).1, Verdict::fault(Severity::Information));
    }

    #[tokio::test]
    async fn what_becomes_of_an_active_session_is_told() {
        let (curve, end) =
            active(server("* BYE the token is over\r\n", true).await, Protocol::Imap, QUICK, &Real(Instant::now()))
                .await;
        assert!(!end.lives && end.is_polite, "{end:?}");
        assert_eq!(curve.len(), 1);
        assert_eq!(outlived(&end, 0, QUICK, Severity::Major).1, Verdict::Conforme);
        let answers = "250 2.0.0 ok\r\n".repeat(20);
        let (curve, end) = active(
            server(Box::leak(answers.into_boxed_str()), false).await,
            Protocol::Smtp,
            QUICK,
            &Real(Instant::now()),
        )
        .await;
        assert!(end.lives && curve.len() > 3, "{curve:?}");
        assert_eq!(outlived(&end, 0, QUICK, Severity::Major).1, Verdict::fault(Severity::Information));
        let night = Watch { is_whole: true, ..QUICK };
        assert_eq!(outlived(&end, 0, night, Severity::Major).1, Verdict::fault(Severity::Major));
    }

    /// Goes by only when somebody waits.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Duration>>);

    impl Clock for Told {
        fn elapsed(&self) -> Duration {
            *self.0.lock().expect("no panic")
        }

        async fn sleep(&self, wait: Duration) {
            *self.0.lock().expect("no panic") += wait;
        }
    }

    /// A server of one protocol that answers every NOOP, and says goodbye instead once a session has lasted so long.
    fn lasting(protocol: Protocol, longest: Option<Duration>, clock: Told) -> Wire {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let (lines, mut answers) = tokio::io::split(far);
            let mut lines = tokio::io::BufReader::new(lines).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if longest.is_some_and(|longest| clock.elapsed() >= longest) {
                    let bye: &[u8] = match protocol {
                        Protocol::Imap => b"* BYE The session lasted long enough, connect again\r\n",
                        Protocol::Smtp => b"421 4.4.2 The session lasted long enough\r\n",
                    };
                    return answers.write_all(bye).await.expect("somebody reads");
                }
                let answer = match (protocol, line.split_once(' ')) {
                    (Protocol::Imap, Some((tag, "NOOP"))) => format!("{tag} OK done\r\n"),
                    (Protocol::Smtp, None) if line == "NOOP" => "250 2.0.0 Ok\r\n".to_owned(),
                    _ => panic!("{line}"),
                };
                answers.write_all(answer.as_bytes()).await.expect("somebody reads");
            }
        });
        Wire::over(near, Duration::from_secs(120), &Log::default())
    }

    #[tokio::test]
    async fn by_night_a_session_cut_at_four_hours_is_told_from_one_that_goes_on() {
        const FOUR_HOURS: Duration = Duration::from_secs(4 * 3600);
        let watch = Watch::of(&Limits { night: true, ..Limits::default() });
        for protocol in Protocol::BOTH {
            let clock = Told::default();
            let (curve, end) =
                active(lasting(protocol, Some(FOUR_HOURS), clock.clone()), protocol, watch, &clock).await;
            assert!(!end.lives && end.is_polite && curve.len() == 480, "{end:?}");
            let (observed, verdict) = outlived(&end, LEFT[0], watch, Severity::Major);
            assert_eq!(verdict, Verdict::Conforme, "{observed}");
            let told = "fermée 14390 s après la fin de son jeton, avec un mot";
            assert!(observed.starts_with(told), "{observed}");

            for longest in [None, Some(FOUR_HOURS + Duration::from_secs(6 * 60))] {
                let clock = Told::default();
                let (curve, end) = active(lasting(protocol, longest, clock.clone()), protocol, watch, &clock).await;
                assert!(end.lives && curve.len() == 490, "{end:?}");
                let (observed, verdict) = outlived(&end, LEFT[0], watch, Severity::Major);
                assert_eq!(verdict, Verdict::fault(Severity::Major));
                assert_eq!(observed, "vivante après 245 min 0 s");
            }
        }
    }

    #[test]
    fn a_token_that_ends_later_is_watched_longer() {
        let by_day = Watch::of(&Limits::default());
        assert_eq!(by_day.past(LEFT[0]).length, BY_DAY.length);
        assert_eq!(by_day.past(LEFT[1]).length, BY_DAY.length + Duration::from_secs(30));
        let short = Watch::of(&Limits { session_seconds: 24, ..Limits::default() });
        assert_eq!(short.past(LEFT[1]).length, short.length, "what a session may last is no matter of its token");
    }
}
