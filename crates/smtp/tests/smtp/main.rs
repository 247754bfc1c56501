//! The server and the client over real sockets and real TLS, with a backend that records.

mod auth;
mod chunking;
mod client;
mod mx;
mod pki;
mod programs;
mod recorder;
mod scripted;
mod server;
mod smuggling;
mod talk;
