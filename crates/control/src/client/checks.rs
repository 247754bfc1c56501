//! What a case says of what was seen. Every judgement rests on sessions; where the software did not come, nothing is concluded.

use std::collections::BTreeSet;

use super::content::{About, Facts};
use super::data::{Certificate, Check, ClientCase, Cut, Manner, Scenario, scenarios};
use super::seen::{Mail, Phase, Service, Session, Tls};
use crate::context::{Protocol, judge};
use crate::verdict::{Severity, Verdict};

/// What is judged: one step with one scenario.
pub struct Look<'l> {
    /// By which case.
    pub case: &'l ClientCase,
    /// The scenario played.
    pub scenario: &'l Scenario,
    /// What was to be spoken; none for autoconfiguration.
    pub protocol: Option<Protocol>,
    /// What came during the step.
    pub sessions: &'l [Session],
    /// The BAL.
    pub address: &'l str,
    /// Autoconfiguration's name.
    pub autoconfig: &'l str,
    /// Whether the step works with a good operator, before and after; none: not looked at.
    pub controls: (Option<bool>, Option<bool>),
}

/// What is said, and what was seen.
pub type Said = (Verdict, String);

impl Look<'_> {
    fn service(&self) -> Service {
        match self.protocol {
            Some(Protocol::Smtp) => Service::Smtp,
            _ => Service::Imap,
        }
    }

    /// Sessions of the protocol with the scenario.
    fn own(&self) -> Vec<&Session> {
        let is_own = |session: &&Session| session.service == self.service() && session.scenario == self.scenario.nom;
        self.sessions.iter().filter(is_own).collect()
    }

    fn fault(&self) -> Verdict {
        Verdict::fault(self.case.case.severity)
    }

    /// Good, if the software works when nothing is wrong: software that does nothing refuses everything.
    fn good_if_controlled(&self, seen: String) -> Said {
        match self.controls {
            (Some(false), _) | (_, Some(false)) => {
                (Verdict::unclear("avec un opérateur conforme, la même action n'aboutit pas"), seen)
            }
            _ => (Verdict::Conforme, seen),
        }
    }

    /// Judges it.
    #[must_use]
    pub fn said(&self) -> Said {
        match self.case.check {
            Check::Autoconfiguration => self.autoconfiguration(),
            Check::AucuneConnexion => self.no_connection(),
            Check::Hello => self.hello(),
            Check::AucunSecret => self.no_secret(),
            Check::Injection => self.injection(),
            Check::Sequence => self.sequence(),
            Check::LigneVide => self.empty_line(),
            Check::ReponseInitiale => self.initial(),
            Check::Retenue => self.restraint(),
            Check::Reprise => self.recovery(),
            Check::PasDeDouble => self.once(),
            Check::Taille => self.size(),
            Check::Nil | Check::EnTetes | Check::Documents | Check::SansDocument | Check::Enveloppe => {
                (Verdict::unclear("aucun message reçu"), String::new())
            }
            Check::SecretsDeLaCampagne => secrets(self.case, self.sessions),
        }
    }

    fn absent(&self) -> Said {
        (Verdict::unclear("le logiciel ne s'est pas connecté"), "aucune connexion".to_owned())
    }

    fn autoconfiguration(&self) -> Said {
        let asked: Vec<&Session> =
            self.sessions.iter().filter(|session| session.service == Service::Autoconfig).collect();
        let others =
            self.sessions.iter().filter(|session| matches!(session.service, Service::Imap | Service::Smtp)).count();
        let good = asked.iter().find(|session| session.abouti);
        match good {
            None if asked.is_empty() && others == 0 => self.absent(),
            None if asked.is_empty() => {
                (self.fault(), format!("{others} connexions, mais aucune demande d'autoconfiguration"))
            }
            None => (
                self.fault(),
                format!(
                    "{} connexions à l'autoconfiguration, aucune ne demande le document : {}",
                    asked.len(),
                    told(asked.first().copied())
                ),
            ),
            Some(session) => {
                let name = session.hello.as_ref().and_then(|hello| hello.server_name.as_deref());
                let seen = format!(
                    "{} ; SNI {} ; {others} connexions aux serveurs publiés",
                    session.requete.as_deref().unwrap_or_default(),
                    name.unwrap_or("absent")
                );
                match (name, others) {
                    (Some(name), _) if !name.eq_ignore_ascii_case(self.autoconfig) => {
                        (Verdict::fault(Severity::Minor), seen)
                    }
                    (None, _) => (Verdict::fault(Severity::Minor), seen),
                    // It may connect only when it is used.
                    (_, 0) => (Verdict::fault(Severity::Information), seen),
                    _ => (Verdict::Conforme, seen),
                }
            }
        }
    }

    fn no_connection(&self) -> Said {
        let of = |service: Service| self.sessions.iter().filter(move |session| session.service == service);
        let elsewhere = of(Service::Ailleurs).count();
        let mail: Vec<&Session> = of(Service::Imap)
            .chain(of(Service::Smtp))
            .filter(|session| session.scenario == self.scenario.nom)
            .collect();
        let secrets: usize = mail.iter().map(|session| session.secrets.len()).sum();
        if elsewhere > 0 || !mail.is_empty() {
            return (
                self.fault(),
                format!(
                    "{elsewhere} connexions au domaine de la redirection, {} aux serveurs nommés, {secrets} jetons reçus",
                    mail.len()
                ),
            );
        }
        match of(Service::Autoconfig).count() {
            0 => (Verdict::unclear("le logiciel n'a pas demandé l'autoconfiguration"), "aucune demande".to_owned()),
            count => self.good_if_controlled(format!("{count} demandes, puis aucune connexion")),
        }
    }

    fn hello(&self) -> Said {
        let own = self.own();
        let hellos: Vec<_> = own.iter().filter_map(|session| session.hello.as_ref()).collect();
        let Some(first) = hellos.first() else { return self.absent() };
        let mut heavy = Vec::new();
        let mut light = Vec::new();
        for hello in &hellos {
            if !hello.versions.iter().any(|version| matches!(version, 0x0303 | 0x0304)) {
                heavy.push("ni TLS 1.2 ni TLS 1.3".to_owned());
            }
            if hello.versions.iter().any(|version| matches!(version, 0x0301 | 0x0302)) {
                light.push("TLS 1.0 ou 1.1 encore proposé".to_owned());
            }
            if !hello.suites.iter().any(|code| crate::tls::words::Suite(*code).is_one_of_the_six()) {
                heavy.push("aucune des six suites".to_owned());
            }
            let weak = hello.weak();
            if !weak.is_empty() {
                heavy.push(format!("suites faibles : {}", weak.join(", ")));
            }
            let outside: Vec<String> = hello.outside().into_iter().filter(|name| !weak.contains(name)).collect();
            if !outside.is_empty() {
                light.push(format!(
                    "{} suites hors des six : {}…",
                    outside.len(),
                    outside[..outside.len().min(4)].join(", ")
                ));
            }
            match &hello.server_name {
                None => light.push("pas de nom de serveur (SNI)".to_owned()),
                Some(name) if !self.autoconfig.ends_with(name.trim_start_matches("lps.")) => {
                    light.push("un autre nom de serveur (SNI)".to_owned())
                }
                Some(_) => {}
            }
        }
        heavy.dedup();
        light.dedup();
        let seen = format!(
            "{} suites proposées, SNI {}",
            first.suites.len(),
            first.server_name.as_deref().unwrap_or("absent")
        );
        match (heavy.is_empty(), light.is_empty()) {
            (false, _) => (self.fault(), format!("{} ; {}", heavy.join(" ; "), light.join(" ; "))),
            (true, false) => (Verdict::fault(Severity::Minor), light.join(" ; ")),
            (true, true) => (Verdict::Conforme, seen),
        }
    }

    fn no_secret(&self) -> Said {
        const HARMLESS: [&str; 10] =
            ["CAPABILITY", "NOOP", "LOGOUT", "ID", "STARTTLS", "EHLO", "HELO", "QUIT", "RSET", ""];
        let own = self.own();
        if own.is_empty() {
            return self.absent();
        }
        let secrets: usize = own.iter().map(|session| session.secrets.len()).sum();
        let more: BTreeSet<&str> = own
            .iter()
            .flat_map(|session| &session.verbes)
            .filter(|(phase, verb)| *phase == Phase::Clair && !HARMLESS.contains(&verb.as_str()))
            .map(|(_, verb)| verb.as_str())
            .collect();
        if secrets > 0 {
            return (self.fault(), format!("{secrets} secrets reçus sur {} sessions", own.len()));
        }
        if !more.is_empty() {
            return (self.fault(), format!("commandes en clair : {}", more.into_iter().collect::<Vec<_>>().join(", ")));
        }
        let how = match own.iter().rev().find_map(|session| match &session.tls {
            Tls::Echec(why) => Some(format!("poignée de main abandonnée ({why})")),
            Tls::Etabli(_) => Some("poignée de main faite, puis rien d'envoyé".to_owned()),
            Tls::Aucun => None,
        }) {
            Some(how) => how,
            None => "session abandonnée avant TLS".to_owned(),
        };
        self.good_if_controlled(format!("{} sessions, aucun secret ; {how}", own.len()))
    }

    fn injection(&self) -> Said {
        let own = self.own();
        if own.is_empty() {
            return self.absent();
        }
        if own.iter().any(|session| session.en_avance) {
            return (
                self.fault(),
                "le logiciel a pris la réponse injectée pour celle du serveur, et continué".to_owned(),
            );
        }
        let went_on = own.iter().any(|session| matches!(session.tls, Tls::Etabli(_)));
        let seen = if went_on { "réponse injectée ignorée" } else { "session abandonnée" };
        self.good_if_controlled(seen.to_owned())
    }

    fn sequence(&self) -> Said {
        let own = self.own();
        if own.is_empty() {
            return self.absent();
        }
        let secrets: Vec<_> = own.iter().flat_map(|session| &session.secrets).collect();
        if let Some(bad) = secrets.iter().find(|secret| secret.mecanisme != "XOAUTH2" || secret.phase != Phase::Tls) {
            return (self.fault(), format!("{} en phase {:?}", bad.mecanisme, bad.phase));
        }
        if let Some(other) = secrets.iter().find(|secret| !secret.utilisateur.eq_ignore_ascii_case(self.address)) {
            let who = if other.utilisateur.is_empty() {
                "réponse XOAUTH2 mal formée".to_owned()
            } else {
                format!("user={}", other.utilisateur)
            };
            return (self.fault(), who);
        }
        match own.iter().find(|session| session.abouti) {
            Some(session) => {
                let verbs: Vec<&str> = session.verbes.iter().map(|(_, verb)| verb.as_str()).take(12).collect();
                (Verdict::Conforme, verbs.join(" "))
            }
            None => (
                self.fault(),
                format!("{} sessions, l'opération n'aboutit pas : {}", own.len(), told(own.last().copied())),
            ),
        }
    }

    fn empty_line(&self) -> Said {
        let own = self.own();
        let tried: Vec<&&Session> = own.iter().filter(|session| !session.secrets.is_empty()).collect();
        if tried.is_empty() {
            return self.absent();
        }
        let good = tried.iter().filter(|session| session.ligne_vide == Some(true)).count();
        let other = tried.iter().filter(|session| session.ligne_vide == Some(false)).count();
        let none = tried.len() - good - other;
        let seen = format!("{good} lignes vides, {other} autres réponses, {none} sans réponse");
        (judge(good == tried.len(), &self.case.case), seen)
    }

    fn initial(&self) -> Said {
        let own = self.own();
        if own.iter().any(|session| session.secrets.iter().any(|secret| secret.initiale)) {
            return (self.fault(), "réponse initiale envoyée alors que SASL-IR n'est pas annoncé".to_owned());
        }
        match own.iter().any(|session| session.abouti) {
            true => (Verdict::Conforme, "réponse après « + », lecture aboutie".to_owned()),
            false if own.is_empty() => self.absent(),
            false => (self.fault(), "la lecture n'aboutit pas".to_owned()),
        }
    }

    fn restraint(&self) -> Said {
        let own = self.own();
        let Some((first, last)) = own.first().zip(own.last()) else { return self.absent() };
        let gaps: Vec<String> = own
            .windows(2)
            .take(12)
            .map(|pair| format!("{:.1} s", (pair[1].debut_ms - pair[0].debut_ms) as f64 / 1000.0))
            .collect();
        let span = (last.debut_ms - first.debut_ms) as f64 / 1000.0;
        let seen = format!(
            "{} sessions en {span:.0} s ; écarts : {}",
            own.len(),
            if gaps.is_empty() { "aucun".to_owned() } else { gaps.join(", ") }
        );
        let is_decent = own.len() <= self.case.most_attempts as usize;
        if is_decent { self.good_if_controlled(seen) } else { (self.fault(), seen) }
    }

    fn recovery(&self) -> Said {
        let own = self.own();
        if own.is_empty() {
            return self.absent();
        }
        let cut = own.iter().filter(|session| session.coupee).count();
        let refused = own.iter().flat_map(|session| &session.secrets).filter(|secret| !secret.accepte).count();
        let tokens: BTreeSet<&str> =
            own.iter().flat_map(|session| &session.secrets).map(|secret| secret.sha256.as_str()).collect();
        let opened = own.iter().filter(|session| session.ouverte).count();
        let done = own.iter().any(|session| session.abouti);
        let seen = format!(
            "{} sessions, {cut} coupées, {refused} refusées, {opened} ouvertes, {} jetons différents",
            own.len(),
            tokens.len()
        );
        let needs_cut = self.scenario.coupure.is_some() || self.scenario.duree_session.is_some();
        if needs_cut && cut == 0 {
            let why = match self.scenario.coupure {
                Some(Cut::PendantFetch) => "aucun FETCH : rien à couper",
                Some(Cut::AvantData | Cut::PendantData | Cut::AvantReponse) => "aucun message : rien à couper",
                _ => "la session a fini avant d'être coupée",
            };
            return (Verdict::unclear(why), seen);
        }
        let is_back = self.scenario.duree_session.is_none() || opened >= 2;
        (judge(done && is_back, &self.case.case), seen)
    }

    fn mails(&self) -> Vec<&Mail> {
        self.own().into_iter().flat_map(|session| &session.messages).collect()
    }

    fn once(&self) -> Said {
        let mails = self.mails();
        if mails.is_empty() {
            return (Verdict::unclear("aucun message reçu"), "aucun message".to_owned());
        }
        let taken: Vec<&&Mail> = mails.iter().filter(|mail| mail.accepte).collect();
        let whole: BTreeSet<&str> = mails.iter().filter(|mail| mail.entier).map(|mail| mail.sha256.as_str()).collect();
        let ids: BTreeSet<&str> = mails.iter().filter_map(|mail| mail.message_id.as_deref()).collect();
        let seen = format!(
            "{} transmissions, {} acceptées, {} Message-ID, {} contenus entiers différents",
            mails.len(),
            taken.len(),
            ids.len(),
            whole.len()
        );
        (judge(taken.len() <= 1 && ids.len() <= 1 && whole.len() <= 1, &self.case.case), seen)
    }

    fn size(&self) -> Said {
        let own = self.own();
        let limit = self.scenario.taille_max.unwrap_or(u64::MAX);
        let mails = self.mails();
        if let Some(large) = mails.iter().find(|mail| mail.taille > limit.saturating_add(8)) {
            return (self.fault(), format!("{} octets transmis pour {limit} annoncés", large.taille));
        }
        match own.iter().any(|session| {
            session.ouverte || session.verbes.iter().any(|(phase, verb)| *phase != Phase::Clair && verb == "EHLO")
        }) {
            true if mails.is_empty() => self.good_if_controlled("aucune transmission".to_owned()),
            true => (
                Verdict::unclear("le message envoyé tient dans la limite : prenez-en un plus grand"),
                format!("{} octets", mails[0].taille),
            ),
            false => self.absent(),
        }
    }
}

/// The last words of a session.
fn told(session: Option<&Session>) -> String {
    session
        .and_then(|session| session.dialogue.last())
        .map_or_else(String::new, |line| format!("{} {}", line.from, line.text))
}

/// What a message says, to a case about messages.
#[must_use]
pub fn of_message(case: &ClientCase, facts: &Facts) -> Said {
    let about = match case.check {
        Check::Nil => About::Nil,
        Check::Enveloppe => About::Envelope,
        Check::Documents => About::Documents,
        Check::SansDocument => About::NoDocument,
        _ => About::Header,
    };
    if case.check == Check::SansDocument && facts.archives > 0 {
        return (
            Verdict::unclear("ce message a un document : envoyez-en un sans"),
            format!("{} archives", facts.archives),
        );
    }
    let faults: Vec<&str> =
        facts.faults.iter().filter(|(own, _)| *own == about).map(|(_, what)| what.as_str()).collect();
    if !faults.is_empty() {
        return (Verdict::fault(case.case.severity), faults.join(" ; "));
    }
    let x_mss: Vec<String> = facts.x_mss.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let seen = match case.check {
        Check::Documents => format!("{} ; CDA : {}", x_mss.join(" ; "), facts.codes.join(", ")),
        Check::Nil => x_mss.join(" ; "),
        _ => facts.champs.join(", "),
    };
    (Verdict::Conforme, seen)
}

/// Over a whole campaign: where secrets went.
#[must_use]
pub fn secrets(case: &ClientCase, sessions: &[Session]) -> Said {
    let untrusted = |name: &str| {
        let scenario = scenarios().iter().find(|scenario| scenario.nom == name);
        scenario.is_none_or(|scenario| scenario.certificat != Certificate::Nominal || scenario.tls != Manner::Normale)
    };
    let (mut total, mut clear, mut wrong, mut other) = (0, 0, BTreeSet::new(), BTreeSet::new());
    for session in sessions {
        for secret in &session.secrets {
            total += 1;
            clear += usize::from(secret.phase == Phase::Clair);
            if secret.phase != Phase::Clair && untrusted(&session.scenario) {
                wrong.insert(session.scenario.as_str());
            }
            if secret.mecanisme != "XOAUTH2" {
                other.insert(secret.mecanisme.as_str());
            }
        }
    }
    let list = |set: &BTreeSet<&str>| {
        if set.is_empty() { "aucun".to_owned() } else { set.iter().copied().collect::<Vec<_>>().join(", ") }
    };
    let seen = format!(
        "{} sessions, {total} secrets : {clear} en clair ; serveurs à ne pas croire : {} ; autres mécanismes : {}",
        sessions.len(),
        list(&wrong),
        list(&other)
    );
    if clear > 0 || !wrong.is_empty() {
        return (Verdict::fault(case.case.severity), seen);
    }
    match total {
        0 => (Verdict::unclear("aucun jeton envoyé de toute la campagne"), seen),
        _ => (Verdict::Conforme, seen),
    }
}
