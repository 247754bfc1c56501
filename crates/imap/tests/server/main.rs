//! The server driven over real sockets and TLS by a typed client.

mod support;

mod acl;
mod append;
mod authentication;
mod compress;
mod concurrency;
mod condstore;
mod content;
mod extremes;
mod fetch;
mod folders;
mod hostile;
mod imaplib;
mod limits;
mod messages;
mod metadata;
mod model;
mod notify;
mod opening;
mod qresync;
mod quota;
mod resync_model;
mod rev2;
mod search;
mod searching;
mod sort_model;
mod sorting;
mod starttls;
mod uidonly;
mod unauthenticate;
