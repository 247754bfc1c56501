//! A client made when it is first needed.

use std::sync::OnceLock;

use reqwest::Client;

use super::HttpError;

type Make = dyn Fn() -> Result<Client, HttpError> + Send + Sync;

/// Making a client reads the machine's own authorities twice, whichever it is to believe (native-tls does, before they are taken away
/// again): a tenth of a second of a program that in the end fetches nothing. So those that fetch now and then hold this.
pub struct LazyClient {
    make: Box<Make>,
    made: OnceLock<Client>,
}

impl LazyClient {
    /// Nothing is made yet.
    pub fn new(make: impl Fn() -> Result<Client, HttpError> + Send + Sync + 'static) -> LazyClient {
        LazyClient { make: Box::new(make), made: OnceLock::new() }
    }

    /// The client, always the same one.
    ///
    /// # Errors
    /// An authority or a certificate that cannot be used; the next call tries again.
    pub fn get(&self) -> Result<&Client, HttpError> {
        match self.made.get() {
            Some(client) => Ok(client),
            None => {
                let client = (self.make)()?;
                Ok(self.made.get_or_init(|| client))
            }
        }
    }
}

impl std::fmt::Debug for LazyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyClient").field("made", &self.made.get().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn made_once_and_not_before() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let lazy = LazyClient::new(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Err(HttpError::TooLarge(0)),
            _ => crate::http::client(&[]),
        });
        assert_eq!(made.load(Ordering::Relaxed), 0);
        assert!(lazy.get().is_err(), "what fails is tried again");
        assert!(lazy.get().is_ok() && lazy.get().is_ok());
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
