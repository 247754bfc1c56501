//! The scripted operator, reading: as much IMAP as mail software needs, and every way to misbehave before that. RFC 3501, 4959, 2177.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::data::{AuthAnswer, Cut, Greeting, Starttls};
use super::mailbox::{fetch, has_it, whole_command};
use super::sasl;
use super::seen::Phase;
use super::stage::{AFTER, Stage, challenge};
use super::talk::{End, Talk, harmless, kept};

/// How long a client is given to speak before it was answered: what it says then was said to an answer that was injected.
pub(super) const TEMPTATION: Duration = Duration::from_millis(1200);

/// One session.
pub async fn serve(mut talk: Talk, stage: Arc<Stage>) -> Result<(), End> {
    let scenario = stage.scenario;
    match scenario.accueil {
        Greeting::Occupe => {
            talk.say("* BYE [UNAVAILABLE] occupe, revenez plus tard\r\n").await?;
            talk.close().await;
            return Err(End::Over);
        }
        Greeting::Preauth => talk.say(&format!("* PREAUTH [CAPABILITY IMAP4rev1] {}\r\n", stage.host)).await?,
        Greeting::Normal => talk.say(&format!("* OK [CAPABILITY {}] {}\r\n", clear(&stage), stage.host)).await?,
    }
    if stage.is_cut(Cut::ApresAccueil) {
        return cut(talk).await;
    }
    let mut session = Session { talk, stage, phase: Phase::Clair, is_open: scenario.accueil == Greeting::Preauth };
    loop {
        let line = session.talk.line().await?;
        let line = whole_command(&mut session.talk, line).await?;
        let (tag, verb, rest) = parts(&line);
        session.talk.handle.verb(session.phase, &verb);
        if verb == "STARTTLS" && session.phase == Phase::Clair {
            session.talk.handle.line('>', harmless(&line));
            session = session.starttls(&tag, &rest).await?;
            continue;
        }
        session.command(&line, &tag, &verb, &rest).await?;
    }
}

/// What is announced in clear.
fn clear(stage: &Stage) -> &'static str {
    match stage.scenario.starttls {
        Starttls::Absent => "IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN",
        Starttls::Refuse => "IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2 AUTH=PLAIN",
        Starttls::Normal | Starttls::Injection => "IMAP4rev1 STARTTLS LOGINDISABLED",
    }
}

/// The scenario ends the session here, without a word.
async fn cut(talk: Talk) -> Result<(), End> {
    talk.handle.line('=', "coupure par le scénario".to_owned());
    talk.handle.with(|session| session.coupee = true);
    drop(talk);
    Err(End::Over)
}

struct Session {
    talk: Talk,
    stage: Arc<Stage>,
    phase: Phase,
    /// Authenticated, or said to be.
    is_open: bool,
}

impl Session {
    async fn starttls(mut self, tag: &str, _rest: &str) -> Result<Session, End> {
        let stage = self.stage.clone();
        match stage.scenario.starttls {
            Starttls::Absent => self.talk.say(&format!("{tag} BAD commande inconnue\r\n")).await?,
            Starttls::Refuse => self.talk.say(&format!("{tag} NO TLS indisponible\r\n")).await?,
            _ if stage.scenario.accueil == Greeting::Preauth => {
                self.talk.say(&format!("{tag} BAD deja authentifie\r\n")).await?;
            }
            behaviour => {
                let mut answer = format!("{tag} OK TLS\r\n");
                if behaviour == Starttls::Injection {
                    // The tags that come next, for software that counts.
                    for step in 1..=2 {
                        answer += &format!(
                            "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n{} OK fait\r\n",
                            next_tag(tag, step)
                        );
                    }
                }
                self.talk.say(&answer).await?;
                self.talk = self.talk.tls(&stage.tls).await?;
                self.phase = Phase::Tls;
                if stage.is_cut(Cut::ApresTls) {
                    cut(self.talk).await?;
                    return Err(End::Over);
                }
                if behaviour == Starttls::Injection {
                    self.tempt().await?;
                }
            }
        }
        Ok(self)
    }

    /// Lets the first command inside TLS wait, and looks whether another follows it.
    async fn tempt(&mut self) -> Result<(), End> {
        let first = self.talk.line().await?;
        if !self.talk.is_quiet(TEMPTATION).await {
            self.talk.handle.line('=', "une commande de plus avant la réponse à la première".to_owned());
            self.talk.handle.with(|session| session.en_avance = true);
        }
        let mut line = first;
        line.extend_from_slice(b"\r\n");
        self.talk.unread(&line);
        Ok(())
    }

    async fn command(&mut self, line: &[u8], tag: &str, verb: &str, rest: &str) -> Result<(), End> {
        match verb {
            "AUTHENTICATE" => return self.authenticate(tag, rest).await,
            "LOGIN" => {
                let mut words = rest.splitn(2, ' ').map(|word| word.trim_matches('"'));
                let (user, password) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let secret = sasl::secret_of("LOGIN", user.as_bytes(), password.as_bytes(), self.phase, true);
                self.talk.handle.secret(secret);
                self.talk.handle.line('>', format!("{tag} LOGIN {}", kept(rest.as_bytes())));
                return self.talk.say(&format!("{tag} NO [AUTHENTICATIONFAILED] LOGIN n'existe pas\r\n")).await;
            }
            _ => self.talk.handle.line('>', harmless(line)),
        }
        match verb {
            "CAPABILITY" => {
                let known = match self.phase {
                    Phase::Clair if self.is_open => "IMAP4rev1",
                    Phase::Clair => clear(&self.stage),
                    _ if self.stage.scenario.sasl_ir => "IMAP4rev1 SASL-IR AUTH=XOAUTH2 ID IDLE NAMESPACE UNSELECT",
                    _ => "IMAP4rev1 AUTH=XOAUTH2 ID IDLE NAMESPACE UNSELECT",
                };
                self.talk.say(&format!("* CAPABILITY {known}\r\n{tag} OK fait\r\n")).await
            }
            "NOOP" | "CHECK" => self.talk.say(&format!("{tag} OK fait\r\n")).await,
            "ID" => self.talk.say(&format!("* ID (\"name\" \"controle\")\r\n{tag} OK fait\r\n")).await,
            "LOGOUT" => {
                self.talk.say(&format!("* BYE au revoir\r\n{tag} OK fait\r\n")).await?;
                Err(End::Over)
            }
            _ if self.is_open => self.opened(tag, verb, rest).await,
            _ => self.talk.say(&format!("{tag} BAD pas avant l'authentification\r\n")).await,
        }
    }

    async fn authenticate(&mut self, tag: &str, rest: &str) -> Result<(), End> {
        let (mechanism, given) =
            rest.split_once(' ').map_or((rest, None), |(name, given)| (name, Some(given.to_owned())));
        let mechanism = mechanism.to_ascii_uppercase();
        let is_initial = given.is_some();
        let response = match given {
            Some(given) => {
                self.talk.handle.line(
                    '>',
                    format!("{tag} AUTHENTICATE {} {}", harmless(mechanism.as_bytes()), kept(given.as_bytes())),
                );
                given.into_bytes()
            }
            None => {
                self.talk.handle.line('>', format!("{tag} AUTHENTICATE {}", harmless(mechanism.as_bytes())));
                self.talk.say("+ \r\n").await?;
                let response = self.talk.line().await?;
                self.talk.handle.line('>', kept(&response));
                response
            }
        };
        let mut secret = sasl::read(&mechanism, &response, self.phase, is_initial);
        let answer = match self.phase {
            Phase::Tls if mechanism == "XOAUTH2" => self.stage.answer(),
            _ => AuthAnswer::Refus,
        };
        let is_good = !secret.utilisateur.is_empty() && answer == AuthAnswer::Accepte;
        let is_allowed = self.stage.scenario.sasl_ir || !is_initial;
        secret.accepte = is_good && is_allowed;
        self.talk.handle.secret(secret);
        if !is_allowed {
            return self.talk.say(&format!("{tag} BAD SASL-IR n'est pas annonce\r\n")).await;
        }
        match answer {
            AuthAnswer::Accepte if is_good => {
                self.talk
                    .say(&format!("{tag} OK [CAPABILITY IMAP4rev1 ID IDLE NAMESPACE UNSELECT] bonjour\r\n"))
                    .await?;
                self.talk.handle.with(|session| session.ouverte = true);
                self.phase = Phase::Ouverte;
                self.is_open = true;
                self.talk.set_patience(AFTER);
                if self.stage.is_cut(Cut::ApresAuth) {
                    self.talk.handle.with(|session| session.coupee = true);
                    self.talk.handle.line('=', "coupure par le scénario".to_owned());
                    return Err(End::Over);
                }
                match self.stage.scenario.duree_session {
                    Some(seconds) => self.for_a_while(Duration::from_secs(seconds)).await,
                    None => Ok(()),
                }
            }
            AuthAnswer::Indisponible => self.talk.say(&format!("{tag} NO [UNAVAILABLE] revenez plus tard\r\n")).await,
            AuthAnswer::DefiPuisRefus | AuthAnswer::DefiPuisCoupure => {
                self.talk.say(&format!("+ {}\r\n", challenge())).await?;
                let line = self.talk.line().await?;
                self.talk.handle.with(|session| session.ligne_vide = Some(line.is_empty()));
                self.talk.handle.line('>', if line.is_empty() { String::new() } else { kept(&line) });
                if answer == AuthAnswer::DefiPuisCoupure {
                    self.talk.handle.with(|session| session.coupee = true);
                    return Err(End::Over);
                }
                self.talk.say(&format!("{tag} NO [AUTHENTICATIONFAILED] jeton refuse\r\n")).await
            }
            _ => self.talk.say(&format!("{tag} NO [AUTHENTICATIONFAILED] refuse\r\n")).await,
        }
    }

    /// The session goes on until its time is over, then BYE.
    async fn for_a_while(&mut self, life: Duration) -> Result<(), End> {
        let until = Instant::now() + life;
        loop {
            let line = match timeout_at(until, self.talk.line()).await {
                Ok(line) => line?,
                Err(_) => {
                    self.talk.handle.with(|session| session.coupee = true);
                    self.talk.say_now("* BYE session close par l'operateur\r\n").await?;
                    return Err(End::Over);
                }
            };
            let line = whole_command(&mut self.talk, line).await?;
            let (tag, verb, rest) = parts(&line);
            self.talk.handle.verb(self.phase, &verb);
            let step = Box::pin(self.command(&line, &tag, &verb, &rest));
            match timeout_at(until, step).await {
                Ok(done) => done?,
                // In IDLE, where BYE is as welcome.
                Err(_) => {
                    self.talk.handle.with(|session| session.coupee = true);
                    self.talk.say_now("* BYE session close par l'operateur\r\n").await?;
                    return Err(End::Over);
                }
            }
        }
    }

    async fn opened(&mut self, tag: &str, verb: &str, rest: &str) -> Result<(), End> {
        let done = format!("{tag} OK fait\r\n");
        let text = match verb {
            "SELECT" | "EXAMINE" => {
                if !folder_is_inbox(rest) {
                    format!("{tag} NO [NONEXISTENT] pas de tel dossier\r\n")
                } else {
                    let mode = if verb == "SELECT" { "READ-WRITE" } else { "READ-ONLY" };
                    format!(
                        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)] drapeaux\r\n\
                         * 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] validite\r\n* OK [UIDNEXT 2] suivant\r\n{tag} OK [{mode}] fait\r\n"
                    )
                }
            }
            "LIST" | "LSUB" | "XLIST" => {
                let pattern = rest.rsplit(' ').next().unwrap_or_default().trim_matches('"');
                let line = if pattern.is_empty() { "(\\Noselect) \"/\" \"\"" } else { "() \"/\" INBOX" };
                format!("* {verb} {line}\r\n{done}")
            }
            "STATUS" => format!("* STATUS INBOX (MESSAGES 1 RECENT 0 UIDNEXT 2 UIDVALIDITY 1 UNSEEN 1)\r\n{done}"),
            "NAMESPACE" => format!("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n{done}"),
            "ENABLE" => format!("* ENABLED\r\n{done}"),
            "SEARCH" => format!("* SEARCH 1\r\n{done}"),
            "STORE" => format!("* 1 FETCH (FLAGS (\\Seen))\r\n{done}"),
            "CLOSE" | "UNSELECT" | "EXPUNGE" | "SUBSCRIBE" | "UNSUBSCRIBE" => done,
            "IDLE" => return self.idle(tag).await,
            "FETCH" => return self.fetch(tag, rest, false).await,
            "UID" => {
                let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                match verb.to_ascii_uppercase().as_str() {
                    "FETCH" => return self.fetch(tag, rest, true).await,
                    "SEARCH" => format!("* SEARCH 1\r\n{done}"),
                    "STORE" => format!("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n{done}"),
                    _ => format!("{tag} BAD commande inconnue\r\n"),
                }
            }
            _ => format!("{tag} NO pas dans ce controle\r\n"),
        };
        self.talk.say(&text).await
    }

    async fn idle(&mut self, tag: &str) -> Result<(), End> {
        self.talk.say("+ en attente\r\n").await?;
        self.talk.handle.with(|session| session.abouti = true);
        let line = self.talk.line().await?;
        self.talk.handle.line('>', harmless(&line));
        self.talk.say(&format!("{tag} OK fait\r\n")).await
    }

    async fn fetch(&mut self, tag: &str, rest: &str, by_uid: bool) -> Result<(), End> {
        let (set, items) = rest.split_once(' ').unwrap_or((rest, ""));
        if !has_it(set) {
            return self.talk.say(&format!("{tag} OK rien\r\n")).await;
        }
        let Some(told) = fetch(items, by_uid) else {
            return self.talk.say(&format!("{tag} BAD elements inconnus\r\n")).await;
        };
        let answer = [b"* 1 FETCH (", told.as_slice(), b")\r\n"].concat();
        if self.stage.is_cut(Cut::PendantFetch) {
            self.talk.raw(&answer[..answer.len() / 2]).await?;
            self.talk.handle.line('=', "coupure par le scénario au milieu de FETCH".to_owned());
            self.talk.handle.with(|session| session.coupee = true);
            return Err(End::Over);
        }
        tokio::time::sleep(self.stage.delay()).await;
        self.talk.handle.line('<', "* 1 FETCH (…)".to_owned());
        self.talk.raw(&answer).await?;
        self.talk.say(&format!("{tag} OK fait\r\n")).await?;
        self.talk.handle.with(|session| session.abouti = true);
        Ok(())
    }
}

fn folder_is_inbox(rest: &str) -> bool {
    let name = rest.split(" (").next().unwrap_or_default().trim().trim_matches('"');
    name.eq_ignore_ascii_case("INBOX")
}

/// Tag, verb in upper case, rest.
fn parts(line: &[u8]) -> (String, String, String) {
    let text = String::from_utf8_lossy(line);
    let mut words = text.splitn(3, ' ');
    let tag: String = words.next().unwrap_or_default().chars().filter(char::is_ascii_graphic).take(64).collect();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let tag = if tag.is_empty() { "*".to_owned() } else { tag };
    (tag, verb.chars().filter(char::is_ascii_graphic).collect(), words.next().unwrap_or_default().to_owned())
}

/// The tag after this one, for software that counts at its end: `A0001` gives `A0002`.
fn next_tag(tag: &str, step: u64) -> String {
    let digits = tag.len() - tag.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (head, number) = tag.split_at(tag.len() - digits);
    match number.parse::<u64>() {
        Ok(number) => format!("{head}{:0digits$}", number.saturating_add(step)),
        Err(_) => tag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command() {
        assert_eq!(next_tag("A0009", 1), "A0010");
        assert_eq!(next_tag("abc", 1), "abc");
        assert_eq!(next_tag("18446744073709551615", 2), "18446744073709551615");
        let (tag, verb, rest) = parts(b"a1 uid FETCH 1 (FLAGS)");
        assert_eq!((tag.as_str(), verb.as_str(), rest.as_str()), ("a1", "UID", "FETCH 1 (FLAGS)"));
        assert_eq!(parts(b"").0, "*");
        assert!(folder_is_inbox("\"inbox\" (CONDSTORE)") && !folder_is_inbox("Sent"));
    }
}
