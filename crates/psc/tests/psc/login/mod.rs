//! Logging in with a PSC that does what the test tells it, honest or not (client.md §3; ECO-TOKEN).

mod anybody;
mod ciba;
mod discovery;
mod redirect;
mod session;
mod stage;
