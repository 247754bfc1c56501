//! One verb per file: each takes the session, answers, and says whether to go on.

pub(crate) mod auth;
pub(crate) mod bdat;
pub(crate) mod data;
pub(crate) mod ehlo;
pub(crate) mod help;
pub(crate) mod mail;
pub(crate) mod noop;
pub(crate) mod quit;
pub(crate) mod rcpt;
pub(crate) mod rset;
pub(crate) mod starttls;
pub(crate) mod vrfy;
