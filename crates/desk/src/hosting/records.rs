//! What is to be published so that operators reach the traps and the stub: lines of a zone file, and entries of the white list.

use std::fmt::Write;
use std::net::IpAddr;

use control::trap::{Door, Presented};
use trust::dn::Dn;

use super::Sections;
use super::config::{DoorConfig, TrapsConfig};

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

/// The entries of the white list that the traps need: the domain, and the name of the certificate that is cited for it, when its file can be read; `None`
/// for the one that is on no list.
pub(super) fn listed(traps: &TrapsConfig) -> Vec<(String, Option<Option<Dn>>)> {
    let usual = traps.doors.iter().find(|one| one.door() == Door::Usual);
    let entry = |config: &DoorConfig| {
        let door = config.door();
        // Another good certificate than the one it shows is cited.
        let cited = if door == Door::DnNonListe { usual } else { Some(config) };
        let name = cited.and_then(|cited| {
            let (chain, key) = (std::fs::read(&cited.certificate).ok()?, std::fs::read(&cited.key).ok()?);
            Presented::from_pem(&chain, &key).ok()?.subject()
        });
        (door.domain(&traps.domain), (door != Door::HorsListe).then_some(name))
    };
    traps.doors.iter().map(entry).collect()
}

/// The text, in the form of a zone file; what is not known is a comment.
#[must_use]
pub fn records(sections: Sections<'_>) -> String {
    let mut out = String::new();
    let Sections { stub, traps, white_list, revocation } = sections;
    let stub = stub.map(|one| ("stub", &one.url, one.listen));
    let white_list = white_list.map(|one| ("white_list", &one.url, one.listen));
    let revocation = revocation.map(|one| ("revocation", &one.url, one.listen));
    for (name, url, listen) in [stub, white_list, revocation].into_iter().flatten() {
        let _ = writeln!(out, "; [{name}] : {url} doit mener à {listen}");
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
    for (domain, name) in listed(traps) {
        let _ = match name {
            None => writeln!(out, ";   {domain} : n'y figure pas"),
            Some(None) => writeln!(out, ";   {domain} : <certificat illisible>"),
            Some(Some(name)) => writeln!(out, ";   {domain} : {name}"),
        };
    }
    out
}
