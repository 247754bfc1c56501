//! What a list of 50,000 messages costs beside the store and TLS: reading structures where they lie, writing ENVELOPE and
//! BODYSTRUCTURE; and the envelopes alone, as SORT and THREAD read them. Prints microseconds a message.

use std::time::Instant;

use imap::response::Fetch;
use mail::mime::{Envelope, Structure};

const MANY: u32 = 50_000;

fn main() {
    let encoded: Vec<Vec<u8>> = (0..MANY).map(|i| Structure::of(message(i).as_bytes()).encode()).collect();
    let octets: usize = encoded.iter().map(Vec::len).sum();
    println!("{} octets a structure", octets / encoded.len());
    for _ in 0..3 {
        measure("decode, kept", || encoded.iter().map(|e| Structure::decode(e).map_or(0, |s| s.size())).sum());
        measure("decode, borrowed", || encoded.iter().map(|e| Structure::borrow(e).map_or(0, |s| s.size())).sum());
        measure("envelope, borrowed", || {
            encoded.iter().map(|e| Envelope::borrow(e).map_or(0, |(e, _)| e.from.len() as u64)).sum()
        });
        measure("FETCH, borrowed", || {
            let mut out = Vec::new();
            let mut written = 0;
            for (i, e) in encoded.iter().enumerate() {
                let Ok(structure) = Structure::borrow(e) else { continue };
                let mut fetch = Fetch::begin(&mut out, i as u32 + 1);
                fetch.uid(&mut out, mail::Uid(i as u32 + 1));
                fetch.internal_date(&mut out, 1_700_000_000 + i as i64);
                fetch.size(&mut out, 20_000);
                fetch.envelope(&mut out, &structure.envelope);
                fetch.body_structure(&mut out, &structure, true);
                fetch.end(&mut out);
                if out.len() > 48 * 1024 {
                    written += out.len() as u64;
                    out.clear();
                }
            }
            written
        });
    }
}

fn measure(what: &str, work: impl FnOnce() -> u64) {
    let began = Instant::now();
    let result = work();
    println!("{what}: {:.2} us ({result})", began.elapsed().as_secs_f64() * 1e6 / f64::from(MANY));
}

fn message(i: u32) -> String {
    format!(
        "From: \"Docteur Jean MARTIN {i}\" <jean.martin{i}@hopital.mssante.fr>\r\nTo: Marie DUPONT <marie.dupont@cabinet.mssante.fr>, labo@labo.mssante.fr\r\n\
         Cc: secretariat@hopital.mssante.fr\r\nSubject: =?utf-8?q?R=C3=A9sultats?= du {i} pour le patient\r\nDate: Wed, 17 Jul 2024 08:{:02}:{:02} +0200\r\n\
         Message-ID: <{i}.4321@hopital.mssante.fr>\r\nReferences: <{}.4321@hopital.mssante.fr>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_{i}\"\r\n\r\n\
         --=_{i}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nBonjour\r\n\
         --=_{i}\r\nContent-Type: application/zip; name=IHE_XDM.zip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=IHE_XDM.zip\r\n\r\nUEsDBA==\r\n--=_{i}--\r\n",
        i / 60 % 60,
        i % 60,
        i / 2
    )
}
