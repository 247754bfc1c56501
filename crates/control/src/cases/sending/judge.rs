//! What is said of each letter, from what was seen.

use super::notice::{Notice, is_failure};
use super::{Handed, Letter, Must, Seen};
use crate::catalogue::Case;
use crate::context::{Context, judge};
use crate::tls::words::Suite;
use crate::trap::record::{Message, Session, Sheet, Transaction};
use crate::trap::{Door, Trap};
use crate::verdict::{Severity, Verdict};

/// Suites of a ClientHello that are no suites: renegotiation (RFC 5746), downgrade (RFC 7507).
const SIGNALS: [u16; 2] = [0x00FF, 0x5600];

/// One variant.
pub(super) struct Judged {
    pub what: String,
    pub observed: String,
    pub verdict: Verdict,
}

/// What a judgement is made of.
pub(super) struct Terms<'a> {
    pub case: &'a Case,
    pub context: &'a Context,
    pub trap: &'static Trap,
    pub letter: &'a Letter,
    /// The letter that was handed over after it, to the same trap, when it has only to arrive.
    pub witness: Option<&'a Letter>,
    pub seen: &'a Seen,
}

impl Terms<'_> {
    pub(super) fn judge(&self, must: Must) -> Vec<Judged> {
        let (observed, verdict) = match must {
            Must::Arrive => return self.arrived(),
            Must::Return => self.returned(),
            Must::Stay => self.stayed(),
            Must::Fail(status) => self.failed(status),
            Must::Nowhere => self.nowhere(),
            Must::Doubt => self.doubted(),
        };
        vec![Judged { what: self.trap.name.to_owned(), observed, verdict }]
    }

    fn fault(&self) -> Verdict {
        Verdict::fault(self.level())
    }

    /// How heavy a delivery is.
    fn level(&self) -> Severity {
        match self.trap.door {
            // The text that would ask for it was not read yet (control.md §8.10).
            Door::DnNonListe => Severity::Information,
            Door::Tls10 if self.is_tls10_tolerated() => Severity::Minor,
            _ => self.case.severity,
        }
    }

    /// Before the day on which TLS 1.0 ends on operator interfaces (control.md §8.13).
    fn is_tls10_tolerated(&self) -> bool {
        let until = self.context.job.operator_interface.as_ref().and_then(|interface| interface.tls10_until.as_deref());
        let today = time::OffsetDateTime::now_utc().date().to_string();
        until.is_some_and(|until| today.as_str() <= until)
    }

    /// What a letter that was not taken by the operator, or whose fate is unknown, gives.
    fn not_sent(&self) -> Option<(String, Verdict)> {
        match &self.letter.handed {
            Handed::Taken(_) => None,
            Handed::Refused(verb, answer) => Some((
                format!("{verb} : {answer}"),
                Verdict::unclear(
                    "l'opérateur refuse d'écrire à ce piège : croit-il la liste blanche de l'espace de test, et admet-il le « + » ?",
                ),
            )),
            Handed::Unclear(why) => Some((why.clone(), Verdict::unclear(format!("soumission : {why}")))),
            Handed::No => Some((String::new(), Verdict::unclear("le message n'a pas été soumis"))),
        }
    }

    /// OPE-10, SMA-02.
    fn arrived(&self) -> Vec<Judged> {
        let one =
            |what: &str, (observed, verdict): (String, Verdict)| Judged { what: what.to_owned(), observed, verdict };
        if let (Handed::Refused(verb, answer), "SMA-02") = (&self.letter.handed, self.case.id.as_str())
            && *verb != "RCPT"
        {
            return vec![one("soumission", (format!("{verb} : {answer}"), self.fault()))];
        }
        if let Some(unsent) = self.not_sent() {
            return vec![one("soumission", unsent)];
        }
        let taken = self.seen.taken(self.letter);
        let Some((session, transaction, message)) = taken.first().copied() else {
            return vec![one("remise", self.missing(self.letter, self.witness))];
        };
        let answer = match &self.letter.handed {
            Handed::Taken(answer) => answer.as_str(),
            _ => "",
        };
        let delivery = format!("{answer} ; reçu par le piège, session {}, {}", session.seq, session.at);
        let mut all = vec![one("remise", (delivery, judge(message.is_ours, self.case)))];
        if let Some(witness) = self.witness.filter(|witness| matches!(witness.handed, Handed::Taken(_))) {
            let told = match self.seen.taken(witness).first() {
                Some((session, ..)) => {
                    (format!("reçu par le piège, session {}, {}", session.seq, session.at), Verdict::Conforme)
                }
                None => self.missing(witness, Some(self.letter)),
            };
            all.push(one("remise d'un second message", told));
        }
        if self.case.id == "SMA-02" {
            return all;
        }
        let sheet = session.tls.clone().unwrap_or_default();
        all.push(one("TLS", self.negotiated(&sheet)));
        all.push(one("suites offertes", offered(&sheet)));
        all.push(one("certificat", self.shown(&sheet)));
        all.push(one("DN et domaine", self.listed(&sheet, transaction)));
        all.push(one("enveloppe", self.envelope(transaction, message)));
        all
    }

    /// A letter that was acknowledged and did not come; `other`: the one handed over in the same session.
    fn missing(&self, letter: &Letter, other: Option<&Letter>) -> (String, Verdict) {
        let told = format!("accepté à la soumission ; {}", self.told_of(letter));
        let arrived = other.and_then(|other| self.seen.taken(other).first().map(|(session, ..)| session.at.clone()));
        match (self.seen.notice(letter), arrived) {
            (Some(_), _) => (told, self.fault()),
            // Tried, and broken off: it may come yet.
            (None, _) if self.seen.of(letter).next().is_some() => {
                (told, Verdict::unclear("une tentative a été vue, le message n'est pas arrivé dans le délai"))
            }
            (None, Some(at)) => {
                let waited = self.context.job.sending.arrival().as_secs();
                let told = format!(
                    "{told} ; perdu : l'autre message de la même session est arrivé ({at}), de celui-ci rien n'a été vu en {waited} s"
                );
                (told, self.fault())
            }
            (None, None) => {
                let why =
                    "rien n'est arrivé au piège dans le délai, ni ce message ni un second : l'opérateur l'atteint-il ?";
                (told, Verdict::unclear(why))
            }
        }
    }

    fn negotiated(&self, sheet: &Sheet) -> (String, Verdict) {
        let is_listed = sheet.suite_code.is_some_and(|code| Suite(code).is_one_of_the_six());
        (sheet.words(), judge(sheet.version.as_deref() == Some("TLS 1.2") && is_listed, self.case))
    }

    fn shown(&self, sheet: &Sheet) -> (String, Verdict) {
        match &sheet.certificate {
            None => ("aucun certificat client".to_owned(), self.fault()),
            Some(shown) => match &shown.fault {
                None => (format!("{} ; valide jusqu'au {}", shown.subject, shown.not_after), Verdict::Conforme),
                Some(fault) if shown.is_unclear => (shown.subject.clone(), Verdict::unclear(fault)),
                Some(fault) => (format!("{} : {fault}", shown.subject), self.fault()),
            },
        }
    }

    fn listed(&self, sheet: &Sheet, transaction: &Transaction) -> (String, Verdict) {
        let domain =
            transaction.from.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default();
        match sheet.certificate.as_ref().map(|shown| &shown.domains) {
            None => ("aucun certificat client".to_owned(), self.fault()),
            Some(None) => (domain, Verdict::unclear("le banc n'a pas de liste blanche")),
            Some(Some(domains)) => {
                let is_cited = domains.iter().any(|known| known.eq_ignore_ascii_case(&domain));
                let told = format!("MAIL FROM de {domain} ; ce DN est cité pour : {}", domains.join(", "));
                (told, judge(is_cited, self.case))
            }
        }
    }

    fn envelope(&self, transaction: &Transaction, message: &Message) -> (String, Verdict) {
        let own = self.context.job.mailbox.as_ref().map(|mailbox| mailbox.address.as_str()).unwrap_or_default();
        let told = format!("MAIL FROM:<{}> ; {} octets, SHA-256 {}", transaction.from, message.octets, message.sha256);
        (told, judge(transaction.from.eq_ignore_ascii_case(own), self.case))
    }

    /// What is known of the letter, in words.
    fn told(&self) -> String {
        self.told_of(self.letter)
    }

    fn told_of(&self, letter: &Letter) -> String {
        let taken = self.seen.taken(letter).len();
        let attempts: Vec<&Session> = self.seen.of(letter).collect();
        let mut words = vec![format!("{} session(s) au piège, {taken} message(s) accepté(s)", attempts.len())];
        let answers = attempts.iter().flat_map(|session| session.recipients());
        let answers: Vec<&str> = answers
            .filter(|to| to.run.as_deref() == Some(&*letter.run))
            .map(|to| to.answer.get(..3).unwrap_or_default())
            .collect();
        if !answers.is_empty() {
            words.push(format!("RCPT : {}", answers.join(", ")));
        }
        if self.trap.door != Door::Usual {
            let nameless: Vec<&Session> = self.seen.nameless(self.trap.door.name()).collect();
            words.push(format!("{} tentative(s) rompue(s) avant l'enveloppe", nameless.len()));
            let why = nameless.iter().rev().find_map(|session| session.tls.as_ref()).map(Sheet::words);
            words.extend(why);
        }
        words.push(match self.seen.notice(letter) {
            Some(notice) => notice_words(notice),
            None => "pas d'avis".to_owned(),
        });
        words.join(" ; ")
    }

    /// OPE-15, OPE-17.
    fn returned(&self) -> (String, Verdict) {
        if let Some(unsent) = self.not_sent() {
            return unsent;
        }
        let told = self.told();
        let verdict = match (self.seen.taken(self.letter).len(), self.seen.notice(self.letter)) {
            (1, None) => Verdict::Conforme,
            // Twice, or told to be lost and delivered all the same, or given up where trying again was due.
            (2.., _) | (_, Some(_)) => self.fault(),
            (0, None) => Verdict::unclear("le message n'est pas revenu dans le délai d'attente"),
        };
        (told, verdict)
    }

    /// OPE-11 to OPE-13.
    fn stayed(&self) -> (String, Verdict) {
        if self.seen.octets(self.letter) > 0 {
            return (self.told(), self.fault());
        }
        if let Some(unsent) = self.not_sent() {
            return unsent;
        }
        let tried =
            self.seen.nameless(self.trap.door.name()).next().is_some() || self.seen.of(self.letter).next().is_some();
        let verdict = match (self.seen.notice(self.letter), tried) {
            (Some(_), _) => Verdict::Conforme,
            (None, true) => Verdict::AExaminer {
                raison: "rien n'a été remis, mais aucun avis de non-remise n'est venu dans le délai d'attente"
                    .to_owned(),
            },
            (None, false) => Verdict::unclear("aucune tentative n'a été vue, aucun avis n'est venu"),
        };
        (self.told(), verdict)
    }

    /// OPE-14.
    fn nowhere(&self) -> (String, Verdict) {
        if self.seen.of(self.letter).next().is_some() {
            return (self.told(), self.fault());
        }
        let stranger = self.seen.nameless(self.trap.door.name()).count();
        let told = match &self.letter.handed {
            Handed::Refused(verb, answer) => format!("{verb} : {answer} ; {stranger} connexion(s) au piège"),
            _ => self.told(),
        };
        let is_told = matches!(self.letter.handed, Handed::Refused(..)) || self.seen.notice(self.letter).is_some();
        let verdict = match (is_told, stranger) {
            (true, 0) => Verdict::Conforme,
            (_, 1..) => Verdict::unclear("une connexion au piège, que rien ne rattache à ce message"),
            (false, 0) => match &self.letter.handed {
                Handed::Taken(_) => {
                    Verdict::unclear("accepté à la soumission, ni avis ni connexion dans le délai d'attente")
                }
                _ => return self.not_sent().unwrap_or((told, Verdict::unclear("pas soumis"))),
            },
        };
        (told, verdict)
    }

    /// OPE-16.
    fn failed(&self, status: &str) -> (String, Verdict) {
        if let Some(unsent) = self.not_sent() {
            return unsent;
        }
        let told = self.told();
        let notices: Vec<&Notice> =
            self.seen.notices.iter().filter(|notice| notice.run == self.letter.run && notice.is_final()).collect();
        let verdict = match notices.as_slice() {
            [] if self.seen.of(self.letter).next().is_some() => Verdict::AExaminer {
                raison: "refusé par le piège, mais aucun avis de non-remise n'est venu dans le délai d'attente"
                    .to_owned(),
            },
            [] => Verdict::unclear("aucune tentative n'a été vue, aucun avis n'est venu"),
            // Not as RFC 3464 has it: a program cannot read it.
            [notice, ..] if !is_failure(notice) => self.fault(),
            [notice] if notice.status.as_deref() == Some(status) => Verdict::Conforme,
            // Another status, or twice.
            _ => Verdict::fault(Severity::Minor),
        };
        (told, verdict)
    }

    /// OPE-18.
    fn doubted(&self) -> (String, Verdict) {
        if let Some(unsent) = self.not_sent() {
            return unsent;
        }
        let own: Vec<&Session> = self.seen.of(self.letter).collect();
        let nameless: Vec<&Session> = self.seen.nameless(self.trap.door.name()).collect();
        let is_taken_in = |session: &&&Session| session.taken_in == Some(true);
        let told = self.told();
        if own.iter().any(|session| is_taken_in(&session)) {
            return (format!("la réponse injectée est prise pour celle de TLS ; {told}"), self.fault());
        }
        if nameless.iter().any(|session| is_taken_in(&session)) {
            let why = "une session croit la réponse injectée, que rien ne rattache à ce message";
            return (told, Verdict::unclear(why));
        }
        let waits = own.iter().any(|session| session.taken_in == Some(false));
        let mut broken = nameless.iter().filter(|session| session.tls.is_some() && session.taken_in.is_none());
        if waits {
            return (format!("la réponse injectée est ignorée ; {told}"), Verdict::Conforme);
        }
        if broken.clone().any(|session| spoke_under_tls(session)) {
            // Whoever asks and goes before the answer may have had one: that of the injection, which did not please.
            let raison = "la connexion est rompue sous TLS après EHLO, avant sa réponse : la réponse injectée a-t-elle été lue ?";
            return (told, Verdict::AExaminer { raison: raison.to_owned() });
        }
        match broken.next() {
            Some(_) => (format!("la connexion est rompue à l'injection ; {told}"), Verdict::Conforme),
            None => (told, Verdict::unclear("aucune session n'est allée jusqu'à l'injection")),
        }
    }
}

/// Whether the peer said anything under TLS.
fn spoke_under_tls(session: &Session) -> bool {
    let begun = session.dialogue.iter().position(|line| line.from == '=' && line.text.starts_with("TLS : "));
    begun.is_some_and(|at| session.dialogue[at..].iter().any(|line| line.from == '<'))
}

/// Suites offered beside the six and TLS 1.3: told, of no effect.
fn offered(sheet: &Sheet) -> (String, Verdict) {
    let is_grease = |code: u16| code & 0x0F0F == 0x0A0A && code >> 8 == code & 0xFF;
    let others: Vec<String> = sheet
        .offered
        .iter()
        .filter(|code| !SIGNALS.contains(code) && !is_grease(**code))
        .map(|code| Suite(*code))
        .filter(|suite| !suite.is_one_of_the_six() && !suite.is_tls13())
        .map(Suite::name)
        .collect();
    match others.is_empty() {
        true => ("aucune hors de la liste".to_owned(), Verdict::Conforme),
        false => (format!("hors de la liste : {}", others.join(", ")), Verdict::fault(Severity::Information)),
    }
}

fn notice_words(notice: &Notice) -> String {
    match (&notice.action, &notice.status) {
        (Some(action), Some(status)) => {
            let said = notice.diagnostic.as_deref().unwrap_or("sans diagnostic");
            format!("avis : {action}, {status} ({said})")
        }
        _ => format!("avis que RFC 3464 ne lit pas, de {} : {}", notice.from, notice.subject),
    }
}
