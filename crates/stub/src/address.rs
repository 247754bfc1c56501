//! Where everything of a realm is: the paths of the real one (client.md §3), under an origin or an operator's alias.

/// The realm's path.
pub const REALM: &str = "/auth/realms/esante-wallet";
pub(crate) const CERTS: &str = "/protocol/openid-connect/certs";
pub(crate) const TOKEN: &str = "/protocol/openid-connect/token";
pub(crate) const INTROSPECT: &str = "/protocol/openid-connect/token/introspect";
pub(crate) const USERINFO: &str = "/protocol/openid-connect/userinfo";
pub(crate) const REVOKE: &str = "/protocol/openid-connect/revoke";
pub(crate) const LOGOUT: &str = "/protocol/openid-connect/logout";
pub(crate) const CIBA: &str = "/protocol/openid-connect/ext/ciba/auth";

/// Where the trap addresses are, under a realm's base.
pub(crate) const TRAP: &str = "/piege";

/// Addresses of a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psc {
    /// What stands before every path: `https://host:port`, or `https://host:port/b/<alias>`.
    pub origin: String,
}

impl Psc {
    /// On a port of 127.0.0.1.
    pub fn on(port: u16) -> Psc {
        Psc { origin: format!("https://127.0.0.1:{port}") }
    }

    /// The realm of an operator's alias beside this one.
    #[must_use]
    pub fn of(&self, alias: &Alias) -> Psc {
        Psc { origin: format!("{}{}", self.origin, alias.path()) }
    }

    /// The exact issuer.
    pub fn issuer(&self) -> String {
        format!("{}{REALM}", self.origin)
    }

    /// Discovery, at PSC's own path.
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/wallet-openid-configuration", self.issuer())
    }

    /// Keys.
    pub fn jwks_uri(&self) -> String {
        format!("{}{CERTS}", self.issuer())
    }

    /// The login page.
    pub fn authorization_endpoint(&self) -> String {
        format!("{}/auth", self.origin)
    }

    /// Tokens.
    pub fn token_endpoint(&self) -> String {
        format!("{}{TOKEN}", self.issuer())
    }

    /// Whether a token is active.
    pub fn introspection_endpoint(&self) -> String {
        format!("{}{INTROSPECT}", self.issuer())
    }

    /// Who a token's bearer is.
    pub fn userinfo_endpoint(&self) -> String {
        format!("{}{USERINFO}", self.issuer())
    }

    /// Logins by phone.
    pub fn ciba_endpoint(&self) -> String {
        format!("{}{CIBA}", self.issuer())
    }

    /// Revocation.
    pub fn revocation_endpoint(&self) -> String {
        format!("{}{REVOKE}", self.issuer())
    }

    /// Logout.
    pub fn end_session_endpoint(&self) -> String {
        format!("{}{LOGOUT}", self.issuer())
    }

    /// The phones.
    pub fn phone(&self) -> String {
        format!("{}/ciba", self.origin)
    }

    /// A trap: an address nobody has a reason to fetch, whose fetches are kept (`jku`, `x5u`, redirections).
    pub fn trap(&self, name: &str) -> String {
        format!("{}{TRAP}/{name}", self.origin)
    }

    /// The path of the base, for links of pages.
    pub(crate) fn base(&self) -> &str {
        let rest = self.origin.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }
}

/// Longest alias.
const MAX_ALIAS: usize = 40;

/// The name of an operator's own realm: lower-case letters, digits and hyphens. Its issuer is made of it and never changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(String);

impl Alias {
    /// Reads one; `None` when it cannot stand in an address.
    #[must_use]
    pub fn new(text: &str) -> Option<Alias> {
        let is_good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=MAX_ALIAS).contains(&text.len()) && text.bytes().all(is_good) && !text.starts_with('-');
        fits.then(|| Alias(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/b/<alias>`.
    pub(crate) fn path(&self) -> String {
        format!("/b/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_their_addresses() {
        for bad in ["", "Alpha", "a/b", "..", "a b", "-a", &"a".repeat(41)] {
            assert_eq!(Alias::new(bad), None, "{bad}");
        }
        let home = Psc::on(4443);
        assert_eq!((home.base(), home.issuer().as_str()), ("", "https://127.0.0.1:4443/auth/realms/esante-wallet"));
        let own = home.of(&Alias::new("chu-7").expect("an alias"));
        assert_eq!(own.base(), "/b/chu-7");
        assert_eq!(own.issuer(), "https://127.0.0.1:4443/b/chu-7/auth/realms/esante-wallet");
        assert_eq!(own.trap("x"), "https://127.0.0.1:4443/b/chu-7/piege/x");
    }
}
