//! What an operator stands on before any port opens: certificate, authorities, revocation lists, white list, tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use psc::{Audience, Introspection, Secret, Verifier, VerifierConfig};
use trust::clock::SharedClock;
use trust::dn::Dn;
use trust::revocation::{CrlSource, Online, Revocation, RevocationPolicy, RevocationSettings};
use trust::tls::{Acceptor, Anchors, ClientCertificates, ClientTls, Connector, Identity, Profile, ServerTls, Tls13};
use trust::white_list::{Keeper, KeeperConfig, RequiredSigner, SignaturePolicy};

use super::{StartError, setting};
use crate::config::{self, Config};

/// What is set up before any port opens.
pub(super) struct Setup {
    pub(super) clock: SharedClock,
    pub(super) identity: Identity,
    pub(super) anchors: Anchors,
    pub(super) revocation: Arc<Revocation>,
    pub(super) tls13: Tls13,
    pub(super) tls10_until: Option<SystemTime>,
}

impl Setup {
    pub(super) fn acceptor(
        &self,
        profile: Profile,
        clients: ClientCertificates,
        entrance: &Arc<meter::Entrance>,
    ) -> Result<Acceptor, StartError> {
        Acceptor::new(self.server(profile, clients, entrance)).map_err(setting("TLS"))
    }

    pub(super) fn server(
        &self,
        profile: Profile,
        clients: ClientCertificates,
        entrance: &Arc<meter::Entrance>,
    ) -> ServerTls {
        ServerTls {
            tls13: self.tls13,
            tls10_until: if profile == Profile::Operator { self.tls10_until } else { None },
            client_certificates: clients,
            anchors: self.anchors.clone(),
            revocation: self.revocation.clone(),
            clock: self.clock.clone(),
            entrance: entrance.clone(),
            ..ServerTls::new(self.identity.clone(), profile)
        }
    }

    pub(super) fn connector(&self) -> Result<Connector, StartError> {
        let settings = ClientTls {
            tls13: self.tls13,
            tls10_until: self.tls10_until,
            clock: self.clock.clone(),
            ..ClientTls::operator(self.identity.clone(), self.anchors.clone(), self.revocation.clone())
        };
        Connector::new(settings).map_err(setting("TLS"))
    }
}

/// Reads what the configuration names.
pub(super) fn setup(config: &Config, clock: &SharedClock) -> Result<Setup, StartError> {
    let anchors = Anchors::from_file(config.trust.anchors.get_ref()).map_err(setting("trust anchors"))?;
    let sources = config.trust.crl.iter().map(|source| match source.get_ref() {
        url if url.contains("://") => CrlSource::Url(url.clone()),
        path => CrlSource::File(path.into()),
    });
    let cache = config.operator.data.join("crl");
    std::fs::create_dir_all(&cache).map_err(setting("the folder of revocation lists"))?;
    let settings = RevocationSettings {
        policy: match config.trust.revocation {
            config::Revocation::Required => RevocationPolicy::Required,
            config::Revocation::Tolerant => RevocationPolicy::Tolerant,
        },
        cache_dir: Some(cache),
        online: if config.trust.ocsp { Online::ALL } else { Online::default() },
        clock: clock.clone(),
        ..RevocationSettings::required(anchors.clone(), sources.collect())
    };
    let revocation = Arc::new(Revocation::new(settings).map_err(setting("revocation lists"))?);
    let identity = Identity::from_files(config.tls.certificate.get_ref(), config.tls.key.get_ref())
        .map_err(setting("our certificate"))?;
    let tls10_until = config.tls.tls10_tolerated_until.as_ref().and_then(|day| config::parse_day(day.get_ref()));
    Ok(Setup {
        clock: clock.clone(),
        identity,
        anchors,
        revocation,
        tls13: if config.tls.tls13 { Tls13::Allowed } else { Tls13::Refused },
        tls10_until: tls10_until.map(SystemTime::from),
    })
}

/// The white list, from its last good copy; nothing is fetched yet.
pub(super) fn keeper(
    config: &Config,
    setup: &Setup,
    clock: &SharedClock,
    data: &Path,
) -> Result<Arc<Keeper>, StartError> {
    let http = trust::http::client(setup.anchors.certificates()).map_err(setting("HTTPS to the white list"))?;
    let name: Dn = config.white_list.signer.get_ref().parse().map_err(setting("white_list.signer"))?;
    let settings = KeeperConfig {
        url: config.white_list.url.get_ref().clone(),
        policy: SignaturePolicy::Required(RequiredSigner {
            anchors: setup.anchors.clone(),
            name,
            revocation: setup.revocation.clone(),
        }),
        path: data.join("white-list.xml"),
        refresh_every: Duration::from_secs(60 * config.white_list.refresh_minutes.get_ref()),
    };
    Ok(Keeper::open(settings, http, clock.clone()))
}

/// The judge of access tokens.
pub(super) fn verifier(config: &Config, clock: &SharedClock) -> Result<Verifier, StartError> {
    let psc = &config.psc;
    let anchors = Anchors::from_file(psc.anchors.get_ref()).map_err(setting("psc.anchors"))?;
    let http = trust::http::client(anchors.certificates()).map_err(setting("HTTPS to Pro Santé Connect"))?;
    let audience = psc.audience.iter().cloned().collect();
    let introspection = match &psc.introspection {
        None => None,
        Some(introspection) => {
            let file = introspection.client_secret_file.get_ref();
            let secret = std::fs::read_to_string(file).map_err(setting("psc.introspection.client_secret_file"))?;
            Some(Introspection {
                url: introspection.url.get_ref().clone(),
                client_id: introspection.client_id.clone(),
                client_secret: Secret::new(secret.trim_end()),
            })
        }
    };
    let settings = VerifierConfig {
        skew: Duration::from_secs(*psc.skew_seconds.get_ref()),
        acr: psc.acr.iter().cloned().collect(),
        audience: if psc.audience_required { Audience::In(audience) } else { Audience::AbsentOrIn(audience) },
        introspection,
        userinfo: psc.userinfo.as_ref().map(|url| url.get_ref().clone()),
        keys_retry: Duration::from_secs(*psc.keys_retry_seconds.get_ref()),
        ..VerifierConfig::new(psc.issuer.clone(), psc.jwks_uri.get_ref().clone())
    };
    Verifier::new(settings, http, clock.clone()).map_err(setting("psc"))
}
