//! One switch for each defect that the control application must find (control.md §6): the tests of the tests.
//!
//! A place where a defect would naturally live asks [`is_on`], in one line. In the product the answer is a constant `false` and the
//! names of the switches are not even in the program; in `vaguemestre-defaillant` (feature `armed`) they are read, at each question, from the
//! file that `VAGUEMESTRE_FAULTS` names: one a line, `defaut:` before its name, so that one running sandbox goes from defect to defect without a restart.
//!
//! Invariants:
//! * without the feature nothing is read, nothing can be switched on;
//! * what a switch changes is a defect that somebody's server could have, never the control application itself.
#![deny(missing_docs)]

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "armed")]
mod armed;

/// Whether this is the program with switches.
pub const ARMED: bool = cfg!(feature = "armed");

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal;)*) => {
        /// A defect.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        #[cfg(feature = "armed")]
        impl Fault {
            /// Every one, with its name in the file: with a mark that no other word of a program has, so that a test can tell that the
            /// product holds none.
            pub const ALL: &[(Fault, &'static str)] = &[$((Fault::$fault, concat!("defaut:", $name)),)*];
        }
    };
}

faults! {
    // --- TLS ---
    /// TLS 1.3 and nothing else.
    Tls13Only = "tls-1.3-seul";
    /// TLS 1.0 and 1.1 for clients that have nothing better.
    Tls10 = "tls-1.0-accepte";
    /// None of the six suites, another one.
    NoneOfTheSix = "aucune-des-six-suites";
    /// One suite more than the six.
    OneMoreSuite = "une-suite-de-plus";
    /// A suite without forward secrecy.
    NoForwardSecrecy = "sans-secret-persistant";
    /// A prime of 1024 bits.
    SmallPrime = "dh-1024";
    /// A curve of 224 bits.
    SmallCurve = "courbe-224";
    /// The intermediate certificate is not sent.
    NoIntermediate = "sans-intermediaire";
    /// A certificate of an authority nobody knows, of the same name.
    OtherAuthority = "autre-autorite";
    /// A certificate that ended yesterday.
    ExpiredCertificate = "certificat-expire";
    /// A certificate for another name.
    OtherName = "certificat-autre-nom";
    /// A revoked certificate.
    RevokedCertificate = "certificat-revoque";
    /// A certificate without extended key usage.
    NoUsage = "certificat-sans-usage";
    /// SHA-1 signs the key exchange.
    Sha1 = "sha1-echange";
    /// One of two servers of a name has other TLS settings.
    OldNode = "noeud-different";

    // --- STARTTLS ---
    /// STARTTLS works and is not announced.
    StartTlsHidden = "starttls-tu";
    /// Authentication is announced before TLS.
    AuthBeforeTls = "authentification-avant-tls";
    /// STARTTLS is announced under TLS.
    StartTlsAgain = "starttls-sous-tls";
    /// What came with STARTTLS is carried out under TLS.
    Injection = "injection-starttls";
    /// STARTTLS is taken with a parameter.
    StartTlsParameter = "starttls-avec-parametre";
    /// After a failed handshake the session goes on in clear.
    BackToClear = "retour-au-clair";

    // --- autoconfiguration ---
    /// The right document, with status 404.
    AutoconfigAbsent = "autoconfig-404";
    /// Another name's certificate.
    AutoconfigCertificate = "autoconfig-certificat";
    /// The domain asked for is not in the document.
    AutoconfigDomain = "autoconfig-sans-domaine";
    /// The name of the user is not the address.
    AutoconfigUser = "autoconfig-utilisateur";
    /// No entries for applications.
    AutoconfigNoApp = "autoconfig-sans-app";
    /// An address instead of a host's name.
    AutoconfigLiteral = "autoconfig-adresse";
    /// Another host than the one that serves.
    AutoconfigOtherHost = "autoconfig-autre-hote";

    // --- IMAP ---
    /// SASL-IR is not announced.
    NoSaslIr = "sans-sasl-ir";
    /// AUTHENTICATE without initial response is refused.
    InitialResponseOnly = "reponse-initiale-exigee";
    /// A refusal without its code.
    RefusalWithoutCode = "refus-sans-code";
    /// XOAUTH2 without its end is taken.
    LooseXOAuth2 = "xoauth2-sans-fin";
    /// Whoever has a token opens any BAL.
    AnyMailbox = "bal-d-autrui";
    /// A BAL that does not exist is told from one of somebody else.
    Oracle = "oracle";
    /// Long tokens are refused by IMAP.
    ShortTokensImap = "jeton-long-imap";
    /// EXPUNGE answers OK and does nothing.
    ExpungeNothing = "expunge-sans-effet";

    // --- submission ---
    /// XOAUTH2 is not announced.
    XOAuth2Hidden = "xoauth2-tu-smtp";
    /// The connection is cut after the challenge, without 535.
    CutAfterChallenge = "coupure-sans-535";
    /// MAIL is taken without authentication.
    WithoutAuth = "mail-sans-authentification";
    /// Anybody's name is taken in MAIL.
    AnySender = "expediteur-usurpe";
    /// Recipients outside of the trust space are taken.
    Outside = "hors-liste-blanche";
    /// The announced size is not looked at.
    SizeUnchecked = "taille-non-verifiee";
    /// Long tokens are refused by SMTP.
    ShortTokensSmtp = "jeton-long-smtp";
    /// The first message of a session is acknowledged, and lost.
    FirstLost = "message-perdu";

    // --- tokens ---
    /// A second issuer, whose key is taken as it comes.
    SecondIssuer = "second-emetteur";
    /// The end of a token is not looked at.
    AcceptExpired = "jeton-expire";
    /// Five minutes of tolerance.
    LongTolerance = "tolerance-5-min";
    /// A token without end is good.
    ExpiryOptional = "exp-facultatif";
    /// The beginning of a token is not looked at.
    NbfIgnored = "nbf-ignore";
    /// The audience is not looked at.
    AudienceIgnored = "audience-ignoree";
    /// An issuer that differs by a slash is good.
    NearIssuer = "emetteur-approchant";
    /// The issuer of production is good too.
    ProductionIssuer = "emetteur-de-production";
    /// An empty signature is good.
    EmptySignature = "signature-vide";
    /// `alg: none` is good.
    AlgNone = "alg-none";
    /// HS256 with the public key is good.
    Hs256 = "hs256";
    /// A token that names no key is good.
    NoKid = "sans-kid";
    /// `kid` is a path.
    KidPath = "kid-chemin";
    /// The token brings its own key.
    KeyFromToken = "cle-jointe";
    /// Critical extensions are not looked at.
    CritIgnored = "crit-ignore";
    /// The signature is not looked at.
    SignatureIgnored = "signature-ignoree";
    /// The type of token is not looked at.
    TypeIgnored = "type-ignore";
    /// Without identity, the last one seen.
    LastIdentity = "derniere-identite";
    /// Base64 with padding.
    LaxBase64 = "base64-bourrage";
    /// Only known client software is let in: no defect, but what the next one is measured against (a profile of JWT-06).
    KnownClients = "clients-connus";
    /// Who the token was made for is not looked at.
    AnyClient = "client-inconnu";

    // --- sessions ---
    /// A token opens once.
    SingleUse = "jeton-usage-unique";
    /// A token that was good once stays good.
    RememberedToken = "jeton-retenu";
    /// Sessions end after a quarter of a minute.
    ShortSessions = "sessions-breves";
    /// Sessions have no end.
    EndlessSessions = "session-sans-fin";

    // --- Pro Santé Connect fails ---
    /// Introspection that says no is not listened to.
    InactiveTaken = "introspection-ignoree";
    /// The keys are read once and never again.
    FrozenKeys = "cles-figees";
    /// Without keys at hand, tokens are believed.
    BelievedWithoutKeys = "psc-absent-accepte";
    /// An empty set of keys replaces the good one.
    EmptyKeysTaken = "jeu-de-cles-vide";
    /// Whoever logs in while PSC is silent waits too long.
    WaitsForPsc = "attente-de-psc";
    /// A BAL is locked after fifteen refusals.
    LockedOut = "verrouillage";
    /// Connections are closed as soon as they are opened.
    Outage = "panne";

    // --- certificates of clients ---
    /// The authorities are not named when a certificate is asked for.
    NoAuthorityNames = "autorites-tues";
    /// A BAL APP is closed to its own structure.
    ClosedApp = "bal-app-fermee";
    /// A BAL APP is open without a certificate.
    OpenApp = "bal-app-ouverte";
    /// The dates of a client's certificate are not looked at.
    AnyDate = "certificat-client-perime";
    /// Revocation of a client's certificate is not looked at.
    RevokedTaken = "certificat-client-revoque";
    /// Any authority issues clients' certificates.
    AnyAuthority = "toute-autorite";
    /// A client's certificate may be made for anything.
    AnyUsage = "tout-usage";
    /// Any structure opens a BAL APP.
    AnyStructure = "toute-structure";
    /// The signature of a client's certificate is not checked.
    BrokenSignature = "signature-de-certificat-ignoree";
    /// Without a revocation list that counts, nobody is revoked.
    WithoutList = "sans-liste-de-revocation";

    // --- the operator interface ---
    /// MAIL is taken in clear.
    MailInClear = "mail-en-clair";
    /// A peer of the white list is refused.
    PeerRefused = "pair-refuse";
    /// A peer that the white list does not know is let in.
    UnlistedPeer = "pair-hors-liste";
    /// A peer may write in any domain's name.
    AnyDomain = "domaine-d-autrui";
    /// Recipients of other domains are taken.
    OpenRelay = "relais-ouvert";
    /// Octets above 127 are lost.
    SevenBits = "sept-bits";
    /// Notices, which have no sender, are refused.
    NoNullSender = "avis-refuses";
    /// Commands that do not exist are answered 250.
    AnyCommand = "commande-inconnue";
    /// Who was on the white list once stays.
    KeptDomain = "retrait-ignore";
    /// The white list is read with all that is below its domains.
    Subdomains = "sous-domaines";
    /// The white list is read once and never again, unless somebody asks for it.
    ListReadOnce = "liste-lue-une-fois";
    /// The signature of the white list is not checked.
    UnsignedList = "liste-sans-signature";
    /// Mailboxes of services, which the directory shows, are closed to other operators.
    ClosedServices = "bal-publiee-fermee";
    /// X-MSS-NIL is taken out.
    NilLost = "x-mss-nil-perdu";
    /// X-MSS-MES is corrected.
    MesChanged = "x-mss-mes-corrige";
    /// In-Reply-To is taken out.
    ThreadLost = "fil-perdu";
    /// Line ends of encoded words are decoded inside the header.
    EncodedInjection = "injection-encodee";
    /// Of several codes in X-MSS-CODECDA only the first is kept.
    OneCode = "codecda-coupe";

    // --- the operator sends ---
    /// The dates of a server's certificate are not looked at.
    AnyServerDate = "certificat-de-serveur-perime";
    /// A temporary refusal is final.
    NoRetry = "sans-reprise";
    /// A final refusal is tried again and again.
    RetryForEver = "refus-repris";
    /// The operator's certificate is not shown to others.
    NoOwnCertificate = "sans-certificat-client";
    /// What finds no STARTTLS goes in clear.
    ClearSending = "envoi-en-clair";
    /// Any TLS is good enough to send.
    WeakSending = "envoi-tls-faible";
    /// Mail goes to domains that are not on the white list.
    OutsideDelivery = "sortie-hors-liste";
    /// A connection cut in the middle of a message is a final failure.
    CutIsFinal = "coupure-definitive";
    /// Answers that came before TLS are taken for answers under it.
    InjectedAnswers = "reponse-injectee";
}

/// Whether the defect is switched on now: `false` without the feature.
#[cfg(not(feature = "armed"))]
#[inline(always)]
#[must_use]
pub const fn is_on(_: Fault) -> bool {
    false
}

/// Whether the defect is switched on now.
#[cfg(feature = "armed")]
#[must_use]
pub fn is_on(fault: Fault) -> bool {
    armed::is_on(fault)
}

/// A file beside the one that holds the switches: what a defect needs (a bad certificate). Nothing without the feature.
#[must_use]
pub fn beside(_path: &str) -> Option<PathBuf> {
    #[cfg(feature = "armed")]
    return armed::beside(_path);
    #[cfg(not(feature = "armed"))]
    None
}

/// How long sessions last with [`Fault::ShortSessions`].
pub const SHORT_SESSION: Duration = Duration::from_secs(15);

/// From one reading of the white list to the next in the program with switches: seen to be missing within a campaign.
pub const LIST_EVERY: Duration = Duration::from_secs(5);

/// A wait that nobody needs in the program with switches: a tenth of it there, as it is in the product.
#[must_use]
pub const fn hurried(wait: Duration) -> Duration {
    if ARMED { Duration::from_millis(wait.as_millis() as u64 / 10) } else { wait }
}

#[cfg(all(test, not(feature = "armed")))]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_switched_on() {
        const { assert!(!is_on(Fault::AcceptExpired) && !ARMED) };
        assert!(beside("x").is_none());
        assert_eq!(hurried(Duration::from_millis(250)), Duration::from_millis(250));
    }
}
