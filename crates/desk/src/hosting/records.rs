//! What is to be published so that operators reach the traps and the stub: lines of a zone file, and entries of the white list.

use std::fmt::Write;
use std::net::IpAddr;

use control::trap::{Door, Presented};

use super::config::{StubConfig, TrapsConfig};

/// Life of a record, in seconds: an hour.
const TTL: u32 = 3600;

fn address(out: &mut String, host: &str, ip: IpAddr) {
    let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
    // Writing to a String cannot fail.
    let _ = match ip.is_unspecified() {
        true => writeln!(out, "; {host}. {TTL} IN {kind} <adresse publique : `address` de la porte>"),
        false => writeln!(out, "{host}. {TTL} IN {kind} {ip}"),
    };
}

/// The text, in the form of a zone file; what is not known is a comment.
#[must_use]
pub fn records(stub: Option<&StubConfig>, traps: Option<&TrapsConfig>) -> String {
    let mut out = String::new();
    if let Some(stub) = stub {
        let _ = writeln!(out, "; [stub] : {} doit mener à {}", stub.url, stub.listen);
    }
    let Some(traps) = traps else { return out };
    let _ = writeln!(out, "; [traps] : le courrier de {} et de ses sous-domaines", traps.domain);
    for config in &traps.doors {
        let (door, host) = (config.door(), config.host(&traps.domain));
        let domain = door.domain(&traps.domain);
        let mut preference = 10;
        if door == Door::Mx2 {
            let first = format!("mx1.{domain}");
            let _ = writeln!(out, "{domain}. {TTL} IN MX {preference} {first}.");
            match config.closed {
                Some(closed) => address(&mut out, &first, closed),
                None => {
                    let _ = writeln!(out, "; {first}. {TTL} IN A <adresse où rien n'écoute : `closed` de la porte>");
                }
            }
            preference = 20;
        }
        let _ = writeln!(out, "{domain}. {TTL} IN MX {preference} {host}.");
        address(&mut out, &host, config.address.unwrap_or_else(|| config.listen.ip()));
    }
    let _ = writeln!(out, "; À la liste blanche :");
    let usual = traps.doors.iter().find(|one| one.door() == Door::Usual);
    for config in &traps.doors {
        let door = config.door();
        let domain = door.domain(&traps.domain);
        // Another good certificate than the one it shows is cited.
        let cited = if door == Door::DnNonListe { usual } else { Some(config) };
        let name = cited.and_then(|cited| {
            let (chain, key) = (std::fs::read(&cited.certificate).ok()?, std::fs::read(&cited.key).ok()?);
            Some(Presented::from_pem(&chain, &key).ok()?.subject()?.to_string())
        });
        let _ = match door {
            Door::HorsListe => writeln!(out, ";   {domain} : n'y figure pas"),
            _ => writeln!(out, ";   {domain} : {}", name.as_deref().unwrap_or("<certificat illisible>")),
        };
    }
    out
}
