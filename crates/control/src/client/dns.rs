//! A name server of one address, for software that cannot be given a hosts file: every name of the operator's domain, and the traps of
//! its autoconfigurations, are here. UDP; RFC 1035 as far as one question goes; nobody is asked.

use std::net::IpAddr;

use tokio::net::UdpSocket;

/// A question is this large at most.
const MAX_QUERY: usize = 512;
/// Seconds an answer counts.
const TTL: u32 = 5;
/// Names of traps, answered like the operator's own so that whoever goes there is seen.
const TRAPS: [&str; 2] = ["serveur.intranet", "ailleurs.exemple.fr"];

/// Answers until the socket fails.
pub(super) async fn serve(socket: UdpSocket, domain: String, address: IpAddr) {
    let mut octets = [0; MAX_QUERY];
    loop {
        let Ok((count, peer)) = socket.recv_from(&mut octets).await else { return };
        if let Some(answer) = answer(&octets[..count], &domain, address) {
            // Nobody waits for it: the client asks again.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// The answer to a question; none to what is no question.
#[must_use]
pub fn answer(query: &[u8], domain: &str, address: IpAddr) -> Option<Vec<u8>> {
    let head = query.get(..12)?;
    // A question, one, of the usual kind.
    if head[2] & 0xF8 != 0 || head[4..6] != [0, 1] {
        return None;
    }
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 {
            return None;
        }
        labels.push(std::str::from_utf8(query.get(at..at + length)?).ok()?.to_ascii_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let name = labels.join(".");
    let is_ours = name == domain
        || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        || TRAPS.contains(&name.as_str());
    let data = match (kind, address) {
        (1, IpAddr::V4(address)) => Some(address.octets().to_vec()),
        (28, IpAddr::V6(address)) => Some(address.octets().to_vec()),
        _ => None,
    };
    let data = data.filter(|_| is_ours);
    let status = if is_ours { 0 } else { 3 };
    let mut out = head[..2].to_vec();
    out.extend([0x84 | head[2] & 1, status, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
    out.extend_from_slice(question);
    if let Some(data) = data {
        out.extend([0xC0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(TTL.to_be_bytes());
        // Four or sixteen octets.
        out.extend([0, data.len() as u8]);
        out.extend(data);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut out = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            out.push(u8::try_from(label.len()).expect("short"));
            out.extend(label.bytes());
        }
        out.extend([0, 0, kind, 0, 1]);
        out
    }

    #[test]
    fn names_of_the_operator() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let of = |name: &str, kind| answer(&query(name, kind), "controle.mssante.fr", address).expect("an answer");
        assert!(of("lps.Controle.mssante.fr", 1).ends_with(&[0, 4, 127, 0, 0, 1]));
        assert_eq!(of("lps.controle.mssante.fr", 28)[3], 0);
        assert_eq!(of("xcontrole.mssante.fr", 1)[3], 3);
        assert!(of("serveur.intranet", 1).ends_with(&[127, 0, 0, 1]));
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = answer(&octets, "a.fr", IpAddr::from([127, 0, 0, 1]));
            let mut question = query("a.fr", 1);
            question.truncate(octets.len());
            let _ = answer(&question, "a.fr", IpAddr::from([127, 0, 0, 1]));
        }
    }
}
