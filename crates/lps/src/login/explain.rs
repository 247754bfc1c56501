//! What the errors of a login mean to people.

use psc::login::{LoginError, Over, SettingsError};

use crate::explain::{Explain, Fault, Remedy, Told};

impl Explain for LoginError {
    fn told(&self) -> Told {
        const INTERCEPTED: Remedy = (
            "Vérifiez qu'aucun équipement n'intercepte la connexion, puis réessayez ; sinon prévenez Pro Santé Connect.",
            "Check that nothing intercepts the connection, then try again; else tell Pro Santé Connect.",
        );
        const APPROVE: Remedy = (
            "Recommencez, et approuvez la demande dont les deux chiffres sont ceux affichés.",
            "Try again, and approve the request whose two digits are those shown.",
        );
        let told = match self {
            LoginError::Unreachable(call) => Told::new(
                "login.unreachable",
                Fault::Psc,
                format!("Pro Santé Connect ne répond pas ({call})"),
                ("Réessayez dans un instant.", "Try again in a moment."),
            ),
            LoginError::BadAnswer(call) => Told::new(
                "login.bad-answer",
                Fault::Psc,
                format!("Pro Santé Connect a donné une réponse inutilisable ({call})"),
                INTERCEPTED,
            ),
            LoginError::WrongIssuer => Told::new(
                "login.wrong-issuer",
                Fault::Psc,
                "l'émetteur n'est pas celui des réglages",
                (
                    "Vérifiez psc.issuer dans les réglages : il doit être exactement celui de Pro Santé Connect.",
                    "Check psc.issuer in the settings: it must be exactly Pro Santé Connect's.",
                ),
            ),
            LoginError::NoCiba => Told::new(
                "login.no-ciba",
                Fault::Host,
                "Pro Santé Connect n'offre pas ici l'authentification par téléphone (CIBA)",
                (
                    "Connectez-vous par le navigateur, ou donnez psc.ciba_endpoint dans les réglages.",
                    "Log in with the browser, or give psc.ciba_endpoint in the settings.",
                ),
            ),
            LoginError::Client(code) => Told::new(
                "login.client-refused",
                Fault::Host,
                format!("Pro Santé Connect refuse ce logiciel ({code})"),
                (
                    "Vérifiez l'identifiant et le secret (ou le certificat) du client, et qu'il est activé chez Pro Santé Connect.",
                    "Check the identifier and the secret (or certificate) of the client, and that Pro Santé Connect has activated it.",
                ),
            ),
            LoginError::Refused(code) => Told::new(
                "login.refused",
                Fault::Host,
                format!("Pro Santé Connect refuse la demande ({code})"),
                (
                    "Recommencez la connexion ; si le refus revient, vérifiez les réglages psc.scope et psc.acr_values.",
                    "Log in again; if it is refused again, check the settings psc.scope and psc.acr_values.",
                ),
            ),
            LoginError::Denied => Told::new("login.denied", Fault::User, "la personne a refusé la connexion", APPROVE),
            LoginError::Expired => Told::new(
                "login.expired",
                Fault::User,
                "personne n'a répondu à temps à la demande de connexion",
                APPROVE,
            ),
            LoginError::UnknownPerson => Told::new(
                "login.unknown-person",
                Fault::User,
                "Pro Santé Connect ne connaît pas cette personne",
                (
                    "Vérifiez l'identifiant national (8 suivi du numéro RPPS) et que la personne a activé sa e-CPS.",
                    "Check the national identifier (8 and the RPPS number), and that the person has activated their e-CPS.",
                ),
            ),
            LoginError::WrongState => Told::new(
                "login.wrong-state",
                Fault::User,
                "ce retour de Pro Santé Connect est celui d'une autre connexion",
                (
                    "Recommencez la connexion depuis ce logiciel, et n'ouvrez pas d'adresse reçue d'ailleurs.",
                    "Log in again from this program, and open no address received from elsewhere.",
                ),
            ),
            LoginError::BadReturn => {
                Told::new("login.bad-return", Fault::Psc, "le retour de Pro Santé Connect est mal formé", INTERCEPTED)
            }
            LoginError::IdToken(fault) => Told::new(
                "login.id-token",
                Fault::Psc,
                format!("le jeton d'identité est refusé ({fault})"),
                (
                    "Vérifiez l'heure de ce poste et psc.issuer ; si tout est juste, ne continuez pas et prévenez Pro Santé Connect.",
                    "Check this machine's clock and psc.issuer; if all is right, do not go on and tell Pro Santé Connect.",
                ),
            ),
            LoginError::OtherPerson => Told::new(
                "login.other-person",
                Fault::User,
                "une autre personne que celle attendue a répondu",
                (
                    "Recommencez avec l'identifiant de la personne qui se connecte.",
                    "Try again with the identifier of the person who logs in.",
                ),
            ),
            LoginError::Over(over) => {
                let french = match over {
                    Over::Idle => "la session Pro Santé Connect est terminée : 15 minutes sans activité",
                    Over::Age => "la session Pro Santé Connect est terminée : 4 heures ont passé",
                    Over::Refused => "Pro Santé Connect a mis fin à la session",
                    Over::LoggedOut => "la session Pro Santé Connect a été fermée",
                };
                Told::new("login.session-over", Fault::User, french, ("Identifiez-vous de nouveau.", "Log in again."))
            }
            LoginError::Random => Told::new(
                "login.no-randomness",
                Fault::Host,
                "ce poste ne donne pas de nombres aléatoires",
                ("Redémarrez ce poste.", "Restart this machine."),
            ),
        };
        told.passing_if(LoginError::is_temporary(self))
    }
}

impl Explain for SettingsError {
    fn told(&self) -> Told {
        const SECTION: Remedy = (
            "Comparez la section [psc] avec docs/editor.md, où chaque clé est expliquée.",
            "Compare the section [psc] with docs/editor.md, where every key is explained.",
        );
        const RIGHT_FILE: Remedy = (
            "Donnez le bon fichier, que cet utilisateur doit pouvoir lire.",
            "Give the right file, which this user must be able to read.",
        );
        match self {
            SettingsError::Empty(key) => {
                Told::new("space.psc-empty", Fault::Host, format!("psc.{key} est vide"), SECTION)
            }
            SettingsError::Authentication => Told::new(
                "space.psc-authentication",
                Fault::Host,
                "psc : donnez soit client_secret_file, soit certificate et key",
                SECTION,
            ),
            SettingsError::Scope => {
                Told::new("space.psc-scope", Fault::Host, "psc.scope doit contenir openid", SECTION)
            }
            SettingsError::Insecure(key) => Told::new(
                "space.psc-insecure",
                Fault::Host,
                format!("psc.{key} n'est pas une adresse https://"),
                SECTION,
            ),
            SettingsError::File { key, path, error } => Told::new(
                "space.psc-file",
                Fault::Host,
                format!("psc.{key} : {} : {error}", path.display()),
                RIGHT_FILE,
            ),
            SettingsError::Content { key, path, expected } => Told::new(
                "space.psc-content",
                Fault::Host,
                format!("psc.{key} : {} n'est pas ce qu'il doit être ({expected})", path.display()),
                RIGHT_FILE,
            ),
            SettingsError::Http(error) => Told::new(
                "space.psc-http",
                Fault::Host,
                format!("psc : {error}"),
                ("Vérifiez les autorités de psc.anchors.", "Check the authorities of psc.anchors."),
            ),
        }
    }
}
