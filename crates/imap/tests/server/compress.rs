//! COMPRESS=DEFLATE: both ways, the limits of what comes out, bombs and nonsense.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::support::{Client, Server};

/// A client that compresses.
struct Deflated {
    imap: Client,
    out: Compress,
    inn: Decompress,
}

impl Deflated {
    async fn begin(mut imap: Client) -> Deflated {
        imap.transact("OK", "COMPRESS DEFLATE").await;
        Deflated { imap, out: Compress::new(Compression::best(), false), inn: Decompress::new(false) }
    }

    fn deflate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(text.len() + 1000);
        self.out.compress_vec(text, &mut octets, FlushCompress::Sync).expect("deflated");
        octets
    }

    async fn send(&mut self, text: &str) {
        let octets = self.deflate(text.as_bytes());
        self.imap.raw(octets).await;
    }

    /// Reads up to and with a text.
    async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        loop {
            let octet = self.imap.octets(1).await;
            let mut piece = Vec::with_capacity(64 * 1024);
            self.inn.decompress_vec(&octet, &mut piece, FlushDecompress::None).expect("inflated");
            text.extend(piece);
            if text.windows(end.len()).any(|w| w == end.as_bytes()) {
                return String::from_utf8_lossy(&text).into_owned();
            }
        }
    }
}

#[tokio::test]
async fn both_ways() {
    let server = Server::start().await;
    let body = "le patient va bien\n".repeat(5000);
    server.mailbox.deliver("INBOX", &format!("Subject: x\n\n{body}"));
    let mut imap = Deflated::begin(server.inbox().await).await;
    imap.send("a NOOP\r\nb FETCH 1 BODY.PEEK[TEXT]\r\n").await;
    let text = imap.until("b OK Done\r\n").await;
    assert!(text.starts_with("a OK"), "{}", &text[..20]);
    assert!(text.contains(&body.replace('\n', "\r\n")));
    // A session goes on from answer to answer, and takes messages.
    imap.send("c APPEND INBOX {7+}\r\nA: b\r\n\n\r\n").await;
    imap.until("c OK [APPENDUID 100 2]").await;
    imap.send("d COMPRESS DEFLATE\r\n").await;
    imap.until("d NO [COMPRESSIONACTIVE]").await;
    imap.send("d UNAUTHENTICATE\r\n").await;
    imap.until("d NO [CANNOT]").await;
    imap.send("e IDLE\r\n").await;
    imap.until("+ ").await;
    server.mailbox.deliver("INBOX", "Subject: y\n\n");
    imap.until("* 3 EXISTS\r\n").await;
    imap.send("DONE\r\nf LOGOUT\r\n").await;
    imap.until("f OK").await;
}

#[tokio::test]
async fn refused() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    imap.transact("BAD", "COMPRESS DEFLATE").await;
    let mut imap = server.login().await;
    imap.transact("BAD", "COMPRESS GZIP").await;
    imap.transact("BAD", "COMPRESS").await;
    // Commands that did not wait for the answer are not taken for deflated ones, nor the other way round.
    imap.raw("a COMPRESS DEFLATE\r\nb NOOP\r\n").await;
    imap.answer("a", "BAD").await;
    imap.answer("b", "OK").await;
}

/// A thousand octets become a million: the limits are those of what comes out.
#[tokio::test]
async fn a_bomb_meets_the_limits() {
    let server = Server::start().await;
    let mut imap = Deflated::begin(server.login().await).await;
    imap.send(&format!("a SEARCH SUBJECT {}\r\n", "a".repeat(500_000))).await;
    imap.until("a BAD").await;
    imap.send(&format!("b SELECT {{1100000+}}\r\n{}\r\n", "a".repeat(1_100_000))).await;
    imap.until("* BYE").await;
    let mut imap = Deflated::begin(server.login().await).await;
    let bomb = imap.deflate(&vec![b'a'; 20_000_000]);
    assert!(bomb.len() < 100_000);
    imap.imap.raw(bomb).await;
    imap.until("* BYE").await;
}

#[tokio::test]
async fn nonsense_ends_the_session() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "COMPRESS DEFLATE").await;
    imap.raw([0xff; 100]).await;
    imap.rest().await;
    server.login().await.transact("OK", "NOOP").await;
}
