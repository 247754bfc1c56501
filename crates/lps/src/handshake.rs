//! What a failed TLS handshake means to who wanted the connection: whose fault, and what to do (ECO.1.1.3 to ECO.1.1.10).

use trust::tls::{CertificateFault, HandshakeError};

use crate::explain::{Explain, Fault, Remedy, Told};

impl Explain for HandshakeError {
    fn told(&self) -> Told {
        const CONNECTION: Remedy = (
            "Vérifiez la connexion de ce poste et le pare-feu, puis réessayez.",
            "Check this machine's connection and the firewall, then try again.",
        );
        const OPERATOR: Remedy = (
            "Prévenez l'opérateur : son serveur n'offre pas le TLS du référentiel.",
            "Tell the operator: the server does not offer the TLS of the référentiel.",
        );
        match self {
            HandshakeError::TimedOut => {
                Told::new("tls.timed-out", Fault::Network, "la négociation TLS n'a pas abouti à temps", CONNECTION)
                    .passing()
            }
            HandshakeError::Certificate(fault) => certificate(fault),
            HandshakeError::PeerAlert(alert) => Told::new(
                "tls.refused-by-server",
                Fault::Host,
                format!("le serveur refuse la connexion (alerte TLS {alert})"),
                (
                    "Vérifiez le certificat de ce logiciel : ORG AUTH_CLI, en cours de validité, non révoqué.",
                    "Check this software's certificate: ORG AUTH_CLI, within its dates, not revoked.",
                ),
            ),
            HandshakeError::NothingInCommon => Told::new(
                "tls.nothing-in-common",
                Fault::Operator,
                "aucune version ni suite TLS permise par le référentiel",
                OPERATOR,
            ),
            HandshakeError::BelowProfile(suite) => {
                Told::new("tls.too-weak", Fault::Operator, format!("TLS sous le niveau exigé : {suite}"), OPERATOR)
            }
            HandshakeError::BadHostName => Told::new(
                "tls.not-a-name",
                Fault::Host,
                "le nom du serveur n'en est pas un",
                ("Donnez le nom DNS complet du serveur.", "Give the full DNS name of the server."),
            ),
            HandshakeError::Io(error) => Told::new(
                "tls.connection-lost",
                Fault::Network,
                format!("connexion perdue pendant la négociation TLS : {error}"),
                CONNECTION,
            )
            .passing(),
            HandshakeError::Protocol(error) => {
                Told::new("tls.protocol", Fault::Operator, format!("erreur de protocole TLS : {error}"), OPERATOR)
            }
            HandshakeError::OpenSsl(error) => Told::new(
                "tls.openssl",
                Fault::Host,
                format!("OpenSSL : {error}"),
                (
                    "Vérifiez le certificat et la clé de ce logiciel et l'OpenSSL de ce poste.",
                    "Check this software's certificate and key and this machine's OpenSSL.",
                ),
            ),
        }
    }
}

fn certificate(fault: &CertificateFault) -> Told {
    const DATE: Remedy = (
        "Vérifiez la date de ce poste ; si elle est juste, prévenez l'opérateur et ne vous connectez pas.",
        "Check this machine's date; if it is right, tell the operator and do not connect.",
    );
    const STOP: Remedy = (
        "Ne vous connectez pas : prévenez l'opérateur de la messagerie.",
        "Do not connect: tell the operator of the mailbox.",
    );
    let of = |code, french: &str, remedy| Told::new(code, Fault::Operator, french, remedy);
    match fault {
        CertificateFault::Missing => of("tls.certificate-missing", "le serveur ne présente pas de certificat", STOP),
        CertificateFault::Expired => of("tls.certificate-expired", "le certificat du serveur est expiré", DATE),
        CertificateFault::NotYetValid => {
            of("tls.certificate-not-yet-valid", "le certificat du serveur n'est pas encore valable", DATE)
        }
        CertificateFault::UnknownAuthority => {
            of("tls.unknown-authority", "le certificat du serveur n'est pas de l'IGC-Santé", STOP)
        }
        CertificateFault::BadSignature => {
            of("tls.bad-signature", "une signature de la chaîne de certificats est fausse", STOP)
        }
        CertificateFault::Revoked => of("tls.certificate-revoked", "le certificat du serveur est révoqué", STOP),
        CertificateFault::CrlUnavailable => Told::new(
            "tls.revocation-unknown",
            Fault::Space,
            "on ne peut pas savoir si le certificat du serveur est révoqué",
            (
                "Permettez à ce poste de joindre les listes de révocation et le service OCSP de l'IGC-Santé (HTTP, port 80), puis réessayez.",
                "Let this machine reach the revocation lists and the OCSP service of IGC-Santé (HTTP, port 80), then try again.",
            ),
        )
        .passing(),
        CertificateFault::WrongUsage => {
            of("tls.wrong-usage", "le certificat du serveur n'est pas fait pour cet usage", STOP)
        }
        CertificateFault::WrongName => of("tls.wrong-name", "le certificat est celui d'un autre serveur", STOP),
        CertificateFault::Weak => {
            of("tls.weak-certificate", "le certificat du serveur a une clé ou une empreinte trop faible", STOP)
        }
        CertificateFault::Other(code) => of(
            "tls.certificate-refused",
            &format!("le certificat du serveur n'est pas acceptable (code OpenSSL {code})"),
            STOP,
        ),
    }
}
