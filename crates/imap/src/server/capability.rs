//! What CAPABILITY says in each state; only what is whole is announced.
//!
//! One line of [`TABLE`] for each extension, in the order of RFCs; whoever adds an extension adds its line. What ENABLE
//! knows is in [`commands::enable`](super::commands).

use faults::Fault;

use crate::backend::{Account, Mechanism};

/// Where a capability is announced.
#[derive(Clone, Copy)]
enum When {
    /// In every state, before TLS too.
    Always,
    /// Before TLS only.
    Plain,
    /// Until the client is authenticated.
    BeforeLogin,
    /// Under TLS until the client is authenticated.
    Login,
    /// Under TLS, authenticated or not: used inside only, but programs that never ask again (Python's imaplib) look for it in
    /// what they were told first.
    Secure,
    /// Once authenticated.
    Inside,
    /// Once authenticated, when the mailbox can do it.
    #[expect(dead_code, reason = "the first extension that depends on the mailbox uses it")]
    If(fn(&dyn Account) -> bool),
    /// Once authenticated, with a value after the name.
    Value(fn(&dyn Account) -> u64),
}

use When::{Always, BeforeLogin, Inside, Login, Plain, Secure, Value};

/// Everything there is to announce, but SASL mechanisms.
const TABLE: &[(&str, When)] = &[
    ("IMAP4rev1", Always),                                     // RFC 3501
    ("IMAP4rev2", Always),                                     // RFC 9051
    ("UTF8=ACCEPT", Inside),                                   // RFC 6855
    ("STARTTLS", Plain),                                       // RFC 3501
    ("LOGINDISABLED", BeforeLogin),                            // RFC 3501
    ("SASL-IR", Login),                                        // RFC 4959
    ("LITERAL+", Always),                                      // RFC 7888
    ("ID", Always),                                            // RFC 2971
    ("IDLE", Secure),                                          // RFC 2177
    ("NAMESPACE", Inside),                                     // RFC 2342
    ("UIDPLUS", Inside),                                       // RFC 4315
    ("MOVE", Inside),                                          // RFC 6851
    ("UNSELECT", Inside),                                      // RFC 3691
    ("ENABLE", Secure),                                        // RFC 5161
    ("QRESYNC", Inside),                                       // RFC 7162
    ("NOTIFY", Inside),                                        // RFC 5465
    ("UIDONLY", Inside),                                       // RFC 9586
    ("CONDSTORE", Inside),                                     // RFC 7162
    ("SPECIAL-USE", Inside),                                   // RFC 6154
    ("CREATE-SPECIAL-USE", Inside),                            // RFC 6154
    ("CHILDREN", Inside),                                      // RFC 3348
    ("ACL", Inside),                                           // RFC 4314
    ("RIGHTS=kxte", Inside),                                   // RFC 4314
    ("LIST-MYRIGHTS", Inside),                                 // RFC 8440
    ("QUOTA", Inside),                                         // RFC 9208
    ("QUOTA=RES-STORAGE", Inside),                             // RFC 9208
    ("QUOTA=RES-MESSAGE", Inside),                             // RFC 9208
    ("METADATA", Inside),                                      // RFC 5464
    ("UNAUTHENTICATE", Inside),                                // RFC 8437
    ("ESEARCH", Inside),                                       // RFC 4731
    ("LIST-EXTENDED", Inside),                                 // RFC 5258
    ("LIST-STATUS", Inside),                                   // RFC 5819
    ("STATUS=SIZE", Inside),                                   // RFC 8438
    ("SORT", Inside),                                          // RFC 5256
    ("SORT=DISPLAY", Inside),                                  // RFC 5957
    ("THREAD=ORDEREDSUBJECT", Inside),                         // RFC 5256
    ("THREAD=REFERENCES", Inside),                             // RFC 5256
    ("ESORT", Inside),                                         // RFC 5267
    ("SEARCHRES", Inside),                                     // RFC 5182
    ("WITHIN", Inside),                                        // RFC 5032
    ("PARTIAL", Inside),                                       // RFC 9394
    ("INPROGRESS", Inside),                                    // RFC 9585
    ("MULTIAPPEND", Inside),                                   // RFC 3502
    ("BINARY", Inside),                                        // RFC 3516
    ("CATENATE", Inside),                                      // RFC 4469
    ("COMPRESS=DEFLATE", Inside),                              // RFC 4978
    ("OBJECTID", Inside),                                      // RFC 8474
    ("REPLACE", Inside),                                       // RFC 8508
    ("SAVEDATE", Inside),                                      // RFC 8514
    ("PREVIEW", Inside),                                       // RFC 8970
    ("APPENDLIMIT=", Value(|account| account.append_limit())), // RFC 7889
];

/// Before TLS: nobody can authenticate (LPS-NOPLAIN).
pub(super) fn plain() -> String {
    let early: &[Mechanism] = if faults::is_on(Fault::AuthBeforeTls) { &[Mechanism::XOAuth2] } else { &[] };
    let is_hidden = faults::is_on(Fault::StartTlsHidden);
    list(
        |when| (matches!(when, Always | BeforeLogin) || (matches!(when, Plain) && !is_hidden)).then(String::new),
        early,
    )
}

/// Under TLS, not authenticated.
pub(super) fn before_login(mechanisms: &[Mechanism]) -> String {
    let again = faults::is_on(Fault::StartTlsAgain);
    let announced = |when| matches!(when, Always | Login | BeforeLogin | Secure) || (again && matches!(when, Plain));
    list(|when| announced(when).then(String::new), mechanisms)
}

/// Authenticated.
pub(super) fn after_login(account: &dyn Account) -> String {
    let announced = |when| match when {
        Always | Secure | Inside => Some(String::new()),
        When::If(can) => can(account).then(String::new),
        Value(value) => Some(value(account).to_string()),
        Plain | BeforeLogin | Login => None,
    };
    list(announced, &[])
}

/// Whether a name is announced to clients that are authenticated.
pub(super) fn announces(name: &str) -> bool {
    TABLE.iter().any(|(n, when)| *n == name && matches!(when, Always | Secure | Inside))
}

/// The names announced, each followed by its value.
fn list(announced: impl Fn(When) -> Option<String>, mechanisms: &[Mechanism]) -> String {
    let mut list = String::new();
    for (name, when) in TABLE {
        if *name == "SASL-IR" && faults::is_on(Fault::NoSaslIr) {
            continue;
        }
        if let Some(value) = announced(*when) {
            list.push_str(if list.is_empty() { "" } else { " " });
            list.push_str(name);
            list.push_str(&value);
        }
    }
    for mechanism in mechanisms {
        list.push_str(" AUTH=");
        list.push_str(mechanism.name());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_differ() {
        assert_eq!(plain(), "IMAP4rev1 IMAP4rev2 STARTTLS LOGINDISABLED LITERAL+ ID");
        assert_eq!(
            before_login(&[Mechanism::XOAuth2]),
            "IMAP4rev1 IMAP4rev2 LOGINDISABLED SASL-IR LITERAL+ ID IDLE ENABLE AUTH=XOAUTH2"
        );
    }

    /// `docs/imap.md` tells what is announced, with the RFC that stands beside it here.
    #[test]
    fn the_documentation_tells_all() {
        let code = include_str!("capability.rs").lines().filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix("(\"")?.split_once("\", ")?;
            Some((name.to_owned(), rest.split_once("// RFC ")?.1.trim().to_owned()))
        });
        let told = include_str!("../../../../docs/imap.md").lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((name.to_owned(), rest.split_once(" | ")?.0.to_owned()))
        });
        let code: Vec<_> = code.collect();
        assert_eq!(
            code.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            TABLE.iter().map(|(n, _)| *n).collect::<Vec<_>>()
        );
        assert_eq!(told.collect::<Vec<_>>(), code);
    }

    #[test]
    fn each_once() {
        for (i, (name, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
