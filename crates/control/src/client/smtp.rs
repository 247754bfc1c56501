//! The scripted operator, taking messages: RFC 5321, 3207, 4954, 1870, and every way to misbehave before and within.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::data::{AuthAnswer, Cut, Greeting, Starttls};
use super::imap::TEMPTATION;
use super::sasl;
use super::seen::{Mail, Phase};
use super::stage::{Stage, challenge};
use super::talk::{End, Talk, harmless, kept};

/// Recipients kept of one message.
const MAX_RECIPIENTS: usize = 100;
/// How much beyond the limit is read before the session is given up: the end of a message that is too large is waited for so long.
const PATIENCE_BEYOND: u64 = 4;

/// One session.
pub async fn serve(mut talk: Talk, stage: Arc<Stage>) -> Result<(), End> {
    if stage.scenario.accueil == Greeting::Occupe {
        talk.say("421 4.3.2 occupe, revenez plus tard\r\n").await?;
        talk.close().await;
        return Err(End::Over);
    }
    talk.say(&format!("220 {} ESMTP\r\n", stage.host)).await?;
    let mut session = Session { talk, stage, phase: Phase::Clair, from: None, to: Vec::new(), declared: None };
    if session.stage.is_cut(Cut::ApresAccueil) {
        return session.cut();
    }
    loop {
        let line = session.talk.line().await?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let verb: String = verb.to_ascii_uppercase().chars().filter(char::is_ascii_graphic).collect();
        session.talk.handle.verb(session.phase, &verb);
        if verb == "AUTH" {
            session.authenticate(rest).await?;
            continue;
        }
        session.talk.handle.line('>', harmless(&line));
        if verb == "STARTTLS" && session.phase == Phase::Clair {
            session = session.starttls().await?;
            continue;
        }
        session.command(&verb, rest).await?;
    }
}

struct Session {
    talk: Talk,
    stage: Arc<Stage>,
    phase: Phase,
    from: Option<String>,
    to: Vec<String>,
    declared: Option<u64>,
}

impl Session {
    fn cut(&self) -> Result<(), End> {
        self.talk.handle.line('=', "coupure par le scénario".to_owned());
        self.talk.handle.with(|session| session.coupee = true);
        Err(End::Over)
    }

    async fn starttls(mut self) -> Result<Session, End> {
        let stage = self.stage.clone();
        match stage.scenario.starttls {
            Starttls::Absent => self.talk.say("502 5.5.1 commande inconnue\r\n").await?,
            Starttls::Refuse => self.talk.say("454 4.7.0 TLS indisponible\r\n").await?,
            behaviour => {
                let injected = match behaviour {
                    Starttls::Injection => format!("250-{}\r\n250-SIZE 1000\r\n250 AUTH XOAUTH2 PLAIN\r\n", stage.host),
                    _ => String::new(),
                };
                self.talk.say(&format!("220 2.0.0 TLS\r\n{injected}")).await?;
                self.talk = self.talk.tls(&stage.tls).await?;
                self.phase = Phase::Tls;
                if stage.is_cut(Cut::ApresTls) {
                    self.cut()?;
                }
                if behaviour == Starttls::Injection {
                    let first = self.talk.line().await?;
                    if !self.talk.is_quiet(TEMPTATION).await {
                        self.talk.handle.line('=', "une commande de plus avant la réponse à la première".to_owned());
                        self.talk.handle.with(|session| session.en_avance = true);
                    }
                    self.talk.unread(&[first.as_slice(), b"\r\n"].concat());
                }
            }
        }
        Ok(self)
    }

    async fn command(&mut self, verb: &str, rest: &str) -> Result<(), End> {
        match verb {
            "EHLO" => {
                let extensions = match (self.phase, self.stage.scenario.starttls) {
                    (Phase::Clair, Starttls::Absent) => "250 AUTH XOAUTH2 PLAIN\r\n".to_owned(),
                    (Phase::Clair, Starttls::Refuse) => "250-STARTTLS\r\n250 AUTH XOAUTH2 PLAIN\r\n".to_owned(),
                    (Phase::Clair, _) => "250 STARTTLS\r\n".to_owned(),
                    _ => format!(
                        "250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-SIZE {}\r\n250 AUTH XOAUTH2\r\n",
                        self.stage.limit()
                    ),
                };
                self.talk.say(&format!("250-{}\r\n{extensions}", self.stage.host)).await
            }
            "HELO" => self.talk.say(&format!("250 {}\r\n", self.stage.host)).await,
            "NOOP" => self.talk.say("250 2.0.0 fait\r\n").await,
            "RSET" => {
                (self.from, self.declared) = (None, None);
                self.to.clear();
                self.talk.say("250 2.0.0 fait\r\n").await
            }
            "QUIT" => {
                self.talk.say("221 2.0.0 au revoir\r\n").await?;
                Err(End::Over)
            }
            "VRFY" => self.talk.say("252 2.5.0 envoyez toujours\r\n").await,
            "MAIL" | "RCPT" | "DATA" if self.phase != Phase::Ouverte => {
                self.talk.say("530 5.7.0 authentifiez-vous\r\n").await
            }
            "MAIL" => self.mail(rest).await,
            "RCPT" => match path(rest, "TO:") {
                Some(to) if self.from.is_some() && self.to.len() < MAX_RECIPIENTS => {
                    self.to.push(to);
                    self.talk.say("250 2.1.5 fait\r\n").await
                }
                Some(_) => self.talk.say("503 5.5.1 pas maintenant\r\n").await,
                None => self.talk.say("501 5.5.4 adresse illisible\r\n").await,
            },
            "DATA" if self.to.is_empty() => self.talk.say("503 5.5.1 pas de destinataire\r\n").await,
            "DATA" if self.stage.is_cut(Cut::AvantData) => self.cut(),
            "DATA" => self.data().await,
            _ => self.talk.say("502 5.5.1 commande inconnue\r\n").await,
        }
    }

    async fn mail(&mut self, rest: &str) -> Result<(), End> {
        let Some(from) = path(rest, "FROM:") else {
            return self.talk.say("501 5.5.4 adresse illisible\r\n").await;
        };
        let size =
            rest.split(' ').find_map(|word| word.to_ascii_uppercase().strip_prefix("SIZE=")?.parse::<u64>().ok());
        if size.is_some_and(|size| size > self.stage.limit()) {
            return self.talk.say("552 5.3.4 message trop grand\r\n").await;
        }
        (self.from, self.declared) = (Some(from), size);
        self.to.clear();
        self.talk.say("250 2.1.0 fait\r\n").await
    }

    async fn data(&mut self) -> Result<(), End> {
        self.talk.say("354 allez-y\r\n").await?;
        let limit = self.stage.limit();
        let mut end = Ending::default();
        let mut octets = Vec::new();
        let mut count = 0u64;
        let is_cut = self.stage.is_cut(Cut::PendantData);
        let rest = loop {
            let some = match self.talk.some().await {
                Ok(some) => some,
                Err(stopped) => {
                    self.keep(octets, count, false, false);
                    return Err(stopped);
                }
            };
            count = count.saturating_add(some.len() as u64);
            let rest = end.push(&some, &mut octets);
            if is_cut {
                self.keep(octets, count, false, false);
                return self.cut();
            }
            if octets.len() as u64 > limit {
                // Only its size counts now.
                octets.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            if count > limit.saturating_mul(PATIENCE_BEYOND).max(1_000_000) {
                self.keep(octets, count, false, false);
                return Err(End::TooMuch);
            }
            if let Some(rest) = rest {
                break rest;
            }
        };
        self.talk.unread(&rest);
        self.talk.handle.line('>', format!("(message de {count} octets)"));
        if self.stage.is_cut(Cut::AvantReponse) {
            self.keep(octets, count, true, false);
            return self.cut();
        }
        let is_taken = count <= limit.saturating_add(8);
        self.keep(octets, count, true, is_taken);
        (self.from, self.declared) = (None, None);
        self.to.clear();
        match is_taken {
            true => {
                let serial = self.stage.serial.fetch_add(1, Ordering::Relaxed);
                self.talk.say(&format!("250 2.0.0 pris, numero {serial}\r\n")).await
            }
            false => self.talk.say("552 5.3.4 message trop grand\r\n").await,
        }
    }

    fn keep(&self, octets: Vec<u8>, count: u64, entier: bool, accepte: bool) {
        let message_id = mail::header::find(&octets, "Message-ID").map(|id| crate::report::sha256(id.as_bytes()));
        self.talk.handle.mail(Mail {
            de: self.from.clone().unwrap_or_default(),
            a: self.to.clone(),
            annonce: self.declared,
            taille: count,
            sha256: crate::report::sha256(&octets),
            message_id,
            entier,
            accepte,
            octets: Arc::new(octets),
        });
    }

    async fn authenticate(&mut self, rest: &str) -> Result<(), End> {
        let (mechanism, given) =
            rest.split_once(' ').map_or((rest, None), |(name, given)| (name, Some(given.to_owned())));
        let mechanism = mechanism.to_ascii_uppercase();
        let is_initial = given.is_some();
        let response = match given {
            Some(given) => {
                self.talk
                    .handle
                    .line('>', format!("AUTH {} {}", harmless(mechanism.as_bytes()), kept(given.as_bytes())));
                given.into_bytes()
            }
            None => {
                self.talk.handle.line('>', format!("AUTH {}", harmless(mechanism.as_bytes())));
                self.talk.say("334 \r\n").await?;
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
        secret.accepte = is_good;
        self.talk.handle.secret(secret);
        match answer {
            AuthAnswer::Accepte if is_good => {
                self.talk.say("235 2.7.0 bonjour\r\n").await?;
                self.talk.handle.with(|session| session.ouverte = true);
                self.phase = Phase::Ouverte;
                if self.stage.is_cut(Cut::ApresAuth) { self.cut() } else { Ok(()) }
            }
            AuthAnswer::Indisponible => self.talk.say("454 4.7.0 revenez plus tard\r\n").await,
            AuthAnswer::DefiPuisRefus | AuthAnswer::DefiPuisCoupure => {
                self.talk.say(&format!("334 {}\r\n", challenge())).await?;
                let line = self.talk.line().await?;
                self.talk.handle.with(|session| session.ligne_vide = Some(line.is_empty()));
                self.talk.handle.line('>', if line.is_empty() { String::new() } else { kept(&line) });
                if answer == AuthAnswer::DefiPuisCoupure {
                    return self.cut();
                }
                self.talk.say("535 5.7.8 jeton refuse\r\n").await
            }
            _ => self.talk.say("535 5.7.8 refuse\r\n").await,
        }
    }
}

/// The address of `FROM:<…>`.
fn path(rest: &str, word: &str) -> Option<String> {
    let start = rest.get(..word.len())?;
    start.eq_ignore_ascii_case(word).then_some(())?;
    let inner = rest[word.len()..].trim_start().strip_prefix('<')?;
    let (address, _) = inner.split_once('>')?;
    (address.len() <= 254).then(|| crate::tls::starttls::shown(address))
}

/// Finds the end of a message, and takes the dots away (RFC 5321 §4.5.2).
#[derive(Default)]
struct Ending {
    /// The line so far, or what was not given out of it.
    line: Vec<u8>,
    /// Whether its beginning was given out.
    is_begun: bool,
}

impl Ending {
    /// Takes octets; what follows the end, once it is there.
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut at = 0;
        while at < octets.len() {
            let end =
                octets[at..].iter().position(|octet| *octet == b'\n').map_or(octets.len(), |found| at + found + 1);
            self.line.extend_from_slice(&octets[at..end]);
            at = end;
            let is_whole = self.line.last() == Some(&b'\n');
            if is_whole && !self.is_begun && matches!(self.line.as_slice(), b".\r\n" | b".\n") {
                return Some(octets[at..].to_vec());
            }
            // `.` and `.CR` may still be the end.
            if is_whole || self.line.len() > 2 {
                let dots = usize::from(!self.is_begun && self.line.first() == Some(&b'.'));
                out.extend_from_slice(&self.line[dots..]);
                self.line.clear();
                self.is_begun = !is_whole;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut ending, mut out) = (Ending::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            if let Some(mut rest) = ending.push(piece, &mut out) {
                rest.extend(pieces[at + 1..].concat());
                return (out, Some(rest));
            }
        }
        (out, None)
    }

    #[test]
    fn dots_and_the_end() {
        assert_eq!(read(&[b"a\r\n..b\r\n.\r\nQUIT\r\n"]), (b"a\r\n.b\r\n".to_vec(), Some(b"QUIT\r\n".to_vec())));
        assert_eq!(read(&[b"abc", b"def\r\n", b".", b"\r\n"]), (b"abcdef\r\n".to_vec(), Some(Vec::new())));
        assert_eq!(read(&[b"abc", b".\r\n", b".\r\n"]), (b"abc.\r\n".to_vec(), Some(Vec::new())));
        assert_eq!(path("FROM:<a@b.fr> SIZE=3", "FROM:").as_deref(), Some("a@b.fr"));
        assert_eq!(path("FROM:", "FROM:"), None);
        assert_eq!(path("é", "FROM:"), None);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(lines in prop::collection::vec("[.a\\r]{0,6}", 0..8), cuts in prop::collection::vec(1usize..5, 1..30)) {
            let whole = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + ".\r\nQUIT\r\n";
            let expected = read(&[whole.as_bytes()]);
            let mut pieces = Vec::new();
            let (mut rest, mut at) = (whole.as_bytes(), 0);
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(cuts[at % cuts.len()].min(rest.len()));
                pieces.push(piece);
                (rest, at) = (more, at + 1);
            }
            prop_assert_eq!(read(&pieces), expected);
        }
    }
}
