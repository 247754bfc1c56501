//! What a failed TLS handshake means to who wanted the connection: whose fault, and what to do (ECO.1.1.3 to ECO.1.1.10).

use trust::tls::{CertificateFault, HandshakeError};

use crate::explain::{Explain, Fault, Language};

impl Explain for HandshakeError {
    fn code(&self) -> &'static str {
        match self {
            HandshakeError::TimedOut => "tls.timed-out",
            HandshakeError::Certificate(fault) => match fault {
                CertificateFault::Missing => "tls.certificate-missing",
                CertificateFault::Expired => "tls.certificate-expired",
                CertificateFault::NotYetValid => "tls.certificate-not-yet-valid",
                CertificateFault::UnknownAuthority => "tls.unknown-authority",
                CertificateFault::BadSignature => "tls.bad-signature",
                CertificateFault::Revoked => "tls.certificate-revoked",
                CertificateFault::CrlUnavailable => "tls.revocation-unknown",
                CertificateFault::WrongUsage => "tls.wrong-usage",
                CertificateFault::WrongName => "tls.wrong-name",
                CertificateFault::Weak => "tls.weak-certificate",
                CertificateFault::Other(_) => "tls.certificate-refused",
            },
            HandshakeError::PeerAlert(_) => "tls.refused-by-server",
            HandshakeError::NothingInCommon => "tls.nothing-in-common",
            HandshakeError::BelowProfile(_) => "tls.too-weak",
            HandshakeError::BadHostName => "tls.not-a-name",
            HandshakeError::Io(_) => "tls.connection-lost",
            HandshakeError::Protocol(_) => "tls.protocol",
            HandshakeError::OpenSsl(_) => "tls.openssl",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            HandshakeError::TimedOut | HandshakeError::Io(_) => Fault::Network,
            HandshakeError::Certificate(CertificateFault::CrlUnavailable) => Fault::Space,
            // An alert of the server is about our certificate, or about what we offer, which is what the text asks.
            HandshakeError::PeerAlert(_) | HandshakeError::BadHostName | HandshakeError::OpenSsl(_) => Fault::Host,
            HandshakeError::Certificate(_)
            | HandshakeError::NothingInCommon
            | HandshakeError::BelowProfile(_)
            | HandshakeError::Protocol(_) => Fault::Operator,
        }
    }

    fn is_temporary(&self) -> bool {
        matches!(
            self,
            HandshakeError::TimedOut
                | HandshakeError::Io(_)
                | HandshakeError::Certificate(CertificateFault::CrlUnavailable)
        )
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        let fault = |fault: &CertificateFault| match fault {
            CertificateFault::Missing => "le serveur ne présente pas de certificat",
            CertificateFault::Expired => "le certificat du serveur est expiré",
            CertificateFault::NotYetValid => "le certificat du serveur n'est pas encore valable",
            CertificateFault::UnknownAuthority => "le certificat du serveur n'est pas de l'IGC-Santé",
            CertificateFault::BadSignature => "une signature de la chaîne de certificats est fausse",
            CertificateFault::Revoked => "le certificat du serveur est révoqué",
            CertificateFault::CrlUnavailable => "on ne peut pas savoir si le certificat du serveur est révoqué",
            CertificateFault::WrongUsage => "le certificat du serveur n'est pas fait pour cet usage",
            CertificateFault::WrongName => "le certificat est celui d'un autre serveur",
            CertificateFault::Weak => "le certificat du serveur a une clé ou une empreinte trop faible",
            CertificateFault::Other(_) => "le certificat du serveur n'est pas acceptable",
        };
        match self {
            HandshakeError::TimedOut => "la négociation TLS n'a pas abouti à temps".to_owned(),
            HandshakeError::Certificate(CertificateFault::Other(code)) => {
                format!("{} (code OpenSSL {code})", fault(&CertificateFault::Other(*code)))
            }
            HandshakeError::Certificate(found) => fault(found).to_owned(),
            HandshakeError::PeerAlert(alert) => format!("le serveur refuse la connexion (alerte TLS {alert})"),
            HandshakeError::NothingInCommon => "aucune version ni suite TLS permise par le référentiel".to_owned(),
            HandshakeError::BelowProfile(suite) => format!("TLS sous le niveau exigé : {suite}"),
            HandshakeError::BadHostName => "le nom du serveur n'en est pas un".to_owned(),
            HandshakeError::Io(error) => format!("connexion perdue pendant la négociation TLS : {error}"),
            HandshakeError::Protocol(error) => format!("erreur de protocole TLS : {error}"),
            HandshakeError::OpenSsl(error) => format!("OpenSSL : {error}"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            HandshakeError::TimedOut | HandshakeError::Io(_) => language.pick(
                "Vérifiez la connexion de ce poste et le pare-feu, puis réessayez.",
                "Check this machine's connection and the firewall, then try again.",
            ),
            HandshakeError::Certificate(CertificateFault::CrlUnavailable) => language.pick(
                "Permettez à ce poste de joindre les listes de révocation et le service OCSP de l'IGC-Santé (HTTP, port 80), puis réessayez.",
                "Let this machine reach the revocation lists and the OCSP service of IGC-Santé (HTTP, port 80), then try again.",
            ),
            HandshakeError::Certificate(CertificateFault::NotYetValid | CertificateFault::Expired) => language.pick(
                "Vérifiez la date de ce poste ; si elle est juste, prévenez l'opérateur et ne vous connectez pas.",
                "Check this machine's date; if it is right, tell the operator and do not connect.",
            ),
            HandshakeError::Certificate(_) => language.pick(
                "Ne vous connectez pas : prévenez l'opérateur de la messagerie.",
                "Do not connect: tell the operator of the mailbox.",
            ),
            HandshakeError::PeerAlert(_) => language.pick(
                "Vérifiez le certificat de ce logiciel : ORG AUTH_CLI, en cours de validité, non révoqué.",
                "Check this software's certificate: ORG AUTH_CLI, within its dates, not revoked.",
            ),
            HandshakeError::NothingInCommon | HandshakeError::BelowProfile(_) | HandshakeError::Protocol(_) => language
                .pick(
                    "Prévenez l'opérateur : son serveur n'offre pas le TLS du référentiel.",
                    "Tell the operator: the server does not offer the TLS of the référentiel.",
                ),
            HandshakeError::BadHostName => {
                language.pick("Donnez le nom DNS complet du serveur.", "Give the full DNS name of the server.")
            }
            HandshakeError::OpenSsl(_) => language.pick(
                "Vérifiez le certificat et la clé de ce logiciel et l'OpenSSL de ce poste.",
                "Check this software's certificate and key and this machine's OpenSSL.",
            ),
        }
        .to_owned()
    }
}
