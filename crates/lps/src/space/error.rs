//! Why there is no trust space to work in, or no way to a server of it.

use std::path::PathBuf;

use trust::revocation::RevocationError;
use trust::tls::TlsError;

use crate::explain::{Explain, Fault, Remedy, Told};

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// The settings file.
    #[error("the settings file {path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, a key that is not known, one that is missing, or a value of the wrong type.
    #[error("{path}{}: {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong.
        what: String,
    },
    /// A value that has not the form it must have.
    #[error("setting {key}: {what}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The authorities, or a certificate and its key.
    #[error("certificates: {0}")]
    Tls(#[from] TlsError),
    /// The folder of revocation lists.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
    /// The section `[directory]`.
    #[error(transparent)]
    Directory(#[from] directory::SettingsError),
    /// The section `[psc]`.
    #[error(transparent)]
    Psc(#[from] psc::login::SettingsError),
    /// The machine's own name servers.
    #[error("the name servers of this machine cannot be found: {0}")]
    Resolver(String),
}

impl Explain for SpaceError {
    fn told(&self) -> Told {
        const KEYS: Remedy = (
            "Comparez avec docs/editor.md, où chaque clé est expliquée.",
            "Compare with docs/editor.md, where every key is explained.",
        );
        match self {
            SpaceError::Unreadable { path, source } => Told::new(
                "space.unreadable",
                Fault::Host,
                format!("le fichier de réglages {} ne peut pas être lu : {source}", path.display()),
                (
                    "Donnez le chemin d'un fichier de réglages que cet utilisateur peut lire.",
                    "Give the path of a settings file that this user may read.",
                ),
            ),
            SpaceError::Syntax { path, line, what } => {
                let line = line.map(|line| format!(", ligne {line}")).unwrap_or_default();
                Told::new("space.syntax", Fault::Host, format!("{}{line} : {what}", path.display()), KEYS)
            }
            SpaceError::Value { key, what } => {
                Told::new("space.value", Fault::Host, format!("réglage {key} : {what}"), KEYS)
            }
            SpaceError::Tls(error) => Told::new(
                "space.certificates",
                Fault::Host,
                format!("certificats : {error}"),
                (
                    "Donnez en PEM les certificats de l'IGC-Santé et, s'il y en a un, le certificat et sa clé sans mot de passe.",
                    "Give the certificates of IGC-Santé in PEM and, if there is one, the certificate and its key without passphrase.",
                ),
            ),
            SpaceError::Revocation(error) => Told::new(
                "space.revocation",
                Fault::Host,
                format!("listes de révocation : {error}"),
                (
                    "Donnez dans trust.cache un dossier où cet utilisateur peut écrire.",
                    "Give in trust.cache a folder where this user may write.",
                ),
            ),
            SpaceError::Directory(error) => {
                Told::new("space.directory", Fault::Host, crate::find::settings_message(error), KEYS)
            }
            SpaceError::Psc(error) => error.told(),
            SpaceError::Resolver(why) => Told::new(
                "space.resolver",
                Fault::Host,
                format!("les serveurs de noms de ce poste sont introuvables : {why}"),
                ("Donnez un serveur de noms dans network.nameserver.", "Give a name server in network.nameserver."),
            ),
        }
    }
}

/// No connection to a server. Names the server, never who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a DNS name in ASCII nor, in a sandbox, an address.
    #[error("{host:?} is not the name of a server")]
    NotAName {
        /// What was given.
        host: String,
    },
    /// A name outside `*.mssante.fr` and the configured domains.
    #[error("{host} is outside the trust space")]
    OutsideSpace {
        /// Its name.
        host: String,
    },
    /// The DNS says that it does not exist or has no address.
    #[error("{host} has no address in the DNS")]
    NoSuchHost {
        /// Its name.
        host: String,
    },
    /// The DNS does not answer.
    #[error("the DNS does not answer for {host}")]
    DnsSilent {
        /// Its name.
        host: String,
    },
    /// Every address of it is private, loopback, link-local, multicast…
    #[error("{host} has an address of a private network only")]
    PrivateAddress {
        /// Its name.
        host: String,
    },
    /// Refused, unreachable: the last address tried.
    #[error("no connection to {host}: {source}")]
    Unreachable {
        /// Its name.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// No answer within [`super::DIAL_TIMEOUT`].
    #[error("{host} does not answer")]
    TimedOut {
        /// Its name.
        host: String,
    },
}

impl ConnectError {
    /// The server.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            ConnectError::NotAName { host }
            | ConnectError::OutsideSpace { host }
            | ConnectError::NoSuchHost { host }
            | ConnectError::DnsSilent { host }
            | ConnectError::PrivateAddress { host }
            | ConnectError::Unreachable { host, .. }
            | ConnectError::TimedOut { host } => host,
        }
    }
}

impl Explain for ConnectError {
    fn told(&self) -> Told {
        const CONNECTION: Remedy = (
            "Vérifiez la connexion de ce poste et le pare-feu, puis réessayez.",
            "Check this machine's connection and the firewall, then try again.",
        );
        match self {
            ConnectError::NotAName { host } => Told::new(
                "connect.not-a-name",
                Fault::Host,
                format!("{host:?} n'est pas le nom d'un serveur"),
                ("Donnez le nom DNS complet du serveur.", "Give the full DNS name of the server."),
            ),
            ConnectError::OutsideSpace { host } => Told::new(
                "connect.outside-space",
                Fault::Host,
                format!("{host} est hors de l'espace de confiance"),
                (
                    "Vérifiez le nom ; si l'opérateur a bien un domaine hors de mssante.fr, ajoutez-le à network.domains.",
                    "Check the name; if the operator does have a domain outside mssante.fr, add it to network.domains.",
                ),
            ),
            ConnectError::NoSuchHost { host } => Told::new(
                "connect.no-such-host",
                Fault::Network,
                format!("{host} n'a pas d'adresse dans le DNS"),
                (
                    "Vérifiez l'adresse ; si elle est juste, prévenez l'opérateur de la messagerie.",
                    "Check the address; if it is right, tell the operator of the mailbox.",
                ),
            ),
            ConnectError::DnsSilent { host } => {
                Told::new("connect.dns-silent", Fault::Network, format!("le DNS ne répond pas pour {host}"), CONNECTION)
                    .passing()
            }
            ConnectError::PrivateAddress { host } => Told::new(
                "connect.private-address",
                Fault::Operator,
                format!("{host} n'a que des adresses de réseau privé"),
                (
                    "Ne continuez pas : prévenez l'opérateur ; dans un bac à sable, mettez network.private_addresses à true.",
                    "Do not go on: tell the operator; in a sandbox, set network.private_addresses to true.",
                ),
            ),
            ConnectError::Unreachable { host, source } => Told::new(
                "connect.unreachable",
                Fault::Network,
                format!("pas de connexion à {host} : {source}"),
                CONNECTION,
            )
            .passing(),
            ConnectError::TimedOut { host } => {
                Told::new("connect.timed-out", Fault::Network, format!("{host} ne répond pas"), CONNECTION).passing()
            }
        }
    }
}
