//! What the errors of a login mean to people.

use psc::login::{LoginError, Over, SettingsError};

use crate::explain::{Explain, Fault, Language};

impl Explain for LoginError {
    fn code(&self) -> &'static str {
        match self {
            LoginError::Unreachable(_) => "login.unreachable",
            LoginError::BadAnswer(_) => "login.bad-answer",
            LoginError::WrongIssuer => "login.wrong-issuer",
            LoginError::NoCiba => "login.no-ciba",
            LoginError::Client(_) => "login.client-refused",
            LoginError::Refused(_) => "login.refused",
            LoginError::Denied => "login.denied",
            LoginError::Expired => "login.expired",
            LoginError::UnknownPerson => "login.unknown-person",
            LoginError::WrongState => "login.wrong-state",
            LoginError::BadReturn => "login.bad-return",
            LoginError::IdToken(_) => "login.id-token",
            LoginError::OtherPerson => "login.other-person",
            LoginError::Over(_) => "login.session-over",
            LoginError::Random => "login.no-randomness",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            LoginError::Unreachable(_)
            | LoginError::BadAnswer(_)
            | LoginError::WrongIssuer
            | LoginError::IdToken(_)
            | LoginError::BadReturn => Fault::Psc,
            LoginError::NoCiba | LoginError::Client(_) | LoginError::Refused(_) | LoginError::Random => Fault::Host,
            LoginError::Denied
            | LoginError::Expired
            | LoginError::UnknownPerson
            | LoginError::WrongState
            | LoginError::OtherPerson
            | LoginError::Over(_) => Fault::User,
        }
    }

    fn is_temporary(&self) -> bool {
        LoginError::is_temporary(self)
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        match self {
            LoginError::Unreachable(call) => format!("Pro Santé Connect ne répond pas ({call})"),
            LoginError::BadAnswer(call) => format!("Pro Santé Connect a donné une réponse inutilisable ({call})"),
            LoginError::WrongIssuer => "l'émetteur n'est pas celui des réglages".to_owned(),
            LoginError::NoCiba => {
                "Pro Santé Connect n'offre pas ici l'authentification par téléphone (CIBA)".to_owned()
            }
            LoginError::Client(code) => format!("Pro Santé Connect refuse ce logiciel ({code})"),
            LoginError::Refused(code) => format!("Pro Santé Connect refuse la demande ({code})"),
            LoginError::Denied => "la personne a refusé la connexion".to_owned(),
            LoginError::Expired => "personne n'a répondu à temps à la demande de connexion".to_owned(),
            LoginError::UnknownPerson => "Pro Santé Connect ne connaît pas cette personne".to_owned(),
            LoginError::WrongState => "ce retour de Pro Santé Connect est celui d'une autre connexion".to_owned(),
            LoginError::BadReturn => "le retour de Pro Santé Connect est mal formé".to_owned(),
            LoginError::IdToken(fault) => format!("le jeton d'identité est refusé ({fault})"),
            LoginError::OtherPerson => "une autre personne que celle attendue a répondu".to_owned(),
            LoginError::Over(Over::Idle) => {
                "la session Pro Santé Connect est terminée : 15 minutes sans activité".to_owned()
            }
            LoginError::Over(Over::Age) => "la session Pro Santé Connect est terminée : 4 heures ont passé".to_owned(),
            LoginError::Over(Over::Refused) => "Pro Santé Connect a mis fin à la session".to_owned(),
            LoginError::Over(Over::LoggedOut) => "la session Pro Santé Connect a été fermée".to_owned(),
            LoginError::Random => "ce poste ne donne pas de nombres aléatoires".to_owned(),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            LoginError::Unreachable(_) => language.pick("Réessayez dans un instant.", "Try again in a moment."),
            LoginError::BadAnswer(_) | LoginError::BadReturn => language.pick(
                "Vérifiez qu'aucun équipement n'intercepte la connexion, puis réessayez ; sinon prévenez Pro Santé Connect.",
                "Check that nothing intercepts the connection, then try again; else tell Pro Santé Connect.",
            ),
            LoginError::WrongIssuer => language.pick(
                "Vérifiez psc.issuer dans les réglages : il doit être exactement celui de Pro Santé Connect.",
                "Check psc.issuer in the settings: it must be exactly Pro Santé Connect's.",
            ),
            LoginError::NoCiba => language.pick(
                "Connectez-vous par le navigateur, ou donnez psc.ciba_endpoint dans les réglages.",
                "Log in with the browser, or give psc.ciba_endpoint in the settings.",
            ),
            LoginError::Client(_) => language.pick(
                "Vérifiez l'identifiant et le secret (ou le certificat) du client, et qu'il est activé chez Pro Santé Connect.",
                "Check the identifier and the secret (or certificate) of the client, and that Pro Santé Connect has activated it.",
            ),
            LoginError::Refused(_) => language.pick(
                "Recommencez la connexion ; si le refus revient, vérifiez les réglages psc.scope et psc.acr_values.",
                "Log in again; if it is refused again, check the settings psc.scope and psc.acr_values.",
            ),
            LoginError::Denied | LoginError::Expired => language.pick(
                "Recommencez, et approuvez la demande dont les deux chiffres sont ceux affichés.",
                "Try again, and approve the request whose two digits are those shown.",
            ),
            LoginError::UnknownPerson => language.pick(
                "Vérifiez l'identifiant national (8 suivi du numéro RPPS) et que la personne a activé sa e-CPS.",
                "Check the national identifier (8 and the RPPS number), and that the person has activated their e-CPS.",
            ),
            LoginError::WrongState => language.pick(
                "Recommencez la connexion depuis ce logiciel, et n'ouvrez pas d'adresse reçue d'ailleurs.",
                "Log in again from this program, and open no address received from elsewhere.",
            ),
            LoginError::IdToken(_) => language.pick(
                "Vérifiez l'heure de ce poste et psc.issuer ; si tout est juste, ne continuez pas et prévenez Pro Santé Connect.",
                "Check this machine's clock and psc.issuer; if all is right, do not go on and tell Pro Santé Connect.",
            ),
            LoginError::OtherPerson => language.pick(
                "Recommencez avec l'identifiant de la personne qui se connecte.",
                "Try again with the identifier of the person who logs in.",
            ),
            LoginError::Over(_) => language.pick("Identifiez-vous de nouveau.", "Log in again."),
            LoginError::Random => language.pick("Redémarrez ce poste.", "Restart this machine."),
        }
        .to_owned()
    }
}

impl Explain for SettingsError {
    fn code(&self) -> &'static str {
        match self {
            SettingsError::Empty(_) => "space.psc-empty",
            SettingsError::Authentication => "space.psc-authentication",
            SettingsError::Scope => "space.psc-scope",
            SettingsError::Insecure(_) => "space.psc-insecure",
            SettingsError::File { .. } => "space.psc-file",
            SettingsError::Content { .. } => "space.psc-content",
            SettingsError::Http(_) => "space.psc-http",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Host
    }

    fn is_temporary(&self) -> bool {
        false
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        match self {
            SettingsError::Empty(key) => format!("psc.{key} est vide"),
            SettingsError::Authentication => "psc : donnez soit client_secret_file, soit certificate et key".to_owned(),
            SettingsError::Scope => "psc.scope doit contenir openid".to_owned(),
            SettingsError::Insecure(key) => format!("psc.{key} n'est pas une adresse https://"),
            SettingsError::File { key, path, error } => format!("psc.{key} : {} : {error}", path.display()),
            SettingsError::Content { key, path, expected } => {
                format!("psc.{key} : {} n'est pas ce qu'il doit être ({expected})", path.display())
            }
            SettingsError::Http(error) => format!("psc : {error}"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            SettingsError::File { .. } | SettingsError::Content { .. } => language.pick(
                "Donnez le bon fichier, que cet utilisateur doit pouvoir lire.",
                "Give the right file, which this user must be able to read.",
            ),
            SettingsError::Http(_) => {
                language.pick("Vérifiez les autorités de psc.anchors.", "Check the authorities of psc.anchors.")
            }
            _ => language.pick(
                "Comparez la section [psc] avec docs/editor.md, où chaque clé est expliquée.",
                "Compare the section [psc] with docs/editor.md, where every key is explained.",
            ),
        }
        .to_owned()
    }
}
