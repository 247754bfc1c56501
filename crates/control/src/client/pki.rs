//! The certificates that the scripted operator shows: a test authority of its own, which the software under test must be told to believe,
//! and every kind of certificate it must not believe.
//!
//! The authority is kept in the job's folder, so that it is given to the software once; certificates are made anew at each start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVersion};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use trust::clock::SystemClock;
use trust::pki::{LeafRequest, Organization, PkiError, TestAuthority, Validity};

use super::data::{Certificate, Manner, Scenario};

/// Where the authority's base address is remembered: with another one its pointers lead nowhere.
const BASE: &str = "base.txt";
/// The six suites.
const SIX: &str = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:\
                   DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256";
/// None of the six. What this OpenSSL does not have (RC4, 3DES) is passed over.
const OUTSIDE: &str = "AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA:AES128-SHA:ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:\
                       DES-CBC3-SHA:RC4-SHA:@SECLEVEL=0";
/// What TLS 1.0 has.
const OLD: &str = "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:AES256-SHA:AES128-SHA:@SECLEVEL=0";
/// With the prime of 1024 bits.
const DHE: &str = "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0";

/// The authority and what it made.
pub struct Pki {
    /// Serves its lists.
    pub authority: Arc<TestAuthority>,
    chains: BTreeMap<Certificate, Vec<X509>>,
    key: PKey<Private>,
}

impl Pki {
    /// Loads or makes the authority, and makes every certificate for these names.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub fn open(folder: &Path, base_url: &str, names: &[&str]) -> Result<Pki, PkiError> {
        let clock = SystemClock::shared();
        let base = folder.join(BASE);
        let authority = match std::fs::read_to_string(&base) {
            Ok(kept) if kept == base_url => TestAuthority::load(folder, base_url, clock.clone())?,
            _ => {
                let made = TestAuthority::generate(base_url, clock.clone())?;
                made.save(folder)?;
                std::fs::write(&base, base_url).map_err(|source| PkiError::File { path: base, source })?;
                made
            }
        };
        let host = names.first().copied().unwrap_or_default();
        let whose = Organization::new("10B0057881", "CONTROLE VAGUEMESTRE", "Paris (75)");
        let good = LeafRequest::server(host, &whose, names, &[]);
        let nominal = authority.issue(&good)?;
        // One key for all: what differs is what is said of it.
        let key = nominal.key().clone();
        let foreign = TestAuthority::generate(base_url, clock)?;
        let other_name = format!("autre.{host}");
        let certify = |authority: &TestAuthority, request: &LeafRequest| -> Result<Vec<X509>, PkiError> {
            let issued = authority.certify(request, key.clone())?;
            Ok(vec![issued.certificate().clone(), authority.intermediate().clone()])
        };
        let mut chains = BTreeMap::new();
        chains.insert(Certificate::Nominal, vec![nominal.certificate().clone(), authority.intermediate().clone()]);
        chains.insert(Certificate::Expire, certify(&authority, &good.clone().valid(Validity::Expired))?);
        chains.insert(Certificate::PasEncore, certify(&authority, &good.clone().valid(Validity::NotYet))?);
        chains.insert(Certificate::AutreNom, certify(&authority, &LeafRequest::server(&other_name, &whose, &[], &[]))?);
        chains.insert(Certificate::AutreAutorite, certify(&foreign, &good)?);
        chains.insert(Certificate::Autosigne, vec![self_signed(names, &key)?]);
        let revoked = authority.certify(&good, key.clone())?;
        authority.revoke(&revoked.serial()?)?;
        chains.insert(Certificate::Revoque, vec![revoked.certificate().clone(), authority.intermediate().clone()]);
        authority.save(folder)?;
        Ok(Pki { authority: Arc::new(authority), chains, key })
    }

    /// What TLS is made with in a scenario.
    ///
    /// # Errors
    /// An OpenSSL without what the scenario needs.
    pub fn context(&self, scenario: &Scenario) -> Result<SslContext, ErrorStack> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        self.dress(&mut context, scenario.certificat)?;
        let (low, high, suites) = match scenario.tls {
            Manner::Normale => (SslVersion::TLS1_2, SslVersion::TLS1_3, SIX),
            Manner::VersionsAnciennes => (SslVersion::TLS1, SslVersion::TLS1_1, OLD),
            Manner::SuitesHorsListe => (SslVersion::TLS1_2, SslVersion::TLS1_2, OUTSIDE),
            Manner::Dh1024 => (SslVersion::TLS1_2, SslVersion::TLS1_2, DHE),
        };
        // Before the key: the level decides what keys are taken.
        context.set_cipher_list(suites)?;
        context.set_min_proto_version(Some(low))?;
        context.set_max_proto_version(Some(high))?;
        let group = if scenario.tls == Manner::Dh1024 { Dh::get_1024_160()? } else { Dh::get_2048_256()? };
        context.set_tmp_dh(&group)?;
        Ok(context.build())
    }

    /// For autoconfiguration, always good.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn https(&self) -> Result<SslContext, ErrorStack> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        self.dress(&mut context, Certificate::Nominal)?;
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        Ok(context.build())
    }

    fn dress(&self, context: &mut SslContextBuilder, certificate: Certificate) -> Result<(), ErrorStack> {
        // Each handshake is whole: what is resumed shows nothing.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_options(SslOptions::NO_TICKET);
        if let Some([leaf, above @ ..]) = self.chains.get(&certificate).map(Vec::as_slice) {
            context.set_certificate(leaf)?;
            for certificate in above {
                context.add_extra_chain_cert(certificate.clone())?;
            }
        }
        context.set_private_key(&self.key)
    }
}

/// A certificate signed by itself.
fn self_signed(names: &[&str], key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", names.first().copied().unwrap_or("autosigne"))?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(key)?;
    let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(365)?);
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&to)?;
    let mut alternatives = SubjectAlternativeName::new();
    for name in names {
        alternatives.dns(name);
    }
    let extension = alternatives.build(&certificate.x509v3_context(None, None))?;
    certificate.append_extension(extension)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}
