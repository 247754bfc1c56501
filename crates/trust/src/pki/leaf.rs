//! Certificates of organisations: what is asked for, what is given.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::authority::{BACKDATE, begin, generate_keys, key_id};
use super::publish::{INTERMEDIATE_CRL_PATH, INTERMEDIATE_PATH, OCSP_PATH, ROOT_CRL_PATH, ROOT_PATH};
use super::{Ca, PkiError, TestAuthority, der};
use crate::dn::{Dn, DnError};
use crate::tls::{Identity, TlsError};

/// All IGC-Santé certificates of organisations.
const LEAF_VALIDITY: Duration = Duration::from_secs(3 * 365 * 86_400);
/// IGC-Santé cuts organisation names there.
const MAX_ORGANIZATION: usize = 40;
/// Policy of all TEST certificates.
const POLICY: &str = "1.2.250.1.213.1.7.2.1.1.1.1";
/// Private extension of the health authorities: an OCTET STRING telling the kind of certificate.
const PRIVATE_EXTENSION: &str = "1.2.250.1.71.1.2.5";

/// The organisation a certificate belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `OU`: national structure identifier, `1` + FINESS or `3` + SIRET.
    pub structure_id: String,
    /// `O`: its name; cut at 40 characters as the real authority does.
    pub name: String,
    /// `ST`: *département*, such as `Paris (75)`.
    pub department: String,
}

impl Organization {
    /// An organisation.
    pub fn new(structure_id: &str, name: &str, department: &str) -> Organization {
        Organization { structure_id: structure_id.into(), name: name.into(), department: department.into() }
    }
}

/// The kind of certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `SERV SSL`: TLS server and client (operators).
    Server {
        /// DNS names of the subjectAltName.
        dns_names: Vec<String>,
        /// Addresses of the subjectAltName (the real authority gives none; test programs connect to 127.0.0.1).
        addresses: Vec<IpAddr>,
    },
    /// `ORG AUTH_CLI`: TLS client (BAL APP).
    AuthCli,
    /// `ORG SIGN`: signature of documents (white list).
    Sign,
    /// A server certificate that is not for clients: for negative tests, IGC-Santé makes none.
    ServerOnly,
    /// `OCSP`: signs the answers of the OCSP service in the authority's place.
    OcspSigner,
    /// A certificate without any extended key usage: for negative tests.
    NoUsage,
}

/// Who signs a certificate that is to be refused.
#[derive(Clone, Copy)]
pub enum SignedBy<'a> {
    /// Another authority, with its key.
    Other(&'a X509, &'a PKey<Private>),
    /// Its own key.
    Itself,
}

/// The dates of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validity {
    /// From now, for three years.
    #[default]
    Usual,
    /// Ended yesterday.
    Expired,
    /// Begins tomorrow.
    NotYet,
}

/// A certificate asked for.
#[derive(Debug, Clone)]
pub struct LeafRequest {
    /// `CN`: full name of a server, free name of an application.
    pub common_name: String,
    /// Whose.
    pub organization: Organization,
    /// What for.
    pub kind: Kind,
    /// From when to when.
    pub validity: Validity,
}

impl LeafRequest {
    /// `SERV SSL` for this host (and other names of it).
    pub fn server(fqdn: &str, organization: &Organization, other_names: &[&str], addresses: &[IpAddr]) -> LeafRequest {
        let mut dns_names = vec![fqdn.to_owned()];
        dns_names.extend(other_names.iter().filter(|name| **name != fqdn).map(|name| (*name).to_owned()));
        LeafRequest::new(fqdn, organization, Kind::Server { dns_names, addresses: addresses.to_vec() })
    }

    /// `ORG AUTH_CLI`.
    pub fn auth_cli(common_name: &str, organization: &Organization) -> LeafRequest {
        LeafRequest::new(common_name, organization, Kind::AuthCli)
    }

    /// `ORG SIGN`.
    pub fn sign(common_name: &str, organization: &Organization) -> LeafRequest {
        LeafRequest::new(common_name, organization, Kind::Sign)
    }

    /// Any kind.
    pub fn new(common_name: &str, organization: &Organization, kind: Kind) -> LeafRequest {
        LeafRequest {
            common_name: common_name.to_owned(),
            organization: organization.clone(),
            kind,
            validity: Validity::Usual,
        }
    }

    /// The same with other dates.
    #[must_use]
    pub fn valid(self, validity: Validity) -> LeafRequest {
        LeafRequest { validity, ..self }
    }
}

/// A certificate given, with its key and the intermediate above it.
#[derive(Clone)]
pub struct Issued {
    certificate: X509,
    intermediate: X509,
    key: PKey<Private>,
}

impl Issued {
    /// The certificate.
    pub fn certificate(&self) -> &X509 {
        &self.certificate
    }

    /// Its key.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// Its subject, as the white list would cite it.
    ///
    /// # Errors
    /// None for a request within the limits of [`Dn`].
    pub fn dn(&self) -> Result<Dn, DnError> {
        Dn::from_x509(self.certificate.subject_name())
    }

    /// Its serial number, upper case hexadecimal, as [`TestAuthority::revoke`] takes it.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn serial(&self) -> Result<String, PkiError> {
        Ok(self.certificate.serial_number().to_bn()?.to_hex_str()?.to_string())
    }

    /// Certificate then intermediate, PEM.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn chain_pem(&self) -> Result<Vec<u8>, PkiError> {
        Ok([self.certificate.to_pem()?, self.intermediate.to_pem()?].concat())
    }

    /// The key, PKCS#8 PEM without passphrase.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn key_pem(&self) -> Result<Vec<u8>, PkiError> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }

    /// As what a TLS port shows.
    ///
    /// # Errors
    /// None for what this authority gives.
    pub fn identity(&self) -> Result<Identity, TlsError> {
        Identity::new(vec![self.certificate.clone(), self.intermediate.clone()], self.key.clone())
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("subject", &self.certificate.subject_name()).finish_non_exhaustive()
    }
}

impl TestAuthority {
    /// Gives one certificate with a new key.
    ///
    /// # Errors
    /// A name that X.520 does not allow (CN over 64 characters…).
    pub fn issue(&self, request: &LeafRequest) -> Result<Issued, PkiError> {
        self.issue_all(std::slice::from_ref(request))?.pop().ok_or(PkiError::Thread)
    }

    /// Gives several certificates, in the order asked; their keys are made in parallel.
    ///
    /// # Errors
    /// The same as [`TestAuthority::issue`].
    pub fn issue_all(&self, requests: &[LeafRequest]) -> Result<Vec<Issued>, PkiError> {
        let keys = generate_keys(requests.len())?;
        requests.iter().zip(keys).map(|(request, key)| self.certify(request, key)).collect()
    }

    /// Gives a certificate for a key that exists (renewal, or several certificates in a test that needs no other key).
    ///
    /// # Errors
    /// A name that X.520 does not allow.
    pub fn certify(&self, request: &LeafRequest, key: PKey<Private>) -> Result<Issued, PkiError> {
        self.make_leaf(request, key, None)
    }

    /// Gives a certificate that this authority does not sign, alike in all else: to be refused.
    ///
    /// # Errors
    /// A name that X.520 does not allow.
    pub fn certify_badly(
        &self,
        request: &LeafRequest,
        key: PKey<Private>,
        by: SignedBy<'_>,
    ) -> Result<Issued, PkiError> {
        self.make_leaf(request, key, Some(by))
    }

    fn make_leaf(
        &self,
        request: &LeafRequest,
        key: PKey<Private>,
        by: Option<SignedBy<'_>>,
    ) -> Result<Issued, PkiError> {
        let (not_before, not_after) = dates(request.validity, self.clock.now());
        let mut leaf = begin(not_before, not_after)?;
        let mut name = X509NameBuilder::new()?;
        let organization: String = request.organization.name.chars().take(MAX_ORGANIZATION).collect();
        name.append_entry_by_nid(Nid::COUNTRYNAME, "FR")?;
        name.append_entry_by_nid(Nid::STATEORPROVINCENAME, &request.organization.department)?;
        name.append_entry_by_nid(Nid::ORGANIZATIONNAME, organization.trim_end())?;
        name.append_entry_by_nid(Nid::ORGANIZATIONALUNITNAME, &request.organization.structure_id)?;
        name.append_entry_by_nid(Nid::COMMONNAME, &request.common_name)?;
        let name = name.build();
        leaf.set_subject_name(&name)?;
        let (above, signer) = match by {
            None => (Some(self.intermediate()), &self.organizations.key),
            Some(SignedBy::Other(certificate, key)) => (Some(certificate), key),
            Some(SignedBy::Itself) => (None, &key),
        };
        leaf.set_issuer_name(above.map_or(&*name, |above| above.subject_name()))?;
        leaf.set_pubkey(&key)?;
        leaf.append_extension(BasicConstraints::new().build()?)?;
        leaf.append_extension(der::subject_key_id(&key_id(&key)?)?)?;
        leaf.append_extension(der::authority_key_id(&key_id(signer)?)?)?;
        let kind = usages(&mut leaf, &request.kind)?;
        leaf.append_extension(der::extension(
            "2.5.29.32",
            false,
            &der::sequence(&[der::sequence(&[der::oid(POLICY)?])]),
        )?)?;
        leaf.append_extension(der::extension(PRIVATE_EXTENSION, false, &der::element(0x04, &[kind]))?)?;
        pointers(&mut leaf, &self.base_url, Ca::Organizations)?;
        leaf.sign(signer, MessageDigest::sha256())?;
        let certificate = leaf.build();
        let intermediate = above.unwrap_or(&certificate).clone();
        Ok(Issued { certificate, intermediate, key })
    }
}

fn dates(validity: Validity, now: SystemTime) -> (SystemTime, SystemTime) {
    const DAY: Duration = Duration::from_secs(86_400);
    match validity {
        Validity::Usual => (now - BACKDATE, now + LEAF_VALIDITY),
        Validity::Expired => (now - LEAF_VALIDITY, now - DAY),
        Validity::NotYet => (now + DAY, now + LEAF_VALIDITY),
    }
}

/// Key usages and names by kind. Gives the value of the private extension: 0x83 for a signature is known; the others are ours.
fn usages(leaf: &mut X509Builder, kind: &Kind) -> Result<u8, PkiError> {
    let mut key = KeyUsage::new();
    key.critical().digital_signature();
    let mut extended = ExtendedKeyUsage::new();
    let mut alternative = None;
    let value = match kind {
        Kind::Server { dns_names, addresses } => {
            key.key_encipherment();
            extended.server_auth().client_auth();
            let mut names = SubjectAlternativeName::new();
            for name in dns_names {
                names.dns(name);
            }
            for address in addresses {
                names.ip(&address.to_string());
            }
            alternative = Some(names);
            0x80
        }
        Kind::AuthCli => {
            extended.client_auth();
            0x81
        }
        Kind::Sign => {
            key.non_repudiation();
            extended.email_protection();
            0x83
        }
        Kind::OcspSigner => {
            extended.other("OCSPSigning");
            0x84
        }
        Kind::ServerOnly => {
            key.key_encipherment();
            extended.server_auth();
            0x80
        }
        Kind::NoUsage => 0x80,
    };
    leaf.append_extension(key.build()?)?;
    if *kind != Kind::NoUsage {
        leaf.append_extension(extended.build()?)?;
    }
    if let Some(names) = alternative {
        let extension = names.build(&leaf.x509v3_context(None, None))?;
        leaf.append_extension(extension)?;
    }
    Ok(value)
}

/// Where to find the issuer's revocation list, OCSP service and certificate.
pub(super) fn pointers(certificate: &mut X509Builder, base_url: &str, issuer: Ca) -> Result<(), PkiError> {
    let (list, authority) = match issuer {
        Ca::Root => (ROOT_CRL_PATH, ROOT_PATH),
        Ca::Organizations => (INTERMEDIATE_CRL_PATH, INTERMEDIATE_PATH),
    };
    let full_name = der::element(0xA0, &der::uri(&format!("{base_url}{list}")));
    let points = der::sequence(&[der::sequence(&[der::element(0xA0, &full_name)])]);
    certificate.append_extension(der::extension("2.5.29.31", false, &points)?)?;
    let access = der::sequence(&[
        der::sequence(&[der::oid("1.3.6.1.5.5.7.48.1")?, der::uri(&format!("{base_url}{OCSP_PATH}"))]),
        der::sequence(&[der::oid("1.3.6.1.5.5.7.48.2")?, der::uri(&format!("{base_url}{authority}"))]),
    ]);
    certificate.append_extension(der::extension("1.3.6.1.5.5.7.1.1", false, &access)?)?;
    Ok(())
}
