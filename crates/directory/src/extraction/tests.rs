//! Bringing an extraction in: from files good and bad, from a server.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SystemClock;

use super::columns::tests::{HEADER, PERSON, SERVICE};
use super::{Extraction, ExtractionError, Progress, Update};
use crate::{Query, Settings};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn extraction(&self, source: &str) -> Extraction {
        let settings =
            Settings { extraction: Some(source.to_owned()), index: Some(self.path("index")), ..Settings::default() };
        Extraction::new(&settings, &[], SystemClock::shared()).expect("settings")
    }

    async fn take(&self, text: &[u8]) -> Result<Update, ExtractionError> {
        let path = self.path("Extraction_Correspondance_MSSante_202608260545.txt");
        std::fs::write(&path, text).expect("written");
        self.extraction(&path.to_string_lossy()).update(|_| {}).await
    }
}

/// Somebody else for each number.
fn person(number: usize) -> String {
    PERSON.replace("marie.martin@", &format!("marie.{number}@")).replace("99700000017", &format!("997{number:08}"))
}

fn text(lines: usize) -> String {
    let lines: Vec<String> = (0..lines).map(person).collect();
    format!("{HEADER}\n{}\n", lines.join("\n"))
}

fn zipped(path: &Path, name: &str, text: &[u8]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("made"));
    archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("a file in it");
    archive.write_all(text).expect("written");
    archive.finish().expect("whole");
}

#[tokio::test]
async fn broken_lines_byte_order_marks_and_line_ends() {
    let place = Place::new();
    let mut file = format!("\u{feff}{HEADER}\r\n{PERSON}\r\n\r\n{SERVICE}|\r\nrubbish\r\n{PERSON}\r\n").into_bytes();
    file.extend_from_slice(b"PER|\xff\xfe|\r\n");
    // The same mailbox in another place, without a line end after it.
    file.extend_from_slice(PERSON.replace("420000001", "690000002").replace("42055", "69003").as_bytes());
    let Update::Taken(facts) = place.take(&file).await.expect("taken") else { panic!("nothing new?") };
    assert_eq!((facts.lines, facts.refused, facts.entries), (6, 2, 2));
    assert_eq!(facts.seen, 1_787_723_100, "the date in the name");
    let index = place.extraction("x").index().expect("there");
    let found = index.find(&Query::by_name("martin")).expect("searched");
    assert_eq!(found.entries.len(), 1, "two lines of one mailbox are one entry");
    assert_eq!(found.entries[0].sites.len(), 2);
    let lyon = Query { place: "69".parse().ok(), ..Query::default() };
    assert_eq!(index.find(&lyon).expect("searched").entries.len(), 1);
}

#[tokio::test]
async fn a_bad_file_leaves_the_index_as_it_is() {
    let place = Place::new();
    assert!(matches!(place.extraction("x").index(), Err(ExtractionError::NoIndex(_))));
    place.take(text(100).as_bytes()).await.expect("taken");
    let before = std::fs::read(place.path("index")).expect("there");
    let html = b"<!DOCTYPE html>\n<p>maintenance</p>\n";
    assert!(matches!(place.take(html).await, Err(ExtractionError::Header(_))));
    assert!(matches!(place.take(b"").await, Err(ExtractionError::Header(_))));
    assert!(matches!(place.take(HEADER.as_bytes()).await, Err(ExtractionError::Broken { lines: 0, .. })));
    assert!(matches!(place.take(text(49).as_bytes()).await, Err(ExtractionError::Shrunk { lines: 49, before: 100 })));
    let broken = format!("{}{}", text(60), "x|y\n".repeat(61));
    assert!(matches!(place.take(broken.as_bytes()).await, Err(ExtractionError::Broken { lines: 121, refused: 61 })));
    let missing = place.extraction("/nowhere/file.txt").update(|_| {}).await;
    assert!(matches!(missing, Err(ExtractionError::File { .. })));
    assert!(std::fs::read(place.path("index")).expect("there") == before);
    place.take(text(50).as_bytes()).await.expect("half is enough");
}

#[tokio::test]
async fn archives() {
    let place = Place::new();
    let path = place.path("x.zip");
    let take = async || place.extraction(&path.to_string_lossy()).update(|_| {}).await;
    zipped(&path, "Extraction_Correspondance_MSSante_202601020304.txt", text(3).as_bytes());
    let Update::Taken(facts) = take().await.expect("taken") else { panic!("nothing new?") };
    assert_eq!((facts.entries, facts.seen), (3, 1_767_323_040));
    zipped(&path, "lisez-moi.pdf", b"x");
    assert!(matches!(take().await, Err(ExtractionError::Archive(_))));
    std::fs::write(&path, b"PK\x03\x04 and nothing").expect("written");
    assert!(matches!(take().await, Err(ExtractionError::Zip(_))));
}

#[tokio::test]
async fn from_a_server_once_and_again_when_it_is_newer() {
    let place = Place::new();
    let archive = place.path("served.zip");
    zipped(&archive, "Extraction_Correspondance_MSSante_202601020304.txt", text(2000).as_bytes());
    let body = std::fs::read(&archive).expect("there");
    let served = Arc::new(Mutex::new(0));
    let count = served.clone();
    let serve = move |headers: HeaderMap| async move {
        let date = [("last-modified", "Fri, 02 Jan 2026 03:04:00 GMT"), ("etag", "\"1\"")];
        if headers.get("if-none-match").is_some_and(|tag| tag == "\"1\"") {
            return (StatusCode::NOT_MODIFIED, date).into_response();
        }
        *count.lock().expect("no panic") += 1;
        (date, body).into_response()
    };
    let router =
        Router::new().route("/archive", get(serve)).route("/gone", get(|| async { StatusCode::NOT_FOUND })).route(
            "/away",
            get(|| async {
                Response::builder().status(302).header("location", "/archive").body(String::new()).expect("a response")
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(trust::http::serve(listener, None, router, stop));

    let extraction = place.extraction(&format!("{base}/archive"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let first = extraction.update(move |progress| tell.lock().expect("no panic").push(progress)).await.expect("taken");
    assert!(matches!(&first, Update::Taken(facts) if facts.entries == 2000 && facts.etag.as_deref() == Some("\"1\"")));
    let told = told.lock().expect("no panic").clone();
    assert!(matches!(told.first(), Some(Progress::Fetched { of: Some(_), .. })));
    assert_eq!(told.last(), Some(&Progress::Writing { entries: 2000 }));
    let Update::Unchanged(facts) = extraction.update(|_| {}).await.expect("asked") else { panic!("fetched again") };
    assert_eq!((facts.entries, *served.lock().expect("no panic")), (2000, 1));
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).expect("a folder").flatten().map(|f| f.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    assert!(matches!(
        place.extraction(&format!("{base}/gone")).update(|_| {}).await,
        Err(ExtractionError::Status(404))
    ));
    assert!(matches!(
        place.extraction(&format!("{base}/away")).update(|_| {}).await,
        Err(ExtractionError::Status(302))
    ));
    let nobody = place.extraction("http://127.0.0.1:1/").update(|_| {}).await.expect_err("nobody there");
    assert!(matches!(nobody, ExtractionError::Fetch(_)) && nobody.is_temporary());
}
