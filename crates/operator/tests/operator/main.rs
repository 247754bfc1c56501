//! Operators as they run, over real TLS on loopback, with a clock that the tests move: days of the queue pass in no time.
//!
//! * [`queueing`]: retries, back-off, expiry, results per recipient, restarts (OPE-QUEUE);
//! * [`notices`]: what senders are told (RFC 3461, RFC 3464);
//! * [`postmaster`]: who is the postmaster, and the Return-Path (RFC 5321);
//! * [`trusting`]: the white list before a word is said (OPE-LIST, OPE-MTLS);
//! * [`exchange`]: two operators in one process, duplicates recognised, IMAP at the end;
//! * [`operations`]: what the board and the alert rules name (issue 3, "Operating it");
//! * [`configuration`], [`autoconfiguration`]: check-config and what mail software is told (LPS-AUTOCONF).

mod autoconfiguration;
mod configuration;
mod exchange;
mod notices;
mod operations;
mod postmaster;
mod queueing;
mod stress;
mod support;
mod trusting;
