//! The name service, asked by ourselves: addresses of a host, mail servers of a domain. What it does not answer is not known, never absent.

use std::net::{IpAddr, SocketAddr};

use trust::names::Unanswered;

/// Most servers of a domain, and addresses of a host, looked at.
const MAX_FOUND: usize = 16;

/// Most texts of a name looked at: a domain has a handful, and each of them may be 64 KB.
const MAX_TEXTS: usize = 50;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// For sure there is none.
    #[error("{0} : absent du DNS")]
    Absent(String),
    /// The name service does not tell.
    #[error("{0} : le DNS ne répond pas")]
    Unknown(String),
    /// The name stands for another one, which was not asked for.
    #[error("{0} : renvoie à un autre nom (CNAME)")]
    Alias(String),
    /// No name service is configured here.
    #[error("pas de DNS sur cette machine : {0}")]
    NoService(String),
}

impl NameError {
    fn of(why: Unanswered, name: &str) -> NameError {
        match why {
            Unanswered::Absent => NameError::Absent(name.to_owned()),
            Unanswered::Unknown => NameError::Unknown(name.to_owned()),
        }
    }
}

/// The name service.
pub struct Names(trust::names::Names);

impl Names {
    /// Asks this server, or the machine's.
    ///
    /// # Errors
    /// [`NameError::NoService`].
    pub fn new(server: Option<SocketAddr>) -> Result<Names, NameError> {
        // A campaign wants what is there now: nothing is kept.
        trust::names::Names::new(server, 0).map(Names).map_err(|error| NameError::NoService(error.to_string()))
    }

    /// The addresses of a host, A and AAAA.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NameError> {
        let mut found = self.0.addresses(host).await.map_err(|why| NameError::of(why, host))?;
        found.truncate(MAX_FOUND);
        Ok(found)
    }

    /// The mail servers of a domain, best first, in lower case and without the final point.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn mail_servers(&self, domain: &str) -> Result<Vec<String>, NameError> {
        let found = self.0.mail_servers(domain).await.map_err(|why| NameError::of(why, domain))?;
        Ok(found.into_iter().take(MAX_FOUND).map(|(_, name)| name).collect())
    }

    /// The texts (TXT) of a name itself: an alias of it is told, not followed.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, NameError> {
        let found = self.0.texts(name).await.map_err(|why| NameError::of(why, name))?;
        let mut texts = found.ok_or_else(|| NameError::Alias(name.to_owned()))?;
        texts.truncate(MAX_TEXTS);
        Ok(texts)
    }
}
