//! The proof for one person as a PDF (A4, lying): text that can be selected, the fonts in it, and the JSON proof attached, so that
//! one file holds what is read and what is checked.

use krilla::Document as Pdf;
use krilla::color::rgb;
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::text::{Font, TextDirection};
use serde_json::Value;

use crate::proof_document::{Document, Ink, Line, Section};

/// The file's name for a browser. It names nobody: downloads lie about.
pub(crate) const DISPOSITION: &str = "attachment; filename=\"proof.pdf\"";

// Points, 72 to the inch.
const WIDTH: f32 = 841.89;
const HEIGHT: f32 = 595.28;
const MARGIN: f32 = 40.0;
const FOOT: f32 = 28.0;
const INNER: f32 = WIDTH - 2.0 * MARGIN;
const GAP: f32 = 9.0;
const BODY: f32 = 8.0;
const CODE: f32 = 6.5;
const LEADING: f32 = 1.38;

const INK: [u8; 3] = [27, 31, 36];
const MUTED: [u8; 3] = [85, 92, 106];
const RULE: [u8; 3] = [213, 217, 222];

static PLAIN: &[u8] = include_bytes!("../assets/fonts/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("../assets/fonts/DejaVuSans-Bold.ttf");

/// One piece of a page.
enum Piece {
    Text { x: f32, y: f32, size: f32, is_bold: bool, colour: [u8; 3], text: String },
    Rule { y: f32, colour: [u8; 3] },
}

struct Face {
    font: Font,
    metrics: ttf_parser::Face<'static>,
}

impl Face {
    fn read(bytes: &'static [u8]) -> Result<Face, String> {
        let font = Font::new(bytes.into(), 0).ok_or("the font cannot be read")?;
        let metrics = ttf_parser::Face::parse(bytes, 0).map_err(|error| error.to_string())?;
        Ok(Face { font, metrics })
    }

    fn width(&self, text: &str, size: f32) -> f32 {
        let em = f32::from(self.metrics.units_per_em());
        let advance = |character: char| {
            let glyph = self.metrics.glyph_index(character).unwrap_or_default();
            f32::from(self.metrics.glyph_hor_advance(glyph).unwrap_or_default())
        };
        text.chars().map(advance).sum::<f32>() * size / em
    }
}

struct Setter {
    plain: Face,
    bold: Face,
    pages: Vec<Vec<Piece>>,
    /// Where the next line's top is, from the top of the page.
    y: f32,
}

/// Sets a document and attaches the proof that it was made of.
pub(crate) fn pdf(document: &Document, proof: &Value) -> Result<Vec<u8>, String> {
    let mut setter = Setter { plain: Face::read(PLAIN)?, bold: Face::read(BOLD)?, pages: vec![Vec::new()], y: MARGIN };
    setter.document(document);
    let [(_, identifier), (_, made_at)] = &document.head;
    let mut pdf = Pdf::new();
    let mut metadata = Metadata::new()
        .title(format!("{}: {identifier}", document.title))
        .language(document.lang.to_owned())
        .creator("Jumelle".to_owned());
    if let Some(date) = date(made_at) {
        metadata = metadata.creation_date(date);
    }
    pdf.set_metadata(metadata);
    pdf.embed_file(EmbeddedFile {
        path: "proof.json".to_owned(),
        mime_type: MimeType::new("application/json"),
        description: Some(document.title.to_owned()),
        association_kind: AssociationKind::Source,
        data: proof.to_string().into_bytes().into(),
        modification_date: date(made_at),
        compress: Some(true),
        location: None,
    });
    let count = setter.pages.len();
    for (n, pieces) in setter.pages.iter().enumerate() {
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or("a page has no size")?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        let foot = format!("{identifier} · {made_at}");
        let number = format!("{} / {count}", n + 1);
        let right = WIDTH - MARGIN - setter.plain.width(&number, 7.0);
        let feet = [(MARGIN, foot), (right, number)].map(|(x, text)| Piece::Text {
            x,
            y: HEIGHT - FOOT,
            size: 7.0,
            is_bold: false,
            colour: MUTED,
            text,
        });
        for piece in pieces.iter().chain(&feet) {
            match piece {
                Piece::Text { x, y, size, is_bold, colour, text } => {
                    surface.set_fill(Some(fill(*colour)));
                    let face = if *is_bold { &setter.bold } else { &setter.plain };
                    surface.draw_text(Point::from_xy(*x, *y), face.font.clone(), *size, text, false, TextDirection::LeftToRight);
                }
                Piece::Rule { y, colour } => {
                    surface.set_fill(Some(fill(*colour)));
                    let mut path = PathBuilder::new();
                    if let Some(rect) = Rect::from_xywh(MARGIN, *y, INNER, 0.6) {
                        path.push_rect(rect);
                    }
                    if let Some(path) = path.finish() {
                        surface.draw_path(&path);
                    }
                }
            }
        }
        surface.finish();
        page.finish();
    }
    pdf.finish().map_err(|error| format!("{error:?}"))
}

fn fill([red, green, blue]: [u8; 3]) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}

fn date(at: &str) -> Option<DateTime> {
    let at = jiff::tz::TimeZone::UTC.to_datetime(at.parse::<jiff::Timestamp>().ok()?);
    let part = |part: i8| u8::try_from(part).unwrap_or_default();
    Some(
        DateTime::new(u16::try_from(at.year()).ok()?)
            .month(part(at.month()))
            .day(part(at.day()))
            .hour(part(at.hour()))
            .minute(part(at.minute()))
            .second(part(at.second()))
            .utc_offset_hour(0)
            .utc_offset_minute(0),
    )
}

impl Setter {
    fn document(&mut self, document: &Document) {
        self.paragraph(document.title, 16.0, true, INK);
        self.y += 2.0;
        for (name, value) in &document.head {
            self.paragraph(&format!("{name}{} {value}", document.colon), 9.5, false, INK);
        }
        if let Some(warning) = document.warning {
            self.paragraph(warning, 9.5, true, INK);
        }
        for section in &document.sections {
            self.section(section, document.none);
        }
        self.y += 10.0;
        self.paragraph(document.check, BODY, false, MUTED);
    }

    fn section(&mut self, section: &Section, none: &str) {
        // A heading stays with its first row.
        self.room(70.0);
        self.y += 12.0;
        self.paragraph(section.title, 11.5, true, INK);
        if section.rows.is_empty() {
            self.paragraph(none, BODY, false, MUTED);
            return;
        }
        let widths = self.widths(section);
        self.columns(section, &widths);
        for row in &section.rows {
            let cells: Vec<Vec<Set>> = row.iter().zip(&widths).map(|(cell, width)| self.cell(cell, *width)).collect();
            let height = cells.iter().map(|cell| cell.iter().map(Set::height).sum::<f32>()).fold(0.0, f32::max);
            let mut rest: Vec<std::collections::VecDeque<Set>> = cells.into_iter().map(Into::into).collect();
            if self.y + height + 6.0 > HEIGHT - FOOT - 14.0 && height < HEIGHT - 2.0 * MARGIN - FOOT - 60.0 {
                self.turn(section, &widths);
            }
            // A row that is higher than a page goes on overleaf, line by line.
            loop {
                let top = self.y + 3.0;
                let bottom = HEIGHT - FOOT - 14.0;
                let mut lowest = top;
                let mut x = MARGIN;
                for (cell, width) in rest.iter_mut().zip(&widths) {
                    let mut y = top;
                    while let Some(set) = cell.pop_front_if(|set| y + set.height() <= bottom) {
                        y += set.height();
                        let baseline = y - set.size * (LEADING - 1.0) - set.size * 0.12;
                        self.push(Piece::Text {
                            x,
                            y: baseline,
                            size: set.size,
                            is_bold: set.is_bold,
                            colour: INK,
                            text: set.text,
                        });
                    }
                    lowest = lowest.max(y);
                    x += width + GAP;
                }
                self.y = lowest + 3.0;
                self.push(Piece::Rule { y: self.y, colour: RULE });
                if rest.iter().all(std::collections::VecDeque::is_empty) {
                    break;
                }
                self.turn(section, &widths);
            }
        }
    }

    fn columns(&mut self, section: &Section, widths: &[f32]) {
        let mut x = MARGIN;
        let heads: Vec<Vec<String>> =
            section.columns.iter().zip(widths).map(|(column, width)| wrap(&self.bold, column, 7.5, *width)).collect();
        let lines = heads.iter().map(Vec::len).max().unwrap_or_default();
        for (head, width) in heads.into_iter().zip(widths) {
            for (n, text) in head.into_iter().enumerate() {
                let y = self.y + 7.5 * LEADING * (n as f32 + 1.0);
                self.push(Piece::Text { x, y, size: 7.5, is_bold: true, colour: MUTED, text });
            }
            x += width + GAP;
        }
        self.y += 7.5 * LEADING * lines as f32 + 5.0;
        self.push(Piece::Rule { y: self.y, colour: MUTED });
    }

    /// Shares the page's width by what the columns hold, none narrower than its longest word up to a bound.
    fn widths(&self, section: &Section) -> Vec<f32> {
        let room = INNER - GAP * (section.columns.len().saturating_sub(1)) as f32;
        let wanted: Vec<f32> = (0..section.columns.len())
            .map(|n| {
                let lines = section.rows.iter().filter_map(|row| row.get(n)).flatten();
                let widest = lines.map(|line| self.measure(line)).fold(self.bold.width(section.columns[n], 7.5), f32::max);
                widest.clamp(46.0, room * 0.34)
            })
            .collect();
        let all: f32 = wanted.iter().sum();
        wanted.iter().map(|width| width * room / all).collect()
    }

    fn measure(&self, line: &Line) -> f32 {
        let face = if line.ink == Ink::Strong { &self.bold } else { &self.plain };
        face.width(&line.text, size_of(line.ink))
    }

    fn cell(&self, lines: &[Line], width: f32) -> Vec<Set> {
        let mut set = Vec::new();
        for line in lines {
            let (size, is_bold) = (size_of(line.ink), line.ink == Ink::Strong);
            let face = if is_bold { &self.bold } else { &self.plain };
            set.extend(wrap(face, &line.text, size, width).into_iter().map(|text| Set { size, is_bold, text }));
        }
        set
    }

    fn paragraph(&mut self, text: &str, size: f32, is_bold: bool, colour: [u8; 3]) {
        let face = if is_bold { &self.bold } else { &self.plain };
        for text in wrap(face, text, size, INNER.min(680.0)) {
            self.room(size * LEADING);
            self.y += size * LEADING;
            self.push(Piece::Text { x: MARGIN, y: self.y, size, is_bold, colour, text });
        }
    }

    fn room(&mut self, height: f32) {
        if self.y + height > HEIGHT - FOOT - 14.0 {
            self.pages.push(Vec::new());
            self.y = MARGIN;
        }
    }

    fn turn(&mut self, section: &Section, widths: &[f32]) {
        self.pages.push(Vec::new());
        self.y = MARGIN;
        self.columns(section, widths);
    }

    fn push(&mut self, piece: Piece) {
        if let Some(page) = self.pages.last_mut() {
            page.push(piece);
        }
    }
}

/// A line that has its place in a cell.
struct Set {
    size: f32,
    is_bold: bool,
    text: String,
}

impl Set {
    fn height(&self) -> f32 {
        self.size * LEADING
    }
}

fn size_of(ink: Ink) -> f32 {
    if ink == Ink::Code { CODE } else { BODY }
}

/// Breaks at spaces; what is longer than a line (hashes, addresses) wherever it must. What no line can show is a space.
fn wrap(face: &Face, text: &str, size: f32, width: f32) -> Vec<String> {
    let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if face.width(&joined, size) <= width {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for character in word.chars() {
            line.push(character);
            if line.chars().count() > 1 && face.width(&line, size) > width {
                line.pop();
                lines.push(std::mem::replace(&mut line, character.to_string()));
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof_document::{Words, document};

    #[test]
    fn no_line_is_wider_than_its_column_and_no_character_is_lost() {
        let face = Face::read(PLAIN).unwrap();
        let text = "Refusé à Château-Thierry par l’œil «\u{a0}élève\u{a0}» 0123456789abcdef0123456789abcdef0123456789abcdef";
        let lines = wrap(&face, text, BODY, 60.0);
        assert!(lines.iter().all(|line| face.width(line, BODY) <= 60.0), "{lines:?}");
        let strip = |text: &str| text.replace(' ', "");
        assert_eq!(strip(&lines.concat()), strip(text));
    }

    #[test]
    fn the_font_has_every_letter_of_both_languages() {
        let face = Face::read(PLAIN).unwrap();
        for character in "àâäæçéèêëîïôœùûüÿÀÂÆÇÉÈÊËÎÏÔŒÙÛÜŸ’«»–…°·€\u{202f}\u{a0}".chars()
        {
            assert!(face.metrics.glyph_index(character).is_some(), "{character:?}");
        }
    }

    #[test]
    fn a_row_that_is_higher_than_a_page_goes_on_overleaf() {
        let shown = serde_json::json!({"text": "mot ".repeat(9_000)});
        let proof = serde_json::json!({"identifier": "email:ana@example.org", "made_at": "2026-03-01T00:00:00Z",
            "choices": [{"state": "granted", "purpose": "marketing", "channel": "email", "shown": shown}]});
        let bytes = pdf(&document(&proof, Words::of("fr")), &proof).unwrap();
        assert!(bytes.starts_with(b"%PDF-"));
        let mut setter =
            Setter { plain: Face::read(PLAIN).unwrap(), bold: Face::read(BOLD).unwrap(), pages: vec![Vec::new()], y: MARGIN };
        setter.document(&document(&proof, Words::of("fr")));
        let words = setter.pages.iter().flatten().filter_map(|piece| match piece {
            Piece::Text { text, .. } => Some(text.matches("mot").count()),
            Piece::Rule { .. } => None,
        });
        assert_eq!(words.sum::<usize>(), 9_000);
        assert!(setter.pages.len() > 3);
    }
}
