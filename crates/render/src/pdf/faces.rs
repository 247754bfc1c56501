//! The fonts of the PDF copy: Noto Sans in four styles, and two faces of signs that serve all of them. Shipped with the crate (OFL),
//! embedded as subsets by the writer.
//!
//! Text is composed (NFC) and drawn letter by letter: French, Greek and Cyrillic need no more shaping than that.

use std::collections::HashMap;
use std::sync::LazyLock;

use krilla::text::Font;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::model::Style;

const FILES: [&[u8]; 6] = [
    include_bytes!("../../fonts/NotoSans-Regular.ttf"),
    include_bytes!("../../fonts/NotoSans-Bold.ttf"),
    include_bytes!("../../fonts/NotoSans-Italic.ttf"),
    include_bytes!("../../fonts/NotoSans-BoldItalic.ttf"),
    include_bytes!("../../fonts/NotoSansMath-Regular.ttf"),
    include_bytes!("../../fonts/NotoSansSymbols2-Regular.ttf"),
];
/// The faces of signs, tried in this order after the face of the style.
const SIGNS: [usize; 2] = [4, 5];
/// What is drawn where there is no letter: visible, never silently nothing.
const MISSING: char = '\u{FFFD}';

static FACES: LazyLock<Vec<Face>> = LazyLock::new(|| FILES.iter().map(|file| Face::of(file)).collect());

/// One font file.
struct Face {
    font: Font,
    /// Glyph and advance (in parts of the size) of each letter.
    glyphs: HashMap<char, (u32, f32)>,
    /// The same of the first letters, which nearly all text is made of.
    first: Vec<Option<(u32, f32)>>,
}

/// Latin with all its accents.
const FIRST: u32 = 0x250;

impl Face {
    fn of(file: &'static [u8]) -> Self {
        let reader = FontRef::new(file).expect("a font of this crate");
        let units = f32::from(reader.head_units());
        let metrics = reader.glyph_metrics(Size::unscaled(), LocationRef::default());
        let glyphs = reader.charmap().mappings().filter_map(|(letter, glyph)| {
            let advance = metrics.advance_width(glyph)? / units;
            Some((char::from_u32(letter)?, (glyph.to_u32(), advance)))
        });
        let glyphs: HashMap<char, (u32, f32)> = glyphs.collect();
        let first = (0..FIRST).map(|code| glyphs.get(&char::from_u32(code)?).copied()).collect();
        Self { glyphs, first, font: Font::new(file.into(), 0).expect("a font of this crate") }
    }

    fn glyph(&self, letter: char) -> Option<(u32, f32)> {
        match self.first.get(letter as usize) {
            Some(known) => *known,
            None => self.glyphs.get(&letter).copied(),
        }
    }
}

/// Units per em of a font file.
trait HeadUnits {
    fn head_units(&self) -> u16;
}

impl HeadUnits for FontRef<'_> {
    fn head_units(&self) -> u16 {
        self.metrics(Size::unscaled(), LocationRef::default()).units_per_em
    }
}

/// Rank of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FaceId(usize);

impl FaceId {
    /// The face of a style.
    pub(super) fn of(style: Style) -> Self {
        Self(usize::from(style.bold) + 2 * usize::from(style.italic))
    }

    pub(super) fn font(self) -> Font {
        FACES[self.0].font.clone()
    }

    /// Glyph and advance of a letter that this face has.
    pub(super) fn glyph(self, letter: char) -> Option<(u32, f32)> {
        FACES[self.0].glyph(letter)
    }

    /// The face, this one or one of signs, that has the letter.
    fn having(self, letter: char) -> Option<(Self, f32)> {
        let found = |rank: usize| FACES[rank].glyph(letter).map(|(_, advance)| (Self(rank), advance));
        found(self.0).or_else(|| SIGNS.iter().find_map(|rank| found(*rank)))
    }
}

/// A letter that can be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub letter: char,
    pub face: FaceId,
    /// In parts of the size.
    pub advance: f32,
}

/// The letters of a text as they can be drawn: composed; what no face has is taken apart (`㎎` gives `mg`), or replaced and counted.
pub(super) fn letters(text: &str, face: FaceId, missing: &mut usize) -> Vec<Letter> {
    let mut drawn = Vec::with_capacity(text.len());
    // Most text is composed already.
    if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text.chars().for_each(|letter| draw(letter, face, &mut drawn, missing));
    } else {
        text.nfc().for_each(|letter| draw(letter, face, &mut drawn, missing));
    }
    drawn
}

fn draw(letter: char, face: FaceId, drawn: &mut Vec<Letter>, missing: &mut usize) {
    if let Some((face, advance)) = face.having(letter) {
        drawn.push(Letter { letter, face, advance });
        return;
    }
    let apart: Option<Vec<Letter>> = std::iter::once(letter)
        .nfkd()
        .filter(|c| *c != letter)
        .map(|letter| face.having(letter).map(|(face, advance)| Letter { letter, face, advance }))
        .collect();
    match apart {
        Some(apart) if !apart.is_empty() => drawn.extend(apart),
        _ => {
            *missing += 1;
            let (face, advance) = face.having(MISSING).expect("a letter of every style of this crate");
            drawn.push(Letter { letter: MISSING, face, advance });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_medicine_writes_has_letters() {
        let mut missing = 0;
        for (bold, italic) in [(false, false), (true, false), (false, true), (true, true)] {
            let face = FaceId::of(Style { bold, italic, ..Style::default() });
            let text = "Œdème, ça brûle à l’Île — « naïf » ≤ ≥ ± × ÷ µg μg α β γ δ Ω Δ ² ³ ⁻¹ H₂O → ↑ ↓ ≠ ≈ √ ∞ ☐ ☑ ✓ ° ‰ € … • ◦ ▪ № Ѐ Ẁ ĝ 😷";
            let drawn: String = letters(text, face, &mut missing).iter().map(|l| l.letter).collect();
            assert_eq!(drawn, text.replace('😷', "\u{FFFD}"));
        }
        // The emoji in each of the four styles, nothing else.
        assert_eq!(missing, 4);
        let apart: String =
            letters("5 ㎎ e\u{301}", FaceId::of(Style::default()), &mut missing).iter().map(|l| l.letter).collect();
        assert_eq!((apart.as_str(), missing), ("5 mg é", 4));
    }
}
