//! CSV, Parquet and JSON lines, also gzipped, as rows of typed cells.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, reader::RowIter};
use serde_json::Value;

/// Bytes of one JSON line at most.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A value of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Nothing, or an empty field of a CSV.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// An instant without or with a zone, in microseconds since the epoch as if it were UTC.
    Time(i64),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not the format it should be.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// Not a Parquet file, or a damaged one.
    #[error("Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The mapping names what the file does not have.
    #[error("{0}")]
    Mapping(String),
    /// More than grouping may hold.
    #[error("grouping holds {0} cells at most; cut the file by the grouped column")]
    TooLarge(usize),
}

/// Rows of a file.
pub struct Rows {
    columns: Vec<String>,
    source: Source,
}

enum Source {
    Csv(csv::StringRecordsIntoIter<Box<dyn Read + Send>>),
    Parquet(Box<RowIter<'static>>),
    Json { lines: std::io::Lines<Box<dyn BufRead + Send>>, first: Option<String>, line: u64 },
}

/// Opens a file, through gzip where its first bytes say so.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let gzipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped {
        Box::new(BufReader::with_capacity(1 << 18, flate2::read::MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn name_ends(path: &Path, ending: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").ends_with(ending)
}

impl Rows {
    /// By the ending of the name: `.parquet`, `.jsonl` / `.ndjson` / `.json`, else CSV (`,` `;` or tab, by the header).
    pub fn open(path: &Path) -> Result<Rows, ReadError> {
        if name_ends(path, ".parquet") {
            let reader = SerializedFileReader::new(File::open(path)?)?;
            let fields = reader.metadata().file_metadata().schema_descr().root_schema().get_fields();
            let columns = fields.iter().map(|field| field.name().to_owned()).collect();
            let rows = RowIter::from_file_into(Box::new(reader));
            return Ok(Rows { columns, source: Source::Parquet(Box::new(rows)) });
        }
        if [".jsonl", ".ndjson", ".json"].iter().any(|ending| name_ends(path, ending)) {
            let mut lines = open(path)?.lines();
            let first = lines.next().transpose()?;
            let object: Value = serde_json::from_str(first.as_deref().unwrap_or("{}"))
                .map_err(|error| ReadError::Line { line: 1, what: error.to_string() })?;
            let columns = object.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default();
            return Ok(Rows { columns, source: Source::Json { lines, first, line: 0 } });
        }
        let mut text = open(path)?;
        let header = text.fill_buf()?;
        let header = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
        let separator = [b',', b';', b'\t'].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',');
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).flexible(false).from_reader(Box::new(text) as Box<dyn Read + Send>);
        let columns =
            reader.headers().map_err(csv_error)?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        Ok(Rows { columns, source: Source::Csv(reader.into_records()) })
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

fn csv_error(error: csv::Error) -> ReadError {
    let line = error.position().map_or(0, csv::Position::line);
    ReadError::Line { line, what: error.to_string() }
}

impl Iterator for Rows {
    type Item = Result<Vec<Cell>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Csv(records) => Some(records.next()?.map_err(csv_error).map(|record| {
                record.iter().map(|field| if field.is_empty() { Cell::Null } else { Cell::Text(field.to_owned()) }).collect()
            })),
            Source::Parquet(rows) => Some(
                rows.next()?
                    .map_err(ReadError::from)
                    .map(|row| row.into_columns().into_iter().map(|(_, field)| cell(field)).collect()),
            ),
            Source::Json { lines, first, line } => {
                let text = match first.take() {
                    Some(text) => Ok(text),
                    None => lines.next()?,
                };
                *line += 1;
                Some(text.map_err(ReadError::from).and_then(|text| {
                    let object: Value =
                        serde_json::from_str(&text).map_err(|error| ReadError::Line { line: *line, what: error.to_string() })?;
                    Ok(self.columns.iter().map(|column| json_cell(&object[column.as_str()])).collect())
                }))
            }
        }
    }
}

fn cell(field: Field) -> Cell {
    match field {
        Field::Null => Cell::Null,
        Field::Bool(flag) => Cell::Bool(flag),
        Field::Byte(number) => Cell::Integer(number.into()),
        Field::Short(number) => Cell::Integer(number.into()),
        Field::Int(number) => Cell::Integer(number.into()),
        Field::Long(number) => Cell::Integer(number),
        Field::UByte(number) => Cell::Integer(number.into()),
        Field::UShort(number) => Cell::Integer(number.into()),
        Field::UInt(number) => Cell::Integer(number.into()),
        Field::ULong(number) => i64::try_from(number).map_or(Cell::Number(number as f64), Cell::Integer),
        Field::Float(number) => float(number.into()),
        Field::Double(number) => float(number),
        Field::Str(text) => Cell::Text(text),
        Field::TimestampMillis(millis) => Cell::Time(millis.saturating_mul(1_000)),
        Field::TimestampMicros(micros) => Cell::Time(micros),
        Field::Date(days) => Cell::Time(i64::from(days) * 86_400_000_000),
        other => Cell::Text(other.to_string()),
    }
}

fn float(number: f64) -> Cell {
    if number.is_nan() { Cell::Null } else { Cell::Number(number) }
}

fn json_cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(flag) => Cell::Bool(*flag),
        Value::Number(number) => number.as_i64().map_or_else(|| float(number.as_f64().unwrap_or(f64::NAN)), Cell::Integer),
        Value::String(text) => Cell::Text(text.clone()),
        other => Cell::Text(other.to_string()),
    }
}

/// JSON lines that are events already. Any other file needs a mapping.
pub(crate) fn json_lines(path: &Path) -> Result<Box<dyn Iterator<Item = Result<Value, ReadError>>>, ReadError> {
    if ![".jsonl", ".ndjson"].iter().any(|ending| name_ends(path, ending)) {
        return Err(ReadError::Mapping(
            "this file needs a mapping (--mapping FILE) that says how rows become events, for instance\n\
             events:\n  - type: track\n    event: Order Completed\n    messageId: \"order-{id}\"\n    timestamp: {column: date}\n    \
             userId: \"{customer}\"\n    properties: {order_id: \"{id}\", total: {column: amount, as: number}}"
                .into(),
        ));
    }
    let mut reader = open(path)?;
    let mut number = 0;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            match reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
            number += 1;
            if line.trim().is_empty() {
                continue;
            }
            return Some(serde_json::from_str(&line).map_err(|error| ReadError::Line { line: number, what: error.to_string() }));
        }
    })))
}
