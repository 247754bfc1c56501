//! Professions and specialities by code: the interface gives codes alone, people look for words.
//!
//! Labels of the nomenclatures TRE_G15-ProfessionSante and TRE_R38-SpecialiteOrdinale of the ANS; a code that is not here is shown as
//! it is and found by itself.

use crate::fold::{all_begin, words};

/// System of [`PROFESSIONS`].
pub const PROFESSION_SYSTEM: &str =
    "https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante";
/// System of [`SPECIALITIES`].
pub const SPECIALITY_SYSTEM: &str =
    "https://mos.esante.gouv.fr/NOS/TRE_R38-SpecialiteOrdinale/FHIR/TRE-R38-SpecialiteOrdinale";

/// TRE_G15.
pub const PROFESSIONS: [(&str, &str); 33] = [
    ("10", "Médecin"),
    ("21", "Pharmacien"),
    ("26", "Audioprothésiste"),
    ("28", "Opticien-Lunetier"),
    ("31", "Assistant dentaire"),
    ("32", "Physicien médical"),
    ("35", "Aide-soignant"),
    ("36", "Ambulancier"),
    ("37", "Auxiliaire de puériculture"),
    ("38", "Préparateur en pharmacie hospitalière"),
    ("39", "Préparateur en pharmacie (officine)"),
    ("40", "Chirurgien-Dentiste"),
    ("50", "Sage-Femme"),
    ("60", "Infirmier"),
    ("69", "Infirmier psychiatrique"),
    ("70", "Masseur-Kinésithérapeute"),
    ("71", "Ostéopathe"),
    ("72", "Psychothérapeute"),
    ("73", "Chiropracteur"),
    ("80", "Pédicure-Podologue"),
    ("81", "Orthoprothésiste"),
    ("82", "Podo-Orthésiste"),
    ("83", "Orthopédiste-Orthésiste"),
    ("84", "Oculariste"),
    ("85", "Epithésiste"),
    ("86", "Technicien de laboratoire médical"),
    ("91", "Orthophoniste"),
    ("92", "Orthoptiste"),
    ("93", "Psychologue"),
    ("94", "Ergothérapeute"),
    ("95", "Diététicien"),
    ("96", "Psychomotricien"),
    ("98", "Manipulateur ERM"),
];

/// TRE_R38, physicians (SM), dentists (SCD) and nurses (SI).
pub const SPECIALITIES: [(&str, &str); 106] = [
    ("SI01", "Exercice infirmier en pratique avancée pathologies chroniques stabilisées (SI)"),
    ("SI02", "Exercice infirmier en pratique avancée oncologie et hémato-oncologie (SI)"),
    ("SI03", "Exercice infirmier en pratique avancée maladie rénale chronique (SI)"),
    ("SI04", "Exercice infirmier en pratique avancée santé mentale (SI)"),
    ("SI05", "Exercice infirmier en pratique avancée urgences (SI)"),
    ("SI06", "Infirmier(ère) de bloc opératoire (SI)"),
    ("SI07", "Infirmier(ère) anesthésiste (SI)"),
    ("SI08", "Infirmier(ère) puériculteur(trice)"),
    ("SCD01", "Orthopédie dento-faciale (SCD)"),
    ("SCD02", "Chirurgie orale (SCD)"),
    ("SCD03", "Médecine bucco-dentaire (SCD)"),
    ("SM01", "Anatomie et Cytologie pathologiques (SM)"),
    ("SM02", "Anesthésie-réanimation (SM)"),
    ("SM03", "Biologie médicale (SM)"),
    ("SM04", "Cardiologie et Maladies vasculaires (SM)"),
    ("SM05", "Chirurgie générale (SM)"),
    ("SM06", "Chirurgie maxillo-faciale (SM)"),
    ("SM07", "Chirurgie maxillo-faciale et Stomatologie (SM)"),
    ("SM08", "Chirurgie orthopédique et Traumatologie (SM)"),
    ("SM09", "Chirurgie infantile (SM)"),
    ("SM10", "Chirurgie plastique reconstructrice et esthétique (SM)"),
    ("SM11", "Chirurgie thoracique et cardio-vasculaire (SM)"),
    ("SM12", "Chirurgie urologique (SM)"),
    ("SM13", "Chirurgie vasculaire (SM)"),
    ("SM14", "Chirurgie viscérale et digestive (SM)"),
    ("SM15", "Dermatologie et Vénéréologie (SM)"),
    ("SM16", "Endocrinologie et Métabolisme (SM)"),
    ("SM17", "Génétique médicale (SM)"),
    ("SM18", "Gériatrie (SM)"),
    ("SM19", "Gynécologie médicale (SM)"),
    ("SM20", "Gynécologie-obstétrique (SM)"),
    ("SM21", "Hématologie (SM)"),
    ("SM22", "Hématologie, option Maladie du sang (SM)"),
    ("SM23", "Hématologie, option Onco-hématologie (SM)"),
    ("SM24", "Gastro-entérologie et Hépatologie (SM)"),
    ("SM25", "Médecine du travail (SM)"),
    ("SM26", "Qualifié en Médecine générale (SM)"),
    ("SM27", "Médecine interne (SM)"),
    ("SM28", "Médecine nucléaire (SM)"),
    ("SM29", "Médecine physique et de réadaptation (SM)"),
    ("SM30", "Néphrologie (SM)"),
    ("SM31", "Neuro-chirurgie (SM)"),
    ("SM32", "Neurologie (SM)"),
    ("SM33", "Neuro-psychiatrie (SM)"),
    ("SM34", "ORL et Chirurgie cervico-faciale (SM)"),
    ("SM35", "Oncologie, option Onco-hématologie (SM)"),
    ("SM36", "Oncologie, option médicale (SM)"),
    ("SM37", "Oncologie, option radiothérapie (SM)"),
    ("SM38", "Ophtalmologie (SM)"),
    ("SM39", "Oto-rhino-laryngologie (SM)"),
    ("SM40", "Pédiatrie (SM)"),
    ("SM41", "Pneumologie (SM)"),
    ("SM42", "Psychiatrie (SM)"),
    ("SM43", "Psychiatrie, option enfant et adolescent (SM)"),
    ("SM44", "Radio-diagnostic (SM)"),
    ("SM45", "Radio-thérapie (SM)"),
    ("SM46", "Médecine intensive-réanimation (SM)"),
    ("SM47", "Recherche médicale (SM)"),
    ("SM48", "Rhumatologie (SM)"),
    ("SM49", "Santé publique et Médecine sociale (SM)"),
    ("SM50", "Stomatologie (SM)"),
    ("SM51", "Gynéco-obstétrique et Gynéco-médicale, option Gynéco-obstétrique (SM)"),
    ("SM52", "Gynéco-obstétrique et Gynéco-médicale, option Gynéco-médicale (SM)"),
    ("SM53", "Spécialiste en Médecine générale (SM)"),
    ("SM54", "Médecine générale (SM)"),
    ("SM55", "Radio-diagnostic et Radio-thérapie (SM)"),
    ("SM56", "Chirurgie orale (SM)"),
    ("SM57", "Allergologie (SM)"),
    ("SM58", "Maladies infectieuses et tropicales (SM)"),
    ("SM59", "Médecine d'urgence (SM)"),
    ("SM60", "Médecine légale et expertises médicales (SM)"),
    ("SM61", "Médecine vasculaire (SM)"),
    ("SM62", "Endocrinologie, diabétologie, nutrition (SM)"),
    ("SM63", "Biologie médicale option biologie générale (SM)"),
    ("SM64", "Biologie médicale option médecine moléculaire, génétique et pharmacologie (SM)"),
    ("SM65", "Biologie médicale option hématologie et immunologie (SM)"),
    ("SM66", "Biologie médicale option agents infectieux (SM)"),
    ("SM67", "Biologie médicale option biologie de la reproduction (SM)"),
    ("SM68", "Chirurgie maxillo-faciale (réforme 2017) (SM)"),
    ("SM69", "Chirurgie pédiatrique option chirurgie viscérale pédiatrique (SM)"),
    ("SM70", "Chirurgie pédiatrique option orthopédie pédiatrique (SM)"),
    ("SM71", "Hématologie (réforme 2017) (SM)"),
    ("SM72", "Médecine interne et immunologie clinique (SM)"),
    ("SM73", "Médecine cardiovasculaire (SM)"),
    ("SM74", "Radiologie et imagerie médicale (SM)"),
    ("SM75", "Santé publique (SM)"),
    ("SM76", "Anesthésie-réanimation option anesthésie-pédiatrique (SM)"),
    ("SM77", "Chirurgie maxillo-faciale option orthodontie des dysmorphies maxillo-faciales (SM)"),
    ("SM78", "Chirurgie viscérale et digestive option endoscopie chirurgicale (SM)"),
    ("SM79", "Médecine cardiovasculaire option cardiologie interventionnelle (SM)"),
    ("SM80", "Médecine cardiovasculaire option imagerie cardio d'expert (SM)"),
    ("SM81", "Médecine cardiovasculaire option rythmologie interventionnelle et stimulation cardiaque (SM)"),
    ("SM82", "Médecine intensive-réanimation option réanimation pédiatrique (SM)"),
    ("SM83", "Néphrologie option soins intensifs néphrologiques (SM)"),
    ("SM84", "Neurologie option traitement interventionnel de l'ischémie cérébrale aigüe (SM)"),
    ("SM85", "Ophtalmo option chirurgie ophtalmopédiatrique et strabologique (SM)"),
    ("SM86", "ORL et chirurgie cervico-faciale option audiophonologie (SM)"),
    ("SM87", "Pédiatrie option néonatologie (SM)"),
    ("SM88", "Pédiatrie option neuropédiatrie (SM)"),
    ("SM89", "Pédiatrie option pneumopédiatrie (SM)"),
    ("SM90", "Pédiatrie option réanimation pédiatrique (SM)"),
    ("SM91", "Pneumologie option soins intensifs respiratoires (SM)"),
    ("SM92", "Psychiatrie option enfant et adolescent (SM)"),
    ("SM93", "Psychiatrie option psychiatrie personne âgée (SM)"),
    ("SM94", "Radiologie imagerie médicale option radiologie interventionnelle avancée (SM)"),
    ("SM95", "Santé publique option administration de la santé (SM)"),
];

/// The label of a profession's code.
#[must_use]
pub fn profession(code: &str) -> Option<&'static str> {
    label(&PROFESSIONS, code)
}

/// The label of a speciality's code.
#[must_use]
pub fn speciality(code: &str) -> Option<&'static str> {
    label(&SPECIALITIES, code)
}

fn label(table: &'static [(&str, &str)], code: &str) -> Option<&'static str> {
    table.iter().find(|(own, _)| own.eq_ignore_ascii_case(code)).map(|(_, label)| *label)
}

/// The codes somebody means by words or by a code; empty when no label has these words.
pub(crate) fn codes(table: &'static [(&'static str, &'static str)], sought: &[String]) -> Vec<&'static str> {
    let meant = |&(code, label): &(&str, &str)| {
        matches!(sought, [one] if code.eq_ignore_ascii_case(one)) || all_begin(sought, &words(label))
    };
    table.iter().filter(|entry| meant(entry)).map(|(code, _)| *code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes() {
        assert_eq!(codes(&PROFESSIONS, &words("médecin")), ["10"]);
        assert_eq!(codes(&PROFESSIONS, &words("infirm")), ["60", "69"]);
        assert_eq!(codes(&PROFESSIONS, &words("98")), ["98"]);
        assert!(codes(&SPECIALITIES, &words("cardiologie")).contains(&"SM04"));
        assert_eq!((profession("60"), speciality("sm54")), (Some("Infirmier"), Some("Médecine générale (SM)")));
    }

    #[test]
    fn no_code_twice() {
        for table in [PROFESSIONS.as_slice(), SPECIALITIES.as_slice()] {
            assert!(table.windows(2).all(|pair| pair[0].0 != pair[1].0 && !pair[0].1.is_empty()));
        }
    }
}
