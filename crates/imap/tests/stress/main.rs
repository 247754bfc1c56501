//! Many clients at once over TLS, the mailbox in memory. How long and from which seed: see [`driver`].

#[path = "../server/support/mod.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod support;

mod driver;
mod picture;

use driver::{Connect, Stream};

struct Memory(support::Server);

impl Connect for Memory {
    async fn connect(&self) -> Stream {
        Box::pin(self.0.login().await.into_stream())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_fits_the_model() {
    let server = Memory(support::Server::start().await);
    driver::run(server, driver::Plan::from_environment()).await;
}

/// The same, with folders that are told of before they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_fits_the_model_before_folders_are_read() {
    let server = support::Server::start().await;
    server.mailbox.reads.send_replace(support::reads::Reads::Later);
    driver::run(Memory(server), driver::Plan::from_environment()).await;
}
