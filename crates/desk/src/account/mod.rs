//! Who uses the application: [`role`], passwords and other [`secret`]s, second factor ([`totp`], kept by [`vault`]), and how often may be tried ([`attempts`]).

pub mod attempts;
pub mod role;
pub mod secret;
pub mod totp;
pub mod vault;
