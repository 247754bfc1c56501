//! What the real list holds (operator.md §2.4) and what a hostile one might.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::super::{Entry, ListError, MAX_DOCUMENT, SignaturePolicy, Skipped, WhiteList, WhiteListBuilder};
use super::support::{ALPHA, BETA, dn, now};

fn read(xml: &str) -> Result<WhiteList, ListError> {
    WhiteList::from_xml(xml.as_bytes(), &SignaturePolicy::Unsigned, now())
}

fn domaine(name: &str, dn: &str) -> String {
    format!(
        "<Domaine><Nom>{name}</Nom><Description>x</Description><DNCertificatOperateur>{dn}</DNCertificatOperateur></Domaine>"
    )
}

fn document(entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListeBlancheMSSante xmlns=\"https://listeblanche.mssante.fr/schema\">\
         <DateDeGeneration>2025-03-13T14:54:10Z</DateDeGeneration><ListeDomaines>{entries}</ListeDomaines></ListeBlancheMSSante>"
    )
}

#[test]
fn groups_by_domain_with_the_union_of_names() {
    let gamma = "CN=smtp.gamma.fr,OU=3318751275100020,O=GAMMA,ST=Paris (75),C=FR";
    let list = read(&document(
        &[
            domaine("alpha.mssante.fr", ALPHA),
            domaine("ALPHA.mssante.FR", gamma),
            domaine("alpha.mssante.fr", ALPHA), // exact duplicate
            domaine("beta.mssante.fr", BETA),
            domaine("beta.mssante.fr", gamma),
            domaine("mssante.apicrypt.org", BETA),
        ]
        .concat(),
    ))
    .unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list.dns_of("Alpha.MSSanté.fr").count(), 0);
    assert_eq!(list.dns_of("Alpha.MSSante.fr").count(), 2);
    assert!(list.is_listed("mssante.apicrypt.org") && !list.is_listed("x.mssante.fr") && !list.is_listed("mssante.fr"));
    assert!(list.allows("alpha.mssante.fr", &dn(ALPHA)) && !list.allows("alpha.mssante.fr", &dn(BETA)));
    assert!(!list.allows("zeta.mssante.fr", &dn(ALPHA)));
    assert_eq!(list.domains_of(&dn(gamma)).collect::<Vec<_>>(), ["alpha.mssante.fr", "beta.mssante.fr"]);
    assert_eq!(list.domains_of(&dn("CN=x,C=FR")).count(), 0);
    assert!(!list.allows("alpha.mssante.fr", &crate::Dn::default()));
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_741_877_650);
    assert_eq!(list.generated_at(), expected);
    assert_eq!(list.skipped_total(), 0);
}

#[test]
fn names_are_compared_attribute_by_attribute() {
    let list = read(&document(
        &[
            domaine("a.mssante.fr", "CN=smtp.a.fr,OU=1750000001,O=\"HOPITAL  A\",ST=Paris (75),C=FR"),
            domaine("b.mssante.fr", "CN=smtp.b.fr, OU=1750000002, O=B, L=Paris (75), C=FR"),
            domaine("c.mssante.fr", "CN=smtp.c.fr,OU=1750000003,O=SELARL \"FRANCK-JOLY\",ST=Paris (75),C=FR"),
            domaine("d.mssante.fr", "CN=smtp.d.fr,OU=1750000004,O=L &amp; D &lt;SARL&gt;,ST=Paris (75),C=FR"),
        ]
        .concat(),
    ))
    .unwrap();
    assert_eq!((list.len(), list.skipped_total()), (4, 0));
    assert!(list.allows("a.mssante.fr", &dn("C=FR,ST=Paris (75),O=Hopital A,OU=1750000001,CN=SMTP.a.fr")));
    assert!(list.allows("b.mssante.fr", &dn("CN=smtp.b.fr,OU=1750000002,O=B,ST=Paris (75),C=FR")));
    assert!(list.allows("c.mssante.fr", &dn("CN=smtp.c.fr,OU=1750000003,O=SELARL FRANCK-JOLY,ST=Paris (75),C=FR")));
    assert!(list.allows("d.mssante.fr", &dn("CN=smtp.d.fr,OU=1750000004,O=L & D <SARL>,ST=Paris (75),C=FR")));
    assert!(!list.allows("a.mssante.fr", &dn("CN=smtp.a.fr,OU=1750000001,O=HOPITAL B,ST=Paris (75),C=FR")));
}

#[test]
fn unicode_domains_are_a_labels() {
    let list = read(&document(&domaine("H\u{f4}pital.mssante.fr", ALPHA))).unwrap();
    for name in [
        "h\u{f4}pital.mssante.fr",
        "ho\u{302}pital.mssante.fr",
        "xn--hpital-ixa.mssante.fr",
        "XN--HPITAL-IXA.MSSANTE.FR",
    ] {
        assert!(list.is_listed(name), "{name}");
    }
}

#[test]
fn bad_entries_are_reported_and_give_no_right() {
    let list = read(&document(
        &[
            domaine("ok.mssante.fr", ALPHA),
            domaine("not a domain", ALPHA),
            domaine("nodn.mssante.fr", ""),
            domaine("baddn.mssante.fr", "smtp.x.fr"),
            "<Domaine><DNCertificatOperateur>CN=x,C=FR</DNCertificatOperateur></Domaine>".to_owned(),
            format!("<Domaine><Nom>two.mssante.fr</Nom><Nom>names.mssante.fr</Nom><DNCertificatOperateur>{ALPHA}</DNCertificatOperateur></Domaine>"),
            format!("<Domaine><Nom>mixed<b/>.mssante.fr</Nom><DNCertificatOperateur>{ALPHA}</DNCertificatOperateur></Domaine>"),
            format!("<Domaine xmlns=\"urn:x\"><Nom>other.mssante.fr</Nom><DNCertificatOperateur>{ALPHA}</DNCertificatOperateur></Domaine>"),
            "<Inconnu>x</Inconnu>".to_owned(),
            format!("<Domaine><Extra/><Nom> last.mssante.fr\n</Nom><DNCertificatOperateur>\n {BETA} </DNCertificatOperateur><Extra>y</Extra></Domaine>"),
        ]
        .concat(),
    ))
    .unwrap();
    assert_eq!(list.domains().collect::<Vec<_>>(), ["last.mssante.fr", "ok.mssante.fr"]);
    let ranks: Vec<_> = list.skipped().iter().map(|entry| entry.rank).collect();
    assert_eq!(ranks, [2, 3, 4, 5, 6, 7]);
    assert_eq!(list.skipped()[0].reason, Skipped::Name);
    assert_eq!(list.skipped()[1].reason, Skipped::NoDn);
    assert!(matches!(list.skipped()[2].reason, Skipped::Dn(_)));
}

#[test]
fn malformed_documents_are_refused_whole() {
    let good = document(&domaine("ok.mssante.fr", ALPHA));
    assert!(read(&good).is_ok());
    assert!(read(&format!("\u{feff}{good}")).is_ok());
    // As on GitHub: cut after the list.
    assert!(matches!(read(good.trim_end_matches("</ListeBlancheMSSante>")), Err(ListError::NotXml(_))));
    assert!(matches!(read(""), Err(ListError::NotXml(_))));
    assert!(matches!(read("<html/>"), Err(ListError::WrongRoot)));
    assert!(matches!(read(&good.replace("listeblanche.mssante.fr/schema", "x")), Err(ListError::WrongRoot)));
    assert!(matches!(read(&good.replace("DateDeGeneration", "Date")), Err(ListError::BadDate)));
    assert!(matches!(read(&good.replace("2025-03-13T14:54:10Z", "hier")), Err(ListError::BadDate)));
    assert!(matches!(read(&good.replace("ListeDomaines", "Domaines")), Err(ListError::NoList)));
    let twice = good.replace("</ListeBlancheMSSante>", "<ListeDomaines/></ListeBlancheMSSante>");
    assert!(matches!(read(&twice), Err(ListError::NoList)));
    let bomb = good.replace(
        "<ListeBlancheMSSante",
        "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><ListeBlancheMSSante",
    );
    assert!(matches!(read(&bomb), Err(ListError::NotXml(roxmltree::Error::DtdDetected))));
    let latin1 = [good.as_bytes(), b"<!-- \xe9 -->"].concat();
    assert!(matches!(WhiteList::from_xml(&latin1, &SignaturePolicy::Unsigned, now()), Err(ListError::NotUtf8)));
    let huge = vec![b' '; MAX_DOCUMENT + 1];
    assert!(matches!(WhiteList::from_xml(&huge, &SignaturePolicy::Unsigned, now()), Err(ListError::TooLarge)));
}

#[test]
fn deep_nesting_does_no_harm() {
    let deep = document(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)));
    // Refused or read as empty: what matters is that the stack holds, on a thread as small as a server's.
    let reader = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || read(&deep).is_ok_and(|list| !list.is_empty()));
    assert!(!reader.unwrap().join().unwrap());
}

#[test]
fn eight_thousand_entries_are_read_quickly() {
    let mut builder = WhiteListBuilder::new(now());
    for n in 0..8000 {
        let name =
            dn(&format!("CN=smtp{}.exemple.fr,OU=1{:09},O=EXEMPLE {},ST=Paris (75),C=FR", n % 400, n % 400, n % 400));
        builder = builder.with(Entry::new(format!("d{}.mssante.fr", n % 5000), name));
    }
    let xml = builder.to_xml();
    let work = patience::Work::begin();
    let list = read(&xml).unwrap();
    // An unoptimised build takes a third of a second here; the bound only catches what grows faster than the list.
    assert!(work.spent() < Duration::from_secs(5), "{:?}", work.spent());
    assert_eq!((list.len(), list.skipped_total()), (5000, 0));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(label in "[a-z][a-z0-9]{0,20}", organisation in "[ -~éèà&<>\"']{1,40}", text in "\\PC{0,60}") {
        prop_assume!(organisation.contains(|c: char| c.is_alphanumeric()));
        let name = crate::Dn::new(vec![
            crate::dn::Attribute { kind: crate::dn::AttributeType::CommonName, value: "smtp.x.fr".into() },
            crate::dn::Attribute { kind: crate::dn::AttributeType::Organization, value: organisation },
        ]).unwrap();
        let mut entry = Entry::new(format!("{label}.mssante.fr"), name.clone());
        entry.description = text.clone();
        entry.contact = text;
        let list = read(&WhiteListBuilder::new(now()).with(entry).to_xml()).unwrap();
        let domain = format!("{label}.mssante.fr");
        prop_assert!(list.allows(&domain, &name));
        prop_assert_eq!(list.generated_at(), now());
    }

    #[test]
    fn never_panics(text in "(<[A-Za-z/!?]{0,12}>|<Nom>|</Nom>|<Domaine>|</Domaine>|&[a-z]{0,4};|[ -~]{0,8}){0,30}") {
        let _ = read(&document(&text));
        let _ = read(&text);
    }
}
