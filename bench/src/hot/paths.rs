//! The hot paths: each prepares its input, gives the runner what is to be counted, and checks what came out.

use std::hint::black_box;

use imap::response::Fetch;
use mail::mime::Structure;
use mail::sought::{Place, Sought};
use mail::{Flags, ModSeq, Uid};
use search::{Document, Index};
use zeroize::Zeroizing;

use super::inputs;

type Outcome = Result<(), String>;
type Runner<'r> = &'r mut dyn FnMut(&mut dyn FnMut());

fn ok(right: bool) -> Outcome {
    if right { Ok(()) } else { Err("the path did not do what it is for".into()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A message as it streams in.
pub fn mime_scan(run: Runner<'_>) -> Outcome {
    let message = inputs::message(2);
    let mut size = 0;
    run(&mut || size = Structure::of(black_box(message.as_bytes())).size());
    ok(size == message.len() as u64)
}

/// What the store keeps of it.
pub fn structure_encode(run: Runner<'_>) -> Outcome {
    let structure = Structure::of(inputs::message(2).as_bytes());
    let mut encoded = Vec::new();
    run(&mut || encoded = black_box(&structure).encode());
    ok(Structure::decode(&encoded).is_ok_and(|s| s == structure))
}

/// A line of a message list.
pub fn envelope_bodystructure(run: Runner<'_>) -> Outcome {
    let encoded = Structure::of(inputs::message(2).as_bytes()).encode();
    let mut out = Vec::new();
    run(&mut || {
        out.clear();
        if let Ok(structure) = Structure::borrow(black_box(&encoded)) {
            let mut fetch = Fetch::begin(&mut out, 7);
            fetch.uid(&mut out, Uid(7));
            fetch.internal_date(&mut out, 1_790_000_000);
            fetch.size(&mut out, 20_000);
            fetch.envelope(&mut out, &structure.envelope);
            fetch.body_structure(&mut out, &structure, true);
            fetch.end(&mut out);
        }
    });
    ok(out.len() > 500 && out.ends_with(b")\r\n"))
}

/// Commands, read.
pub fn parse_commands(run: Runner<'_>) -> Outcome {
    let mut read = 0;
    run(&mut || read = inputs::COMMANDS.iter().filter(|c| black_box(imap::parse::parse(c)).is_ok()).count());
    ok(read == inputs::COMMANDS.len())
}

/// `FETCH 1:* (FLAGS)`.
pub fn fetch_flags(run: Runner<'_>) -> Outcome {
    let view = inputs::view(10_000);
    let mut out = Vec::with_capacity(1 << 20);
    run(&mut || {
        out.clear();
        for (position, entry) in view.iter().enumerate() {
            let mut fetch = Fetch::begin(&mut out, position as u32 + 1);
            fetch.flags(&mut out, entry.flags.names(&view.keywords));
            fetch.end(&mut out);
        }
    });
    ok(out.iter().filter(|octet| **octet == b'\n').count() == 10_000)
}

/// One message more.
pub fn view_push(run: Runner<'_>) -> Outcome {
    let before = inputs::view(100_000);
    let mut after = before.clone();
    run(&mut || {
        after = black_box(&before).clone();
        after.push(inputs::entry(100_001));
    });
    ok(after.len() == 100_001)
}

/// One message marked.
pub fn view_update(run: Runner<'_>) -> Outcome {
    let before = inputs::view(100_000);
    let mut after = before.clone();
    run(&mut || {
        after = black_box(&before).clone();
        after.update(Uid(50_000), Flags::ANSWERED, ModSeq(200_000));
    });
    ok(after.highest_modseq == ModSeq(200_000))
}

/// What a session is told when one message was marked and one came.
pub fn view_difference(run: Runner<'_>) -> Outcome {
    let before = inputs::view(100_000);
    let mut after = before.clone();
    after.push(inputs::entry(100_001));
    after.update(Uid(50_000), Flags::ANSWERED, ModSeq(200_000));
    let mut difference = Default::default();
    run(&mut || difference = black_box(&after).difference(&before));
    ok(difference.changed == [49_999] && difference.added == 1 && difference.expunged.is_empty())
}

/// What EXPUNGE looks for: one message.
pub fn view_deleted(run: Runner<'_>) -> Outcome {
    let mut view = inputs::view(100_000);
    view.update(Uid(50_000), Flags::DELETED, ModSeq(200_000));
    let mut found = Vec::new();
    run(&mut || found = black_box(&view).having(Flags::DELETED).map(|(position, _)| position).collect());
    ok(found == [49_999])
}

/// A message's text found and folded.
pub fn search_text(run: Runner<'_>) -> Outcome {
    let message = inputs::message(2);
    let mut size = 0;
    run(&mut || size = Document::of(black_box(message.as_bytes())).size());
    ok(size > 1000)
}

/// So few that one thread searches them: what another does is not counted.
const DOCUMENTS: u64 = 1000;

fn documents() -> Vec<(u64, Document)> {
    (1..=DOCUMENTS).map(|n| (n, Document::of(crate::imap::messages::message(n as usize, 0).as_bytes()))).collect()
}

/// 1,000 messages indexed.
pub fn search_index(run: Runner<'_>) -> Outcome {
    // Two: one for the warm-up, since what is indexed already is not indexed again.
    let folders = [tempfile::tempdir().map_err(text)?, tempfile::tempdir().map_err(text)?];
    let mut indexes = folders
        .iter()
        .map(|f| Index::open(f.path(), Zeroizing::new([7; 32])).map_err(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut batches = vec![documents(), documents()];
    let mut held = 0;
    run(&mut || {
        if let (Some(index), Some(batch)) = (indexes.pop(), batches.pop()) {
            held = index.add(batch).map_or(0, |()| index.len().0);
        }
    });
    ok(held as u64 == DOCUMENTS)
}

/// A rare word and a common one sought among them.
pub fn search_query(run: Runner<'_>) -> Outcome {
    let folder = tempfile::tempdir().map_err(text)?;
    let index = Index::open(folder.path(), Zeroizing::new([7; 32])).map_err(text)?;
    index.add(documents()).map_err(text)?;
    let bodies: Vec<u64> = (1..=DOCUMENTS).collect();
    let sought = [crate::imap::messages::RARE, "pseudoarthrose", "ordialemen"]
        .map(|text| Sought { place: Place::Body, text: text.to_owned() });
    let mut found = Vec::new();
    run(&mut || found = index.seek(black_box(&sought), &bodies).matching.iter().map(mail::bits::Bits::count).collect());
    ok(found == [1, 500, 1000])
}

/// A text sought in their subjects, which all of them have.
pub fn search_subject(run: Runner<'_>) -> Outcome {
    let folder = tempfile::tempdir().map_err(text)?;
    let index = Index::open(folder.path(), Zeroizing::new([7; 32])).map_err(text)?;
    index.add(documents()).map_err(text)?;
    let bodies: Vec<u64> = (1..=DOCUMENTS).collect();
    let sought = [Sought { place: Place::Field("subject".into()), text: "rendu".into() }];
    let mut found = 0;
    run(&mut || found = index.seek(black_box(&sought), &bodies).matching[0].count());
    ok(found as u64 == DOCUMENTS)
}

/// A message sealed for the log and opened again. Of OpenSSL's part see `bench/instructions`.
pub fn record(run: Runner<'_>) -> Outcome {
    let message = inputs::message(2);
    let structure = Structure::of(message.as_bytes()).encode();
    let seal = store::counted::Sealer::new(&[7; 32]);
    let mut opened = 0;
    run(&mut || opened = seal.seal_and_open(&structure, message.as_bytes()).unwrap_or(0));
    ok(opened == message.len() + structure.len())
}

/// The text of DATA.
pub fn smtp_data(run: Runner<'_>) -> Outcome {
    let message = format!("{}..un point\r\n.\r\n", inputs::message(2));
    let mut out = Vec::with_capacity(message.len());
    let mut done = (0, false);
    run(&mut || {
        out.clear();
        done = smtp::data::Decoder::data(smtp::data::MAX_TEXT_LINE).decode(black_box(message.as_bytes()), &mut out);
    });
    ok(done == (message.len(), true) && out.len() == message.len() - 4)
}

/// The first answer of a client that authenticates.
pub fn xoauth2(run: Runner<'_>) -> Outcome {
    let token = "eyJhbGciOiJSUzI1NiJ9.".repeat(40);
    let response = psc::xoauth2::response("bal.service@exemple.mssante.fr", &token);
    let mut read = false;
    run(&mut || read = psc::xoauth2::parse(black_box(response.expose().as_bytes())).is_ok());
    ok(read)
}
