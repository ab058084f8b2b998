//! Rows to the bytes of a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::write::GzEncoder;
use jumelle_model::workspace::file::{Column, Compress, Csv, Encoding, FileTerms, Format, Newline, Quote};
use parquet::basic::{ConvertedType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::row::Row;
use crate::spool::private;

/// Rows of a Parquet file that are kept until their group is written.
const GROUP_ROWS: usize = 20_000;
const ZSTD_LEVEL: i32 = 3;

/// A finished file on this machine's disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    path: PathBuf,
    rows: u64,
    bytes: u64,
    sha256: String,
    replaced: u64,
}

impl Written {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines with people in them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 in lower-case hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Characters that the encoding does not have.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }
}

/// Writes one file, row by row; of Parquet some thousand rows are in memory, of the others one.
pub struct SheetWriter {
    path: PathBuf,
    columns: Vec<String>,
    lines: Lines,
    rows: u64,
    replaced: u64,
}

enum Lines {
    Csv(Box<csv::Writer<Packed>>, Csv),
    Jsonl(Packed),
    Parquet(SerializedFileWriter<Counted>, Vec<Row>),
}

impl SheetWriter {
    /// A new file, with its header.
    pub fn create(path: &Path, terms: &FileTerms, columns: &[Column]) -> io::Result<SheetWriter> {
        let columns: Vec<String> = columns.iter().map(|column| column.header.clone()).collect();
        let out = Counted::create(path)?;
        let mut replaced = 0;
        let lines = match &terms.format {
            Format::Csv(csv) => {
                let mut packed = Packed::new(out, terms.compress)?;
                if csv.encoding == Encoding::Utf8Bom {
                    packed.write_all("\u{feff}".as_bytes())?;
                }
                let mut writer = csv::WriterBuilder::new()
                    .delimiter(u8::try_from(csv.separator).unwrap_or(b','))
                    .quote_style(match csv.quote {
                        Quote::Needed => csv::QuoteStyle::Necessary,
                        Quote::Always => csv::QuoteStyle::Always,
                    })
                    .terminator(match csv.newline {
                        Newline::Lf => csv::Terminator::Any(b'\n'),
                        Newline::Crlf => csv::Terminator::CRLF,
                    })
                    .from_writer(packed);
                if csv.header {
                    for column in &columns {
                        writer.write_field(encode(column, csv.encoding, &mut replaced))?;
                    }
                    writer.write_record(None::<&[u8]>)?;
                }
                Lines::Csv(Box::new(writer), csv.clone())
            }
            Format::Jsonl => Lines::Jsonl(Packed::new(out, terms.compress)?),
            Format::Parquet => Lines::Parquet(parquet_writer(out, &columns)?, Vec::new()),
        };
        Ok(SheetWriter { path: path.to_owned(), columns, lines, rows: 0, replaced })
    }

    /// Adds a person.
    pub fn push(&mut self, row: &Row) -> io::Result<()> {
        self.rows += 1;
        match &mut self.lines {
            Lines::Csv(writer, csv) => {
                for cell in &row.cells {
                    let cell = cell.as_deref().unwrap_or_default();
                    let escaped = (csv.escape_formulas && is_formula(cell)).then(|| format!("'{cell}"));
                    writer.write_field(encode(escaped.as_deref().unwrap_or(cell), csv.encoding, &mut self.replaced))?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
            Lines::Jsonl(out) => {
                let cells = self.columns.iter().zip(&row.cells);
                let object: Map<String, Value> = cells.map(|(name, cell)| (name.clone(), Value::from(cell.clone()))).collect();
                serde_json::to_writer(&mut *out, &object)?;
                out.write_all(b"\n")?;
            }
            Lines::Parquet(writer, group) => {
                group.push(row.clone());
                if group.len() >= GROUP_ROWS {
                    write_group(writer, group)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the file; it is on disk when this answers.
    pub fn finish(self) -> io::Result<Written> {
        let counted = match self.lines {
            Lines::Csv(writer, _) => writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?.finish()?,
            Lines::Jsonl(out) => out.finish()?,
            Lines::Parquet(mut writer, mut group) => {
                if !group.is_empty() {
                    write_group(&mut writer, &mut group)?;
                }
                writer.into_inner().map_err(io::Error::other)?
            }
        };
        let (bytes, sha256) = counted.finish()?;
        Ok(Written { path: self.path, rows: self.rows, bytes, sha256, replaced: self.replaced })
    }
}

/// The bytes that a reader of this encoding takes for the text.
fn encode<'t>(text: &'t str, encoding: Encoding, replaced: &mut u64) -> std::borrow::Cow<'t, [u8]> {
    let byte_of = |c: char| -> Option<u8> {
        let table = match encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => return None,
            Encoding::Latin1 => return u8::try_from(u32::from(c)).ok(),
            Encoding::Windows1252 => encoding_rs::WINDOWS_1252,
            Encoding::Latin9 => encoding_rs::ISO_8859_15,
        };
        let mut utf8 = [0; 4];
        let (bytes, _, missing) = table.encode(c.encode_utf8(&mut utf8));
        (!missing).then(|| bytes.first().copied()).flatten()
    };
    if matches!(encoding, Encoding::Utf8 | Encoding::Utf8Bom) || text.is_ascii() {
        return text.as_bytes().into();
    }
    let byte = |c: char| {
        byte_of(c).unwrap_or_else(|| {
            *replaced += 1;
            b'?'
        })
    };
    text.chars().map(byte).collect::<Vec<u8>>().into()
}

/// Whether a spreadsheet would compute it. A number or a telephone number with its sign is none.
fn is_formula(cell: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',');
    match cell.chars().next() {
        Some('+' | '-') => !is_number(&cell[1..]),
        Some('=' | '@' | '\t' | '\r') => true,
        _ => false,
    }
}

fn parquet_writer(out: Counted, columns: &[String]) -> io::Result<SerializedFileWriter<Counted>> {
    let field = |name: &String| {
        let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY);
        column.with_repetition(Repetition::OPTIONAL).with_converted_type(ConvertedType::UTF8).build().map(Arc::new)
    };
    let fields: Vec<_> = columns.iter().map(field).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let schema = Type::group_type_builder("person").with_fields(fields).build().map_err(io::Error::other)?;
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(io::Error::other)?;
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::ZSTD(level)).build();
    SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(io::Error::other)
}

fn write_group(writer: &mut SerializedFileWriter<Counted>, group: &mut Vec<Row>) -> io::Result<()> {
    let mut write = || -> parquet::errors::Result<()> {
        let mut rows = writer.next_row_group()?;
        let mut nth = 0;
        while let Some(mut column) = rows.next_column()? {
            let cells = || group.iter().map(|row| row.cells.get(nth).and_then(Option::as_deref));
            let values: Vec<ByteArray> = cells().flatten().map(|cell| ByteArray::from(cell.as_bytes().to_vec())).collect();
            let present: Vec<i16> = cells().map(|cell| i16::from(cell.is_some())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&present), None)?;
            column.close()?;
            nth += 1;
        }
        rows.close()?;
        Ok(())
    };
    write().map_err(io::Error::other)?;
    group.clear();
    Ok(())
}

/// Through the compression, if there is one.
enum Packed {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
    Zstd(zstd::stream::write::Encoder<'static, Counted>),
}

impl Packed {
    fn new(out: Counted, compress: Compress) -> io::Result<Packed> {
        Ok(match compress {
            Compress::None => Packed::Plain(out),
            Compress::Gzip => Packed::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::default()))),
            Compress::Zstd => Packed::Zstd(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?),
        })
    }

    fn finish(self) -> io::Result<Counted> {
        match self {
            Packed::Plain(out) => Ok(out),
            Packed::Gzip(out) => out.finish(),
            Packed::Zstd(out) => out.finish(),
        }
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packed::Plain(out) => out.write(bytes),
            Packed::Gzip(out) => out.write(bytes),
            Packed::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Each flush would end a block of the compression; the end of the file does that.
        Ok(())
    }
}

/// The file itself, counted and hashed as it is written.
struct Counted {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Counted {
    fn create(path: &Path) -> io::Result<Counted> {
        Ok(Counted { file: BufWriter::with_capacity(1 << 17, private(path)?), hash: Sha256::new(), bytes: 0 })
    }

    fn finish(mut self) -> io::Result<(u64, String)> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let digits = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.bytes, digits))
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use jumelle_model::time::Span;
    use jumelle_model::workspace::file::Content;
    use jumelle_model::workspace::schedule::When;

    use super::*;

    fn written(format: Format, compress: Compress, rows: &[&[Option<&str>]]) -> (Vec<u8>, Written) {
        let terms = FileTerms {
            user: None,
            host_key: None,
            endpoint: None,
            region: None,
            content: Content::Full,
            when: When::After(Span(1_000_000)),
            name: "x".into(),
            removals: None,
            oppositions: None,
            format,
            compress,
            columns: Vec::new(),
        };
        let column = |header: &str| Column { field: header.into(), header: header.into() };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut writer = SheetWriter::create(&path, &terms, &[column("prénom"), column("note")]).unwrap();
        for row in rows {
            writer.push(&Row { cells: row.iter().map(|cell| cell.map(str::to_owned)).collect() }).unwrap();
        }
        let written = writer.finish().unwrap();
        (std::fs::read(&path).unwrap(), written)
    }

    #[test]
    fn a_csv_is_what_french_tools_read() {
        let csv = Csv {
            separator: ';',
            quote: Quote::Needed,
            newline: Newline::Crlf,
            encoding: Encoding::Windows1252,
            ..Csv::default()
        };
        let rows: [&[Option<&str>]; 4] = [
            &[Some("Zoé"), Some("10 €; \"net\"")],
            &[Some("Łukasz"), None],
            &[Some("=1+1"), Some("+33612345678")],
            &[Some("-cmd"), Some("-12,5")],
        ];
        let (bytes, file) = written(Format::Csv(csv), Compress::None, &rows);
        let expected = b"pr\xe9nom;note\r\nZo\xe9;\"10 \x80; \"\"net\"\"\"\r\n?ukasz;\r\n'=1+1;+33612345678\r\n'-cmd;-12,5\r\n";
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(expected));
        assert_eq!(bytes, expected);
        assert_eq!((file.rows(), file.replaced(), file.bytes()), (4, 1, bytes.len() as u64));
        // The hash by another hand.
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        assert_eq!(file.sha256(), digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }

    #[test]
    fn encodings_differ_where_they_do() {
        for (encoding, expected) in [
            (Encoding::Utf8, "é€".as_bytes()),
            (Encoding::Windows1252, b"\xe9\x80"),
            (Encoding::Latin1, b"\xe9?"),
            (Encoding::Latin9, b"\xe9\xa4"),
        ] {
            assert_eq!(&*encode("é€", encoding, &mut 0), expected, "{encoding:?}");
        }
    }

    #[test]
    fn what_is_compressed_reads_back() {
        let rows: Vec<[Option<&str>; 2]> = (0..1_000).map(|_| [Some("Zoé"), None]).collect();
        let rows: Vec<&[Option<&str>]> = rows.iter().map(|row| row.as_slice()).collect();
        let (plain, _) = written(Format::Jsonl, Compress::None, &rows);
        let (gzip, _) = written(Format::Jsonl, Compress::Gzip, &rows);
        let mut read = Vec::new();
        io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(gzip.as_slice()), &mut read).unwrap();
        assert_eq!(read, plain);
        let (packed, _) = written(Format::Jsonl, Compress::Zstd, &rows);
        assert_eq!(zstd::stream::decode_all(packed.as_slice()).unwrap(), plain);
        assert!(plain.starts_with("{\"prénom\":\"Zoé\",\"note\":null}\n".as_bytes()));
    }
}
