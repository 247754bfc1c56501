use openssl::x509::X509NameBuilder;
use proptest::prelude::*;

use super::*;

fn dn(text: &str) -> Dn {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn value(text: &str, kind: AttributeType) -> String {
    dn(text).values(kind).collect::<Vec<_>>().join("|")
}

fn certificate_name(entries: &[(&str, &str)]) -> Dn {
    let mut name = X509NameBuilder::new().expect("OpenSSL works");
    for (kind, value) in entries {
        name.append_entry_by_text(kind, value).expect("valid entry");
    }
    Dn::from_x509(&name.build()).expect("valid name")
}

/// The subject of an operator's certificate, in the order of the certificate.
fn operator() -> Dn {
    certificate_name(&[
        ("C", "FR"),
        ("ST", "Paris (75)"),
        ("O", "EXEMPLE"),
        ("OU", "1750000001"),
        ("CN", "smtp.exemple.fr"),
    ])
}

// OPE-LIST: every way the white list writes a name finds the certificate
#[test]
fn writings_of_the_white_list() {
    for text in [
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR",
        "CN=smtp.exemple.fr, OU=1750000001, O=EXEMPLE, ST=Paris (75), C=FR",
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,L=Paris (75),C=FR",
        "C=FR,ST=Paris (75),O=EXEMPLE,OU=1750000001,CN=smtp.exemple.fr",
        "cn = SMTP.Exemple.FR , ou=1750000001,o=\"Exemple\",st=\"Paris   (75)\",c=fr",
        "CN=smtp.exemple.fr+OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR",
        "2.5.4.3=smtp.exemple.fr,OID.2.5.4.11=1750000001,O=EXEMPLE,S=Paris (75),C=FR",
        "  CN=smtp.exemple.fr,OU=1750000001,O=\\45XEMPLE,ST=Paris \\(75\\),C=FR\n",
        "CN=#130F736D74702E6578656D706C652E6672,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR",
    ] {
        assert!(dn(text).same_entity(&operator()), "{text}");
        assert_eq!(dn(text).canonical(), operator().canonical());
    }
    assert_eq!(operator().to_string(), "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR");
}

#[test]
fn oid_goes_before_an_oid_only() {
    // Found by fuzzing: an empty type, whose text read back as another name.
    for text in ["CN=a,OID.=b", "CN=a,OID.CN=b", "CN=smtx.=r=,=r,OUOU=P, OID.=FR=sr=,=r,OUOmU=P, SASC=FR"] {
        let name = dn(text);
        assert_eq!(dn(&name.to_string()).attributes(), name.attributes(), "{text}");
        assert_ne!(name.common_name(), Some("b"));
        assert!(name.attributes().iter().all(|a| a.kind != AttributeType::Other(String::new())), "{text}");
    }
}

#[test]
fn other_entities() {
    for text in [
        "CN=smtp2.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR",
        "CN=smtp.exemple.fr,OU=1750000002,O=EXEMPLE,ST=Paris (75),C=FR",
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLES,ST=Paris (75),C=FR",
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75)",
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR,OU=more",
        "CN=smtp.exemple.fr,OU=1750000001,O=EXEMPLE,ST=Paris (75),C=FR,UID=x",
        "O=smtp.exemple.fr,OU=1750000001,CN=EXEMPLE,ST=Paris (75),C=FR",
    ] {
        assert!(!dn(text).same_entity(&operator()), "{text}");
    }
    let nobody = certificate_name(&[]);
    assert!(nobody.is_empty() && !nobody.same_entity(&nobody), "an empty name designates nobody");
}

#[test]
fn quotes_and_separators_inside_values() {
    use AttributeType::Organization as O;
    for (text, organization) in [
        ("O=CLINIQUE \"FRANCK-JOLY\",C=FR", "CLINIQUE \"FRANCK-JOLY\""),
        ("O=\"FRANCK-JOLY\" CLINIQUE,C=FR", "\"FRANCK-JOLY\" CLINIQUE"),
        ("O=\"CLINIQUE \"FRANCK-JOLY\"\",C=FR", "CLINIQUE \"FRANCK-JOLY\""),
        ("O=\"CLINIQUE \\\"FRANCK-JOLY\\\"\",C=FR", "CLINIQUE \"FRANCK-JOLY\""),
        ("O=\"CH  DE  X\" , C=FR", "CH  DE  X"),
        ("O=\"A, C=B\",C=FR", "A, C=B"),
        ("O=LABO A+B, C et D,C=FR", "LABO A+B, C et D"),
        ("O=A\\, C\\=B,C=FR", "A, C=B"),
        ("O=H\\C3\\94PITAL,C=FR", "HÔPITAL"),
        ("O=\\ A\\ ,C=FR", " A "),
        ("O=\"\"\",C=FR", "\""),
    ] {
        assert_eq!(value(text, O), organization, "{text}");
    }
    // the list quotes where the certificate may not
    let certificate = certificate_name(&[("C", "FR"), ("O", "CLINIQUE \"FRANCK-JOLY\"")]);
    assert!(dn("O=CLINIQUE \"FRANCK-JOLY\",C=FR").same_entity(&certificate));
    assert!(dn("O=\"CLINIQUE \\\"FRANCK-JOLY\\\"\",C=FR").same_entity(&certificate));
}

#[test]
fn double_ou_and_structure_id() {
    let authority =
        "CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,OU=IGC-SANTE TEST,OU=0002 187512751,O=ASIP-SANTE,C=FR";
    assert_eq!(value(authority, AttributeType::OrganizationalUnit), "IGC-SANTE TEST|0002 187512751");
    assert_eq!(dn(authority).structure_id(), None);
    assert!(dn(authority).same_entity(&dn(
        "OU=0002 187512751,OU=IGC-SANTE TEST,O=ASIP-SANTE,C=FR,CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"
    )));
    assert!(
        !dn(authority)
            .same_entity(&dn("OU=IGC-SANTE TEST,O=ASIP-SANTE,C=FR,CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"))
    );
    assert_eq!(operator().structure_id(), Some("1750000001"));
    assert_eq!(dn("CN=a,OU=318751275100020").structure_id(), Some("318751275100020"));
    assert_eq!(dn("CN=a,OU=10B0057881,OU=service").structure_id(), Some("10B0057881"));
    for other in
        ["CN=a,OU=175000001", "CN=a,OU=2750000001", "CN=a,OU=31875127510002X", "CN=a,OU=1750000001,OU=1750000002"]
    {
        assert_eq!(dn(other).structure_id(), None, "{other}");
    }
}

#[test]
fn wrong_names() {
    let many = vec!["OU=a"; MAX_ATTRIBUTES + 1].join(",");
    let long = format!("CN={}", "a".repeat(MAX_LENGTH));
    for (text, error) in [
        ("", DnError::Empty),
        ("  \n", DnError::Empty),
        ("smtp.exemple.fr", DnError::AttributeExpected(0)),
        ("=x", DnError::AttributeExpected(0)),
        ("CN=", DnError::EmptyValue(3)),
        ("CN=a,OU= ,C=FR", DnError::EmptyValue(9)),
        ("CN=\"\"", DnError::EmptyValue(3)),
        ("CN=a\\", DnError::BadEscape(4)),
        ("CN=a\\zz", DnError::BadEscape(4)),
        ("CN=\\ff", DnError::BadEscape(3)),
        ("CN=a\\00b", DnError::ControlCharacter),
        ("CN=#04", DnError::BadHex(3)),
        ("CN=#0C0561", DnError::BadHex(3)),
        ("CN=#0C0161z", DnError::BadHex(3)),
        (many.as_str(), DnError::TooManyAttributes),
        (long.as_str(), DnError::TooLong),
    ] {
        assert_eq!(text.parse::<Dn>(), Err(error), "{text}");
    }
    assert!(vec!["OU=a"; MAX_ATTRIBUTES].join(",").parse::<Dn>().is_ok());
}

// a forged CN `smtp.exemple.fr<NUL>.attacker` must not read as `smtp.exemple.fr`
#[test]
fn embedded_nul_in_a_certificate() {
    let mut name = X509NameBuilder::new().expect("OpenSSL works");
    name.append_entry_by_text("CN", "good.fr@.evil.fr").expect("valid entry");
    let mut der = name.build().to_der().expect("OpenSSL works");
    let at = der.iter().position(|b| *b == b'@').expect("present");
    der[at] = 0;
    let forged = openssl::x509::X509Name::from_der(&der).expect("DER of a name");
    assert_eq!(Dn::from_x509(&forged), Err(DnError::ControlCharacter));
}

#[test]
fn types_known_by_several_names() {
    let card = certificate_name(&[
        ("C", "FR"),
        ("SN", "DUPONT"),
        ("GN", "JEAN"),
        ("CN", "899700000017"),
        ("emailAddress", "a@b.fr"),
    ]);
    assert!(card.same_entity(&dn("CN=899700000017,SURNAME=Dupont,givenName=Jean,C=FR,E=a@b.fr")));
    let unknown = certificate_name(&[("1.2.250.1.99.1", "x"), ("CN", "a")]);
    assert!(unknown.same_entity(&dn("CN=a,1.2.250.1.99.1=x")));
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~éÉœ]{1,20}", "[\"\\\\,+=;<># ]{1,8}", "[a-zA-Z0-9 .()-]{1,20}", "[a \u{a0}\u{2003}\u{3000}]{1,4}"]
}

fn any_dn() -> impl Strategy<Value = Dn> {
    let kind = prop::sample::select(vec!["CN", "OU", "O", "ST", "L", "C", "SN", "emailAddress", "1.2.3.4", "X-Y"]);
    prop::collection::vec((kind, any_value()), 1..7).prop_map(|attributes| {
        let attributes =
            attributes.into_iter().map(|(kind, value)| Attribute { kind: AttributeType::from_name(kind), value });
        Dn::new(attributes.collect()).expect("within the limits")
    })
}

#[test]
fn white_space_at_the_ends_is_kept_whatever_its_kind() {
    for (value, written) in [
        (" a ", "CN=\\ a\\ "),
        ("\u{a0}a\u{a0}b\u{a0}", "CN=\\C2\\A0a\u{a0}b\\C2\\A0"),
        ("\u{3000}", "CN=\\E3\\80\\80"),
    ] {
        let name = Dn::new(vec![Attribute { kind: AttributeType::CommonName, value: value.into() }]).expect("a name");
        assert_eq!(name.to_string(), written);
        assert_eq!(dn(written), name);
    }
}

proptest! {
    #[test]
    fn text_round_trips(name in any_dn()) {
        prop_assert_eq!(name.to_string().parse::<Dn>(), Ok(name));
    }

    #[test]
    fn order_case_and_spaces_do_not_matter(name in any_dn(), turn in 0usize..7) {
        let mut attributes = name.attributes().to_vec();
        let turn = turn % attributes.len();
        attributes.rotate_left(turn);
        for a in &mut attributes {
            a.value = format!(" {} ", a.value.to_uppercase().replace(' ', "  "));
        }
        let other = Dn::new(attributes).expect("within the limits");
        prop_assert_eq!(other.canonical(), name.canonical());
    }

    #[test]
    fn another_value_is_another_entity(name in any_dn(), suffix in "[a-z]{1,3}") {
        let mut attributes = name.attributes().to_vec();
        attributes[0].value.push_str(&suffix);
        let other = Dn::new(attributes).expect("within the limits");
        // the same set can only come back if another attribute already had that value
        if name.attributes().len() == 1 {
            prop_assert!(!other.same_entity(&name));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,80}", odd in "[CNOU=,+\"\\\\# é0-9a-f]{0,60}") {
        for text in [text, odd] {
            if let Ok(name) = text.parse::<Dn>() {
                prop_assert_eq!(name.to_string().parse::<Dn>(), Ok(name));
            }
        }
    }
}
