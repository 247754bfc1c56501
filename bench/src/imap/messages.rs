//! The messages of the benchmark: French prose with markers that are rare, half as frequent, or in every message.

use std::fmt::Write;

/// Words to write with: no real text, so that nothing depends on it.
const WORDS: [&str; 40] = [
    "patient",
    "compte",
    "rendu",
    "consultation",
    "examen",
    "clinique",
    "traitement",
    "hospitalisation",
    "sortie",
    "lettre",
    "médecin",
    "résultat",
    "biologie",
    "imagerie",
    "scanner",
    "thorax",
    "abdomen",
    "prescription",
    "posologie",
    "suivi",
    "contrôle",
    "tension",
    "artérielle",
    "glycémie",
    "évolution",
    "favorable",
    "douleur",
    "antécédents",
    "allergie",
    "vaccination",
    "infirmier",
    "service",
    "cardiologie",
    "urgences",
    "rendez-vous",
    "semaine",
    "jours",
    "matin",
    "soir",
    "néant",
];

/// A word that one message in 5,000 has.
pub const RARE: &str = "zygomatique";
/// A word that one message in two has.
pub const HALF: &str = "pseudoarthrose";
/// A word of every message.
pub const ALL: &str = "Cordialement";

/// A phrase of every message, one of those that have [`RARE`], and one of none whose words every message has.
pub const PHRASES: [(&str, &str); 3] =
    [("all", "bien cordialement"), ("one in 5,000", "os zygomatique"), ("none", "cordialement bien")];

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    /// The next number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Message `number`: text and HTML, and `attachment` octets of an attachment. About 3 KB and the attachment.
pub fn message(number: usize, attachment: usize) -> String {
    let mut dice = Dice(number as u64 + 1);
    let mut prose = String::new();
    while prose.len() < 1100 {
        for _ in 0..9 {
            let _ = write!(prose, "{} ", WORDS[dice.below(WORDS.len())]);
        }
        prose.push_str("\r\n");
    }
    if number % 5000 == 1 {
        prose.push_str("os ");
        prose.push_str(RARE);
        prose.push_str("\r\n");
    }
    if number.is_multiple_of(2) {
        prose.push_str(HALF);
        prose.push_str("\r\n");
    }
    prose.push_str("Bien ");
    prose.push_str(ALL);
    prose.push_str("\r\n");
    let day = number % 28 + 1;
    let mut out = format!(
        "From: =?utf-8?q?Dr_H=C3=A9l=C3=A8ne?= Martin <helene.martin{}@exemple.mssante.fr>\r\nTo: Service <service{}@autre.mssante.fr>\r\n\
         Subject: Compte rendu {number} {}\r\nDate: {day:02} Nov 2026 12:00:00 +0100\r\nMessage-ID: <{number}@exemple.mssante.fr>\r\n\
         In-Reply-To: <{}@exemple.mssante.fr>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_m\"\r\n\r\n\
         --=_m\r\nContent-Type: multipart/alternative; boundary=\"=_a\"\r\n\r\n--=_a\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{prose}\r\n--=_a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         <html><body><p>{prose}</p></body></html>\r\n--=_a--\r\n",
        number % 97,
        number % 31,
        WORDS[number % WORDS.len()],
        number / 4 * 4,
    );
    if attachment > 0 {
        out.push_str(
            "--=_m\r\nContent-Type: application/pdf; name=\"document.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"document.pdf\"\r\n\r\n",
        );
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let end = out.len() + attachment;
        while out.len() < end {
            for _ in 0..76 {
                out.push(char::from(DIGITS[dice.below(64)]));
            }
            out.push_str("\r\n");
        }
    }
    out.push_str("--=_m--\r\n");
    out
}

/// A message of about 400 octets.
pub fn small(number: usize) -> String {
    format!(
        "From: <a{}@exemple.mssante.fr>\r\nTo: <b@autre.mssante.fr>\r\nSubject: petit {number}\r\nDate: 01 Nov 2026 12:00:00 +0100\r\n\
         Message-ID: <s{number}@exemple.mssante.fr>\r\n\r\nBonjour {number}\r\n",
        number % 97
    )
}
