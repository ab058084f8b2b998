//! Parquet, column by column: only the columns that the mapping names are read.

use std::fs::File;

use jumelle_model::number::{DECIMAL_ONE, Decimal};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::cell::{Cell, Interner};
use super::error::ReadError;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 4_096;

/// A Parquet file, read by batches.
pub(crate) struct ParquetRows {
    reader: SerializedFileReader<File>,
    columns: Vec<Column>,
    /// Row group that is read next.
    group: usize,
    /// Rows that the open row group still has.
    group_rows: usize,
    /// Cells of the batch, by column.
    batch: Vec<Vec<Cell>>,
    /// Next row of the batch.
    place: usize,
}

struct Column {
    index: usize,
    descriptor: ColumnDescPtr,
    meaning: Meaning,
    reader: Option<ColumnReader>,
    texts: Interner,
}

/// What a physical value stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Plain,
    /// An integer that is unsigned.
    Unsigned,
    /// Divided by ten to this.
    Decimal(u32),
    /// Days.
    Date,
    /// So many to a second; with or without a zone.
    Time {
        per_second: i64,
        instant: bool,
    },
}

/// Names of the columns, nested ones with dots.
pub(crate) fn column_names(reader: &SerializedFileReader<File>) -> Vec<String> {
    let schema = reader.metadata().file_metadata().schema_descr();
    schema.columns().iter().map(|column| column.path().parts().join(".")).collect()
}

impl ParquetRows {
    /// `wanted`: places of the columns, from 0.
    pub(crate) fn new(reader: SerializedFileReader<File>, wanted: &[usize]) -> Result<ParquetRows, ReadError> {
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let mut columns = Vec::with_capacity(wanted.len());
        for &index in wanted {
            let descriptor = schema.column(index);
            if descriptor.max_rep_level() > 0 {
                let name = descriptor.path().parts().join(".");
                return Err(ReadError::Mapping(format!("the column {name:?} holds lists; a mapping reads single values")));
            }
            let meaning = meaning(&descriptor);
            columns.push(Column { index, descriptor, meaning, reader: None, texts: Interner::default() });
        }
        let batch = columns.iter().map(|_| Vec::new()).collect();
        Ok(ParquetRows { reader, columns, group: 0, group_rows: 0, batch, place: BATCH_ROWS })
    }

    /// The cells of the next row, in the order of `wanted`.
    pub(crate) fn next_row(&mut self) -> Result<Option<Vec<Cell>>, ReadError> {
        if self.place >= self.batch.first().map_or(0, Vec::len) && !self.fill()? {
            return Ok(None);
        }
        let row = self.batch.iter_mut().map(|cells| std::mem::replace(&mut cells[self.place], Cell::Null)).collect();
        self.place += 1;
        Ok(Some(row))
    }

    fn fill(&mut self) -> Result<bool, ReadError> {
        while self.group_rows == 0 {
            if self.group >= self.reader.num_row_groups() {
                return Ok(false);
            }
            let group = self.reader.get_row_group(self.group)?;
            self.group_rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            for column in &mut self.columns {
                column.reader = Some(group.get_column_reader(column.index)?);
            }
            self.group += 1;
        }
        let rows = self.group_rows.min(BATCH_ROWS);
        for (column, cells) in self.columns.iter_mut().zip(&mut self.batch) {
            cells.clear();
            column.read(rows, cells)?;
            if cells.len() != rows {
                let name = column.descriptor.path().parts().join(".");
                return Err(ParquetError::General(format!("the column {name:?} ends early")).into());
            }
        }
        self.group_rows -= rows;
        self.place = 0;
        Ok(true)
    }
}

impl Column {
    fn read(&mut self, rows: usize, cells: &mut Vec<Cell>) -> Result<(), ParquetError> {
        let (meaning, texts, descriptor) = (self.meaning, &mut self.texts, &self.descriptor);
        match self.reader.as_mut() {
            None => Ok(()),
            Some(ColumnReader::BoolColumnReader(reader)) => decode(reader, descriptor, rows, cells, |value| Cell::Bool(*value)),
            Some(ColumnReader::Int32ColumnReader(reader)) => decode(reader, descriptor, rows, cells, |value| match meaning {
                Meaning::Unsigned => Cell::Integer(i64::from(value.cast_unsigned())),
                _ => integer(i64::from(*value), meaning),
            }),
            Some(ColumnReader::Int64ColumnReader(reader)) => decode(reader, descriptor, rows, cells, |value| match meaning {
                Meaning::Unsigned if *value < 0 => Cell::Text(value.cast_unsigned().to_string().into()),
                _ => integer(*value, meaning),
            }),
            // The old form of timestamps: no zone is said, Spark and Impala mean UTC.
            Some(ColumnReader::Int96ColumnReader(reader)) => {
                decode(reader, descriptor, rows, cells, |value| Cell::Instant(value.to_micros()))
            }
            // Through the shortest text, so that 0.1 stays 0.1.
            Some(ColumnReader::FloatColumnReader(reader)) => {
                decode(reader, descriptor, rows, cells, |value| value.to_string().parse().map_or(Cell::Null, Cell::from_f64))
            }
            Some(ColumnReader::DoubleColumnReader(reader)) => {
                decode(reader, descriptor, rows, cells, |value| Cell::from_f64(*value))
            }
            Some(ColumnReader::ByteArrayColumnReader(reader)) => {
                decode(reader, descriptor, rows, cells, |value| bytes(value.data(), meaning, texts))
            }
            Some(ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
                decode(reader, descriptor, rows, cells, |value| bytes(value.data(), meaning, texts))
            }
        }
    }
}

/// Reads `rows` values; fewer come out only where the file is damaged.
fn decode<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    descriptor: &ColumnDescriptor,
    rows: usize,
    cells: &mut Vec<Cell>,
    mut cell: impl FnMut(&T::T) -> Cell,
) -> Result<(), ParquetError> {
    let present = descriptor.max_def_level();
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    while cells.len() < rows {
        values.clear();
        levels.clear();
        let (read, _, _) = reader.read_records(rows - cells.len(), Some(&mut levels), None, &mut values)?;
        if read == 0 {
            break;
        }
        let mut value = values.iter();
        if present == 0 {
            cells.extend(value.map(&mut cell));
        } else {
            let mut next = |level: &i16| if *level == present { value.next().map_or(Cell::Null, &mut cell) } else { Cell::Null };
            cells.extend(levels.iter().map(&mut next));
        }
    }
    Ok(())
}

fn meaning(descriptor: &ColumnDescriptor) -> Meaning {
    match descriptor.logical_type_ref() {
        Some(LogicalType::Integer(kind)) if !kind.is_signed => Meaning::Unsigned,
        Some(LogicalType::Decimal(kind)) => Meaning::Decimal(u32::try_from(kind.scale).unwrap_or(0)),
        Some(LogicalType::Date) => Meaning::Date,
        Some(LogicalType::Timestamp(kind)) => {
            let per_second = match kind.unit {
                TimeUnit::MILLIS => 1_000,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            };
            Meaning::Time { per_second, instant: kind.is_adjusted_to_u_t_c }
        }
        Some(_) => Meaning::Plain,
        // Files of before 2017.
        None => match descriptor.converted_type() {
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => Meaning::Unsigned,
            ConvertedType::DECIMAL => Meaning::Decimal(u32::try_from(descriptor.type_scale()).unwrap_or(0)),
            ConvertedType::DATE => Meaning::Date,
            ConvertedType::TIMESTAMP_MILLIS => Meaning::Time { per_second: 1_000, instant: true },
            ConvertedType::TIMESTAMP_MICROS => Meaning::Time { per_second: 1_000_000, instant: true },
            _ => Meaning::Plain,
        },
    }
}

fn integer(value: i64, meaning: Meaning) -> Cell {
    match meaning {
        Meaning::Plain | Meaning::Unsigned => Cell::Integer(value),
        Meaning::Decimal(scale) => scaled(i128::from(value), scale),
        Meaning::Date => Cell::Wall(value.saturating_mul(86_400_000_000)),
        Meaning::Time { per_second, instant } => {
            let micros = if per_second > 1_000_000 {
                value.div_euclid(per_second / 1_000_000)
            } else {
                value.saturating_mul(1_000_000 / per_second)
            };
            if instant { Cell::Instant(micros) } else { Cell::Wall(micros) }
        }
    }
}

/// A whole number divided by ten to `scale`; digits beyond the sixth are rounded. What is too large stays a text.
fn scaled(value: i128, scale: u32) -> Cell {
    let divisor = 10_i128.checked_pow(scale);
    let millionths =
        divisor.and_then(|divisor| Some(jumelle_model::number::round_div(value.checked_mul(DECIMAL_ONE.into())?, divisor)));
    match millionths.and_then(|millionths| i64::try_from(millionths).ok()) {
        Some(millionths) => Cell::Number(Decimal(millionths)),
        None => Cell::Text(format!("{value}e-{scale}").into()),
    }
}

fn bytes(value: &[u8], meaning: Meaning, texts: &mut Interner) -> Cell {
    if let Meaning::Decimal(scale) = meaning {
        // Big-endian two's complement.
        let negative = value.first().is_some_and(|first| first & 0x80 != 0);
        if value.len() <= 16 {
            let start = if negative { -1_i128 } else { 0 };
            return scaled(value.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte)), scale);
        }
    }
    match std::str::from_utf8(value) {
        Ok(text) => Cell::Text(texts.text(text)),
        // Neither a text nor a number: an id in bytes is best read in hexadecimal.
        Err(_) => Cell::Text(value.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
    }
}
