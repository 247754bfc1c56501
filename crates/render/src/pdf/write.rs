//! Drawing the pages with krilla, which writes the file and checks it against PDF/A-1b.
//!
//! No outline: krilla writes its destinations as indirect objects, which the standard allows and Apache Preflight refuses; the documents
//! of this trade have a page or two.

use std::sync::Arc;

use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{Path, PathBuilder, Point, Rect, Size, Transform};
use krilla::image::{BitsPerComponent, CustomImage, Image, ImageColorspace};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::text::{GlyphId, KrillaGlyph};
use mssante::cda::CdaHeader;

use super::line::{Piece, Run, single};
use super::paper::{BOTTOM, HEIGHT, INNER_WIDTH, Ink, Mark, Paper, SIDE, WIDTH};
use crate::error::RenderError;
use crate::facts;
use crate::model::{Picture, Style};
use crate::read::clean;

/// Size of heads and feet of pages.
const SMALL: f32 = 8.0;

/// What heads and feet of pages and the metadata say.
#[derive(Debug)]
pub(super) struct About {
    pub title: String,
    /// Who or what it is about: the head of pages from the second on.
    pub subject: String,
    pub foot: String,
    pub authors: Vec<String>,
    pub date: Option<time::OffsetDateTime>,
}

impl About {
    /// What a document's header says.
    pub(super) fn of(header: &CdaHeader) -> Self {
        let date = header.effective_time.as_ref().map(|time| format!("Document du {}", facts::date(time)));
        let authors = header.authors.iter().map(|author| {
            let names = [author.first_name.as_deref(), author.surname.as_deref(), author.organization.as_deref()];
            clean(&names.into_iter().flatten().collect::<Vec<_>>().join(" "))
        });
        Self {
            title: facts::title(header).to_owned(),
            subject: facts::patient_line(header),
            foot: date.unwrap_or_default(),
            authors: authors.filter(|author| !author.is_empty()).collect(),
            date: header.effective_time.as_ref().and_then(|time| time.instant()),
        }
    }
}

/// The file.
pub(super) fn file(about: &About, pictures: &[Picture], paper: Paper) -> Result<Vec<u8>, RenderError> {
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A1_B)
        .finish()
        .map_err(|_| RenderError::PdfA(1))?;
    let settings = SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    let images: Vec<Option<Image>> = pictures.iter().map(image).collect();
    let count = paper.pages.len();
    for (rank, marks) in paper.pages.into_iter().enumerate() {
        // A4: within the limits of any page.
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or(RenderError::PdfA(1))?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for mark in frame(about, rank, count).into_iter().chain(marks) {
            draw(&mut surface, mark, &images);
        }
        surface.finish();
        page.finish();
    }
    document.set_metadata(metadata(about));
    document.finish().map_err(|error| match error {
        krilla::error::KrillaError::Validation(broken) => RenderError::PdfA(broken.len()),
        krilla::error::KrillaError::Limit(_) => RenderError::Limit,
        _ => RenderError::PdfA(1),
    })
}

/// Head (from the second page on) and foot of a page.
fn frame(about: &About, rank: usize, count: usize) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut put = |text: &str, y: f32, right: bool, width: f32| {
        let line = single(&clean(text), Style::default(), SMALL, width, &mut 0);
        let x = if right { SIDE + INNER_WIDTH - line.width } else { SIDE };
        for (at, piece) in line.pieces {
            if let Piece::Run(run) = piece {
                marks.push(Mark::Text { x: x + at, y: y + line.ascent, run, ink: Ink::Grey });
            }
        }
    };
    let half = INNER_WIDTH / 2.0 - 6.0;
    if rank > 0 {
        put(&about.subject, 34.0, false, half);
        put(&about.title, 34.0, true, half);
    }
    put(&about.foot, HEIGHT - BOTTOM + 14.0, false, half);
    put(&format!("Page {} / {count}", rank + 1), HEIGHT - BOTTOM + 14.0, true, half);
    marks.push(Mark::Box { x: SIDE, y: HEIGHT - BOTTOM + 9.0, width: INNER_WIDTH, height: 0.5, ink: Ink::Line });
    if rank > 0 {
        marks.push(Mark::Box { x: SIDE, y: 47.0, width: INNER_WIDTH, height: 0.5, ink: Ink::Line });
    }
    marks
}

fn fill(ink: Ink) -> Fill {
    let colour = match ink {
        Ink::Black => rgb::Color::new(0, 0, 0),
        Ink::Blue => rgb::Color::new(11, 74, 143),
        Ink::Grey => rgb::Color::new(90, 90, 96),
        Ink::Line => rgb::Color::new(168, 172, 182),
        Ink::Soft => rgb::Color::new(240, 242, 246),
    };
    Fill { paint: colour.into(), opacity: NormalizedF32::ONE, rule: Default::default() }
}

fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Option<Path> {
    let mut path = PathBuilder::new();
    path.push_rect(Rect::from_xywh(x, y, width, height)?);
    path.finish()
}

fn draw(surface: &mut Surface<'_>, mark: Mark, images: &[Option<Image>]) {
    match mark {
        Mark::Text { x, y, run, ink } => text(surface, x, y, &run, ink),
        Mark::Box { x, y, width, height, ink } => {
            if let Some(path) = rectangle(x, y, width, height) {
                surface.set_fill(Some(fill(ink)));
                surface.draw_path(&path);
            }
        }
        Mark::Picture { x, y, width, height, rank } => {
            let size = Size::from_wh(width, height);
            if let (Some(image), Some(size)) = (images[rank].clone(), size) {
                surface.push_transform(&Transform::from_translate(x, y));
                surface.draw_image(image, size);
                surface.pop();
            } else if let Some(path) = rectangle(x, y, width, height) {
                // What cannot be decoded leaves its place, grey, under its caption.
                surface.set_fill(Some(fill(Ink::Soft)));
                surface.draw_path(&path);
            }
        }
    }
}

fn text(surface: &mut Surface<'_>, x: f32, y: f32, run: &Run, ink: Ink) {
    let mut at = 0;
    let glyphs: Vec<KrillaGlyph> = run
        .text
        .chars()
        .filter_map(|letter| {
            let range = at..at + letter.len_utf8();
            at = range.end;
            // Every letter of a run was found in its face.
            let (glyph, advance) = run.face.glyph(letter)?;
            Some(KrillaGlyph::new(GlyphId::new(glyph), advance, 0.0, 0.0, 0.0, range, None))
        })
        .collect();
    surface.set_fill(Some(fill(ink)));
    surface.draw_glyphs(Point::from_xy(x, y), &glyphs, run.face.font(), &run.text, run.size, false);
    for (on, above) in [(run.underline, -0.12), (run.struck, 0.28)] {
        if let Some(path) = rectangle(x, y - run.size * above, run.width, run.size * 0.05).filter(|_| on) {
            surface.draw_path(&path);
        }
    }
}

fn metadata(about: &About) -> Metadata {
    let mut metadata = Metadata::new()
        .title(clean(&about.title))
        .language("fr-FR".to_owned())
        .creator("Vaguemestre".to_owned())
        .producer("Vaguemestre, krilla".to_owned());
    if !about.authors.is_empty() {
        metadata = metadata.authors(about.authors.clone());
    }
    if let Some(date) = about.date {
        let (hour, minute, _) = date.offset().as_hms();
        if let Ok(year) = u16::try_from(date.year()) {
            metadata = metadata.creation_date(
                DateTime::new(year)
                    .month(date.month().into())
                    .day(date.day())
                    .hour(date.hour())
                    .minute(date.minute())
                    .second(date.second())
                    .utc_offset_hour(hour)
                    .utc_offset_minute(minute.unsigned_abs()),
            );
        }
    }
    metadata
}

/// A picture for the writer: JPEG as it is, PNG decoded and laid on white, since PDF/A-1 knows no transparency. None when it cannot be
/// decoded.
fn image(picture: &Picture) -> Option<Image> {
    if picture.jpeg {
        return Image::from_jpeg(picture.bytes.clone().into(), false).ok();
    }
    let mut decoder = png::Decoder::new(std::io::Cursor::new(&picture.bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut pixels).ok()?;
    let over_white = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        u8::try_from((colour * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(255)
    };
    let (grey, step) = match info.color_type {
        png::ColorType::GrayscaleAlpha => (true, 2),
        png::ColorType::Rgba => (false, 4),
        _ => return None,
    };
    let colours: Vec<u8> = pixels[..info.buffer_size()]
        .chunks_exact(step)
        .flat_map(|dot| {
            let (alpha, colours) = (dot[step - 1], &dot[..step - 1]);
            colours.iter().map(move |colour| over_white(*colour, alpha))
        })
        .collect();
    Image::from_custom(Flat { colours: Arc::new(colours), width: info.width, height: info.height, grey }, false).ok()
}

/// A decoded picture.
#[derive(Clone, Hash)]
struct Flat {
    colours: Arc<Vec<u8>>,
    width: u32,
    height: u32,
    grey: bool,
}

impl CustomImage for Flat {
    fn color_channel(&self) -> &[u8] {
        &self.colours
    }

    fn alpha_channel(&self) -> Option<&[u8]> {
        None
    }

    fn bits_per_component(&self) -> BitsPerComponent {
        BitsPerComponent::Eight
    }

    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn icc_profile(&self) -> Option<&[u8]> {
        None
    }

    fn color_space(&self) -> ImageColorspace {
        if self.grey { ImageColorspace::Luma } else { ImageColorspace::Rgb }
    }
}
