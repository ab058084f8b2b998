//! CSV, Parquet and JSON lines, also gzipped, as rows of typed cells.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::file::reader::SerializedFileReader;
use serde_json::Value;

use super::cell::{Cell, Interner};
use super::columnar::{ParquetRows, column_names};
use super::error::ReadError;
use super::mapping::{Encoding, FileOptions, Format};

/// Bytes of one row of a CSV or one JSON line, at most.
pub(crate) const ROW_BYTES_MAX: u64 = 16 << 20;
/// Bytes read from a file at once.
const BUFFER_BYTES: usize = 1 << 18;

type Text = Box<dyn BufRead + Send>;

/// One row: its number from 1 without the header, and the wanted columns.
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) cells: Vec<Cell>,
}

/// Rows of a file, reduced to the columns that a mapping names.
pub(crate) struct Rows {
    source: Source,
    number: u64,
    ended: bool,
}

enum Source {
    Csv(Box<CsvRows>),
    Parquet(Box<ParquetRows>),
    Json { lines: JsonLines, columns: Vec<String>, texts: Vec<Interner> },
}

/// Opens a file, through gzip where its first bytes say so.
pub(crate) fn open(path: &Path) -> std::io::Result<Text> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let gzipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, flate2::read::MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// By the first bytes (Parquet), else by the ending of the name, without `.gz`; anything else is CSV.
pub(crate) fn format_of(path: &Path) -> std::io::Result<Format> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Ok(if magic == b"PAR1" || name.ends_with(".parquet") {
        Format::Parquet
    } else if [".jsonl", ".ndjson", ".json"].iter().any(|ending| name.ends_with(ending)) {
        Format::JsonLines
    } else {
        Format::Csv
    })
}

/// Names of a file's columns; none for JSON lines, whose lines need not be alike.
pub(crate) fn columns(path: &Path) -> Result<Vec<String>, ReadError> {
    match format_of(path)? {
        Format::Parquet => Ok(column_names(&SerializedFileReader::new(File::open(path)?)?)),
        Format::JsonLines => Ok(Vec::new()),
        Format::Csv => Ok(CsvRows::open(path, &FileOptions::default())?.header),
    }
}

/// Place of each wanted column, or which one is missing.
fn places(header: &[String], wanted: &[String]) -> Result<Vec<usize>, ReadError> {
    wanted
        .iter()
        .map(|name| {
            let mut places = header.iter().enumerate().filter(|(_, column)| *column == name).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => {
                    Err(ReadError::Mapping(format!("the file has two columns {name:?}; give one another name")))
                }
                (None, _) => {
                    let hint = match header {
                        [only] if only.contains([';', '\t', '|', ',']) => "; is it the delimiter? write file: {delimiter: …}",
                        _ => "",
                    };
                    Err(ReadError::Mapping(format!("the file has no column {name:?}; it has {}{hint}", header.join(", "))))
                }
            }
        })
        .collect()
}

impl Rows {
    pub(crate) fn open(path: &Path, options: &FileOptions, wanted: &[String]) -> Result<Rows, ReadError> {
        let format = match options.format {
            Some(format) => format,
            None => format_of(path)?,
        };
        let source = match format {
            Format::Parquet => {
                let reader = SerializedFileReader::new(File::open(path)?)?;
                let places = places(&column_names(&reader), wanted)?;
                Source::Parquet(Box::new(ParquetRows::new(reader, &places)?))
            }
            Format::JsonLines => {
                let texts = wanted.iter().map(|_| Interner::default()).collect();
                Source::Json { lines: JsonLines::open(path)?, columns: wanted.to_vec(), texts }
            }
            Format::Csv => {
                let mut rows = CsvRows::open(path, options)?;
                rows.wanted = places(&rows.header, wanted)?;
                rows.texts = wanted.iter().map(|_| Interner::default()).collect();
                Source::Csv(Box::new(rows))
            }
        };
        Ok(Rows { source, number: 0, ended: false })
    }
}

impl Iterator for Rows {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = match &mut self.source {
            Source::Csv(rows) => rows.next_row(self.number + 1),
            Source::Parquet(rows) => rows.next_row(),
            Source::Json { lines, columns, texts } => lines.next_value().map(|found| {
                found.map(|value| {
                    let cells = columns.iter().zip(texts).map(|(column, texts)| match json_at(&value, column) {
                        Some(Value::String(text)) => Cell::Text(texts.text(text)),
                        Some(other) => Cell::from_json(other),
                        None => Cell::Null,
                    });
                    cells.collect()
                })
            }),
        };
        self.number += 1;
        match row {
            Ok(Some(cells)) => Some(Ok(Row { number: self.number, cells })),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = error.is_fatal();
                Some(Err(error))
            }
        }
    }
}

/// The value of a key, or of a path with dots through objects.
fn json_at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    value.get(path).or_else(|| path.split('.').try_fold(value, |at, part| at.get(part)))
}

/// Refuses to read more than a row's bytes between two rows: a quote that is never closed would swallow the file.
struct Bounded {
    inner: Text,
    left: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            let message = format!("a row has more than {ROW_BYTES_MAX} bytes; is there a quote that is not closed?");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        let read = self.inner.read(buffer)?;
        self.left.store(left.saturating_sub(read as u64), Ordering::Relaxed);
        Ok(read)
    }
}

struct CsvRows {
    reader: csv::Reader<Bounded>,
    left: Arc<AtomicU64>,
    record: csv::ByteRecord,
    header: Vec<String>,
    options: FileOptions,
    wanted: Vec<usize>,
    texts: Vec<Interner>,
}

impl CsvRows {
    fn open(path: &Path, options: &FileOptions) -> Result<CsvRows, ReadError> {
        let mut text = open(path)?;
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter,
            None => {
                let header = text.fill_buf()?.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
                [b'|', b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
            }
        };
        let left = Arc::new(AtomicU64::new(ROW_BYTES_MAX));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quote(options.quote)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .has_headers(false)
            .from_reader(Bounded { inner: text, left: left.clone() });
        let mut record = csv::ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(csv_error)? {
            return Err(ReadError::Mapping("the file is empty; a CSV begins with the names of its columns".into()));
        }
        let mut header = Vec::with_capacity(record.len());
        for field in &record {
            let name = decode(field, options.encoding).ok_or_else(|| ReadError::Line { line: 1, what: NOT_UTF8.into() })?;
            header.push(name.trim_start_matches('\u{feff}').trim().to_owned());
        }
        Ok(CsvRows { reader, left, record, header, options: options.clone(), wanted: Vec::new(), texts: Vec::new() })
    }

    fn next_row(&mut self, number: u64) -> Result<Option<Vec<Cell>>, ReadError> {
        self.left.store(ROW_BYTES_MAX, Ordering::Relaxed);
        if !self.reader.read_byte_record(&mut self.record).map_err(csv_error)? {
            return Ok(None);
        }
        let line = self.record.position().map_or(number + 1, csv::Position::line);
        if self.record.len() != self.header.len() {
            let what = format!("{} fields, where the header has {}", self.record.len(), self.header.len());
            return Err(ReadError::Line { line, what });
        }
        let mut cells = Vec::with_capacity(self.wanted.len());
        for (place, texts) in self.wanted.iter().zip(&mut self.texts) {
            let Some(text) = decode(&self.record[*place], self.options.encoding) else {
                return Err(ReadError::Line { line, what: format!("column {:?}: {NOT_UTF8}", self.header[*place]) });
            };
            let empty = text.is_empty() || self.options.empty.iter().any(|word| *word == text);
            cells.push(if empty { Cell::Null } else { Cell::Text(texts.text(&text)) });
        }
        Ok(Some(cells))
    }
}

const NOT_UTF8: &str = "not UTF-8; if the file is of western European Windows, write file: {encoding: latin-1}";

fn csv_error(error: csv::Error) -> ReadError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ReadError::Io(error),
        other => ReadError::Line { line, what: format!("{other:?}") },
    }
}

/// Windows-1252, which is what files (and browsers) mean by Latin-1: 0x80 to 0x9f; the five that it leaves open stay controls.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”',
    '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn decode(bytes: &[u8], encoding: Encoding) -> Option<std::borrow::Cow<'_, str>> {
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).ok().map(Into::into),
        Encoding::Latin1 if bytes.is_ascii() => std::str::from_utf8(bytes).ok().map(Into::into),
        Encoding::Latin1 => {
            let letter = |byte: &u8| match byte {
                0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                other => char::from(*other),
            };
            Some(bytes.iter().map(letter).collect::<String>().into())
        }
    }
}

/// JSON objects, one a line. Empty lines are passed over.
pub(crate) struct JsonLines {
    text: Text,
    line: u64,
    buffer: Vec<u8>,
}

impl JsonLines {
    pub(crate) fn open(path: &Path) -> std::io::Result<JsonLines> {
        Ok(JsonLines { text: open(path)?, line: 0, buffer: Vec::new() })
    }

    /// Number of the line that was read last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn next_value(&mut self) -> Result<Option<Value>, ReadError> {
        loop {
            self.buffer.clear();
            if self.text.by_ref().take(ROW_BYTES_MAX).read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let line = self.line;
            if self.buffer.len() as u64 == ROW_BYTES_MAX && self.buffer.last() != Some(&b'\n') {
                self.pass_over_line()?;
                return Err(ReadError::Line { line, what: format!("more than {ROW_BYTES_MAX} bytes") });
            }
            let text = self.buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.buffer).trim_ascii();
            if text.is_empty() {
                continue;
            }
            return match serde_json::from_slice(text) {
                Ok(value @ Value::Object(_)) => Ok(Some(value)),
                Ok(_) => Err(ReadError::Line { line, what: "not a JSON object".into() }),
                Err(error) => Err(ReadError::Line { line, what: format!("not JSON: {error}") }),
            };
        }
    }

    fn pass_over_line(&mut self) -> std::io::Result<()> {
        loop {
            let bytes = self.text.fill_buf()?;
            let (length, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(place) => (place + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.text.consume(length);
            if ended {
                return Ok(());
            }
        }
    }
}
