//! What can be wrong with a file or with one of its rows.

/// Why a file, or a row of it, does not become events.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused, or the compressed data is damaged. Nothing follows it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A row or line that cannot be read; the next ones can.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A row that was read but does not make the event that the mapping asks for; the next ones may.
    #[error("{0}")]
    Row(Box<RowProblem>),
    /// Not a Parquet file, or a damaged one. Nothing follows it.
    #[error("Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The mapping names what the file does not have.
    #[error("{0}")]
    Mapping(String),
    /// More than grouping may hold.
    #[error("grouping holds {0} cells at most; cut the file by the grouped column")]
    TooLarge(usize),
}

impl ReadError {
    /// The rest of the file is not read: an import must stop and say so, not go on as if the file had ended.
    pub fn is_fatal(&self) -> bool {
        match self {
            ReadError::Line { .. } | ReadError::Row(_) => false,
            ReadError::Io(_) | ReadError::Parquet(_) | ReadError::Mapping(_) | ReadError::TooLarge(_) => true,
        }
    }
}

/// One row that makes no event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("row {row}, {field}: {message} ({rule})")]
pub struct RowProblem {
    /// From 1, without the header; of a group, the row that is wrong.
    pub row: u64,
    /// The field of the event: `events[0].properties.total`.
    pub field: String,
    /// The column, if one is to blame.
    pub column: Option<String>,
    /// `missing`, `not_a_number`, `not_an_integer`, `not_a_bool`, `not_a_timestamp`, `not_in_map`, `too_large`,
    /// `duplicate_message_id`.
    pub rule: &'static str,
    /// What was wrong and what would be right.
    pub message: String,
}
