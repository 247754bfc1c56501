//! The declaration of accessibility: what was checked, what is known to be wrong, whom to tell.

use axum::extract::State;
use axum::response::Response;

use super::guard::Visitor;
use super::layout::{self, Page};
use crate::{Desk, html};

pub(super) async fn show(State(desk): State<Desk>, visitor: Visitor) -> Response {
    let body = html!(
        "<h1>Déclaration d’accessibilité</h1>\n<p>Cette application vise le niveau AA du RGAA 4.1. Son état : <strong>partiellement conforme</strong> : \
         elle n’a pas encore été auditée par un tiers.</p>\n<h2>Ce qui est vérifié à chaque version</h2>\n<ul>\n\
         <li>axe-core ne trouve aucun défaut grave sur les pages d’un parcours complet, en clair et en sombre ;</li>\n\
         <li>ce parcours se fait entièrement au clavier, et sans JavaScript ;</li>\n\
         <li>chaque page a sa langue, un titre, un seul titre de niveau 1, des repères et un lien d’évitement ; chaque champ son étiquette ; chaque tableau \
         sa légende et ses en-têtes ; les erreurs de saisie sont reliées à leur champ et résumées en tête ;</li>\n\
         <li>aucun état n’est dit par la couleur seule.</li>\n</ul>\n<h2>Ce qui manque</h2>\n<ul>\n\
         <li>aucun essai avec des personnes qui emploient un lecteur d’écran n’a été fait ;</li>\n\
         <li>les preuves sont les octets mêmes des serveurs : leur lecture vocale est pénible ; la ligne qui décide est répétée en clair.</li>\n</ul>\n\
         <h2>Signaler un défaut</h2>\n<p>À l’administrateur de cette application, ou dans le dépôt du logiciel Vaguemestre. Sans réponse, le \
         Défenseur des droits peut être saisi.</p>\n"
    );
    let session = visitor.session.as_ref();
    layout::page(&desk, Page { title: "Accessibilité", session, here: "/accessibilite", body, ..Page::default() })
}
