//! The file of `vaguemestre control serve`. Unknown keys are refused; paths are relative to the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use trust::SystemClock;

use crate::account::secret::Cost;
use crate::db::postgres;
use crate::domains::Proof;
use crate::hosting::Sections;
use crate::hosting::config::{PublisherConfig, RevocationConfig, StubConfig, TrapsConfig};
use crate::oidc::OidcSettings;
use crate::signing::SignatureSettings;
use crate::software::ClientPlace;
use crate::{Settings, Template};

/// Holds the password of the database, when no file does.
pub const PASSWORD: &str = "VAGUEMESTRE_DATABASE_PASSWORD";

/// Longest wait for a database at the start, in seconds: an hour.
const MOST_WAIT: u64 = 3600;

/// Why the file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{0}: {1}; does the file exist, and may this user read it?")]
    Unreadable(PathBuf, std::io::Error),
    /// It is not of this shape.
    #[error("{0}: {1}")]
    Syntax(PathBuf, Box<toml::de::Error>),
    /// A value that cannot be.
    #[error("{0}")]
    Value(&'static str),
    /// The section `[client]`.
    #[error("{0}")]
    Client(String),
    /// The database.
    #[error("database: {0}")]
    Database(#[from] postgres::SettingsError),
}

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where browsers find it: `https://controle.exemple.fr`.
    pub url: String,
    /// Its certificate with what leads to an authority, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Its folder, made when missing: the database, unless `database` says where else that is, and what else is kept.
    pub data: PathBuf,
    /// A PostgreSQL: `postgres://user@host/name`; SQLite in `data` when absent.
    #[serde(default)]
    pub database: Option<String>,
    /// Holds its password; the variable [`PASSWORD`] does when absent.
    #[serde(default)]
    pub database_password_file: Option<PathBuf>,
    /// The authorities of its certificate, PEM; the system's when absent.
    #[serde(default)]
    pub database_anchors: Option<PathBuf>,
    /// How long one that is away is waited for at the start, in seconds.
    #[serde(default = "database_wait")]
    pub database_wait_seconds: u64,
    /// The four, read.
    #[serde(skip)]
    postgres: Option<postgres::Settings>,
    /// What it is called on its pages.
    #[serde(default = "title")]
    pub title: String,
    /// Campaigns at once.
    #[serde(default = "campaigns")]
    pub campaigns: usize,
    /// Whether every account must have a second factor.
    #[serde(default = "yes")]
    pub second_factor: bool,
    /// Whether campaigns go only to domains that their operator proved to be its own, or that the administrator declared.
    #[serde(default = "yes")]
    pub domain_proof: bool,
    /// Who is asked for names; the machine's own name service when absent.
    #[serde(default)]
    pub resolver: Option<SocketAddr>,
    /// A Pro Santé Connect of tests.
    #[serde(default)]
    pub stub: Option<StubConfig>,
    /// Mail servers that misbehave.
    #[serde(default)]
    pub traps: Option<TrapsConfig>,
    /// A white list of tests.
    #[serde(default)]
    pub white_list: Option<PublisherConfig>,
    /// The lists and OCSP of a test authority.
    #[serde(default)]
    pub revocation: Option<RevocationConfig>,
    /// The key of second factors: 64 hexadecimal digits; a file made in the data folder when absent. The variable `VAGUEMESTRE_CONTROL_KEY` goes first.
    #[serde(default)]
    pub factor_key_file: Option<PathBuf>,
    /// The OpenID provider where people may sign in.
    #[serde(default)]
    pub oidc: Option<OidcSettings>,
    /// Whose signatures of reports are believed.
    #[serde(default)]
    pub signature: Option<SignatureSettings>,
    /// Where the scripted operator listens, for tests of mail software.
    #[serde(default)]
    pub client: Option<ClientPlace>,
    /// Job files, whole or in part, on which users lay theirs.
    #[serde(rename = "template")]
    pub templates: Vec<TemplateConfig>,
}

/// A job file of the administrator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// Stable.
    pub name: String,
    /// For people.
    pub title: String,
    /// Where it is.
    pub file: PathBuf,
    /// Only for the operator of this name.
    #[serde(default)]
    pub organisation: Option<String>,
}

fn title() -> String {
    "Application de test et de contrôle MSSanté".to_owned()
}

/// A machine that starts has its PostgreSQL within two minutes, or somebody must look.
fn database_wait() -> u64 {
    120
}

fn campaigns() -> usize {
    2
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`], with the line.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable(path.to_owned(), error))?;
        let mut config: Config =
            toml::from_str(&text).map_err(|error| ConfigError::Syntax(path.to_owned(), Box::new(error)))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in [&mut config.certificate, &mut config.key, &mut config.data] {
            *file = folder.join(&file);
        }
        for file in [&mut config.database_password_file, &mut config.database_anchors].into_iter().flatten() {
            *file = folder.join(&file);
        }
        config.postgres = config.read_database()?;
        config.stub.as_mut().map_or(Ok(()), |stub| stub.found_from(folder)).map_err(ConfigError::Value)?;
        config.traps.as_mut().map_or(Ok(()), |traps| traps.found_from(folder)).map_err(ConfigError::Value)?;
        config.white_list.as_mut().map_or(Ok(()), |list| list.found_from(folder)).map_err(ConfigError::Value)?;
        config.revocation.as_mut().map_or(Ok(()), |lists| lists.found_from(folder)).map_err(ConfigError::Value)?;
        let oidc = config
            .oidc
            .iter_mut()
            .flat_map(|oidc| std::iter::once(&mut oidc.client_secret_file).chain(oidc.anchors.as_mut()));
        let signature = config
            .signature
            .iter_mut()
            .flat_map(|signature| std::iter::once(&mut signature.anchors).chain(&mut signature.crl));
        for file in oidc.chain(signature).chain(&mut config.factor_key_file) {
            *file = folder.join(&file);
        }
        for template in &mut config.templates {
            template.file = folder.join(&template.file);
        }
        config.url = config.url.trim_end_matches('/').to_owned();
        if !config.url.starts_with("https://") {
            return Err(ConfigError::Value("url: begins with https:// (cookies and passwords pass there)"));
        }
        if let Some(Err(error)) = config.client.as_ref().map(ClientPlace::check) {
            return Err(ConfigError::Client(error));
        }
        if config.templates.is_empty() {
            return Err(ConfigError::Value("template: at least one job file ([[template]]), or nothing can be run"));
        }
        Ok(config)
    }

    fn read_database(&self) -> Result<Option<postgres::Settings>, ConfigError> {
        let Some(url) = &self.database else { return Ok(None) };
        let password = match &self.database_password_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.map_err(|error| ConfigError::Unreadable(path.clone(), error))?)
            }
            None => std::env::var(PASSWORD).ok(),
        };
        let password = password.as_deref().map(str::trim_end);
        let settings = postgres::Settings::new(url, password, self.database_anchors.as_deref())?;
        Ok(Some(settings.waiting(Duration::from_secs(self.database_wait_seconds.min(MOST_WAIT)))))
    }

    /// What operators talk to.
    #[must_use]
    pub fn sections(&self) -> Sections<'_> {
        Sections {
            stub: self.stub.as_ref(),
            traps: self.traps.as_ref(),
            white_list: self.white_list.as_ref(),
            revocation: self.revocation.as_ref(),
        }
    }

    /// What the application needs of it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            folder: self.data.clone(),
            database: self.postgres.clone(),
            hosting: None,
            proof: self.domain_proof.then_some(Proof { resolver: self.resolver }),
            url: self.url.clone(),
            title: self.title.clone(),
            campaigns: self.campaigns,
            second_factor: self.second_factor,
            cost: Cost::FULL,
            templates: self
                .templates
                .iter()
                .map(|template| Template {
                    name: template.name.clone(),
                    title: template.title.clone(),
                    path: template.file.clone(),
                    organisation: template.organisation.clone(),
                })
                .collect(),
            factor_key: self.factor_key_file.clone(),
            oidc: self.oidc.clone(),
            signature: self.signature.clone(),
            client: self.client.clone(),
            clock: SystemClock::shared(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("controle.toml");
        let text = "listen = \"127.0.0.1:0\"\nurl = \"https://controle.test/\"\ncertificate = \"c.pem\"\nkey = \"/k.pem\"\ndata = \"data\"\n\
                    [[template]]\nname = \"t\"\ntitle = \"T\"\nfile = \"t.toml\"\n";
        let load = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Config::load(&path)
        };
        let config = load(text).expect("a configuration");
        assert_eq!(config.url, "https://controle.test");
        assert_eq!((config.key.as_path(), config.data), (Path::new("/k.pem"), folder.path().join("data")));
        assert_eq!(config.templates[0].file, folder.path().join("t.toml"));
        assert!(config.second_factor);
        let more = "[oidc]\nname = \"F\"\nissuer = \"https://f.test\"\nclient_id = \"c\"\nclient_secret_file = \"s\"\n\
                    [signature]\nanchors = \"a.pem\"\ncrl = [\"l.crl\"]\n";
        let config = load(&format!("factor_key_file = \"f.key\"\n{text}{more}")).expect("a configuration");
        let settings = config.settings();
        let (oidc, signature) = (settings.oidc.expect("told"), settings.signature.expect("told"));
        assert_eq!(settings.factor_key, Some(folder.path().join("f.key")));
        assert_eq!((oidc.client_secret_file, oidc.create), (folder.path().join("s"), false));
        assert_eq!(
            (signature.anchors, signature.crl),
            (folder.path().join("a.pem"), vec![folder.path().join("l.crl")])
        );
        assert!(matches!(load(&text.replace("https:", "http:")), Err(ConfigError::Value(_))));
        assert!(load(&format!("inconnu = 1\n{text}")).is_err_and(|error| error.to_string().contains("inconnu")));
        let with = |lines: &str| load(&format!("{lines}\n{text}"));
        assert!(
            with("database = \"postgres://c@localhost/c\"").expect("a configuration").settings().database.is_some()
        );
        assert!(matches!(with("database = \"postgres://c:secret@localhost/c\""), Err(ConfigError::Database(_))));
        let absent = "database = \"postgres://c@localhost/c\"\ndatabase_password_file = \"absent\"";
        assert!(matches!(with(absent), Err(ConfigError::Unreadable(..))));
        let after = |lines: &str| load(&format!("{text}{lines}\n"));
        let stub = after("[stub]\nlisten = \"127.0.0.1:0\"\nurl = \"https://psc.test\"\n").expect("a configuration");
        assert!(stub.domain_proof && stub.stub.is_some_and(|stub| stub.url == "https://psc.test"));
        assert!(matches!(
            after("[stub]\nlisten = \"127.0.0.1:0\"\nurl = \"https://psc.test/x\""),
            Err(ConfigError::Value(_))
        ));
        let door = |name: &str| {
            format!("[[traps.door]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\ncertificate = \"c\"\nkey = \"k\"\n")
        };
        let traps = |doors: &str| after(&format!("[traps]\ndomain = \"P.test.\"\nanchors = \"a\"\n{doors}"));
        let good = traps(&(door("nominal") + &door("expire"))).expect("a configuration").traps.expect("traps");
        assert_eq!((good.domain.as_str(), good.doors[1].key.clone()), ("p.test", folder.path().join("k")));
        let client = |lines: &str| after(&format!("[client]\n{lines}"));
        let good = client("listen = \"127.0.0.1\"\ndomain = \"logiciels.exemple.fr\"").expect("a configuration");
        assert_eq!(good.settings().client.expect("told").domain, "logiciels.exemple.fr");
        for wrong in ["listen = \"0.0.0.0\"\ndomain = \"a.fr\"", "listen = \"127.0.0.1\"\ndomain = \"A\""] {
            assert!(client(wrong).is_err_and(|error| error.to_string().contains("client.")), "{wrong}");
        }
        for wrong in [door("expire"), door("nominal") + &door("nominal"), door("nominal") + &door("autre")] {
            assert!(matches!(traps(&wrong), Err(ConfigError::Value(_))), "{wrong}");
        }
        let lists = |peer: &str, dn: &str| {
            after(&format!(
                "[white_list]\nlisten = \"127.0.0.1:0\"\nurl = \"https://l.test/\"\nsigner = {{ certificate = \"s\", key = \"k\" }}\n\
                 other_signer = {{ certificate = \"o\", key = \"k\" }}\npeer = \"{peer}\"\nother = \"b.test\"\n\
                 [[white_list.domain]]\nname = \"A.test.\"\ncertificate = \"a\"\n[[white_list.domain]]\nname = \"b.test\"\n{dn}\n\
                 [revocation]\nlisten = \"127.0.0.1:0\"\nurl = \"http://c.test\"\nauthority = \"igc\"\n"
            ))
        };
        let good = lists("a.test", "dn = \"CN=b\"").expect("a configuration");
        let list = good.white_list.expect("told");
        assert_eq!((list.url.as_str(), list.domains[0].name.as_str()), ("https://l.test", "a.test"));
        assert_eq!(list.domains[0].certificate, Some(folder.path().join("a")));
        assert_eq!(good.revocation.expect("told").authority, folder.path().join("igc"));
        for (peer, dn) in [("c.test", "dn = \"CN=b\""), ("b.test", "dn = \"CN=b\""), ("a.test", "")] {
            assert!(matches!(lists(peer, dn), Err(ConfigError::Value(_))), "{peer} {dn}");
        }
        assert!(matches!(Config::load(Path::new("/absent")), Err(ConfigError::Unreadable(..))));
    }
}
