//! The control application in the browser, and its REST API: accounts, jobs, campaigns that go on by themselves, results. CTL-JOB; control.md §5.
//!
//! * [`oidc`]: signing in at an OpenID provider; [`signing`]: signatures of reports, made elsewhere;
//! * [`Desk`]: all of it; [`Settings`]: how it is set up; [`config`]: the file of `vaguemestre control serve`;
//! * [`db`]: what is kept, and who may see it; [`account`]: passwords, second factor, roles;
//! * [`compose`]: a user's job on the administrator's template; [`reach`]: where campaigns may go;
//! * [`domains`]: proving that a domain is one's own; [`hosting`]: the PSC stub and the traps, served by this process;
//! * [`surveillance`]: what is run again and again, and what changes;
//! * [`software`]: the other side, mail software before a scripted operator;
//! * [`submissions`]: reports submitted to the regulator;
//! * [`schedule`]: whose turn it is; [`running`]: one campaign;
//! * [`web`]: the pages; [`api`]: the same for programs; [`html`]: markup in which every text is escaped; [`words`]: dates.
//!
//! Invariants:
//! * nothing is shown that is not on disk; a process that is killed loses no result that was shown, and goes on with what it had begun;
//! * an operator's account sees its operator's data and no other's: the database asks who looks ([`db::Scope`]);
//! * every text is escaped where it is shown, and no page holds a script or a style of its own (a strict Content-Security-Policy).
#![deny(missing_docs)]

pub mod account;
mod acts;
pub mod api;
pub mod compose;
pub mod config;
pub mod db;
mod desk;
pub mod domains;
pub mod error;
pub mod hosting;
pub mod html;
pub mod oidc;
mod question;
pub mod reach;
mod running;
mod schedule;
pub mod signing;
pub mod software;
mod stands;
mod submissions;
mod surveillance;
pub mod web;
pub mod words;

pub use compose::Template;
pub use desk::{Desk, Settings};
