//! A destination that receives files: where, what, when and how they are written.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::schedule::{Cron, When};
use super::take_back::CONFIRM_WITHIN;
use crate::time::{Span, Timestamp};

/// What a file may take to be transferred beyond its schedule before a removal counts as overdue.
pub const TRANSFER_TIME: Span = Span(3_600 * 1_000_000);

/// The part of a destination that is about its files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileTerms {
    /// Who logs in: a user of SFTP or FTP, an access key id of S3, an account of Azure.
    pub user: Option<String>,
    /// SFTP: the fingerprint of the server's key, `SHA256:…` as `ssh-keygen -l` shows it.
    pub host_key: Option<String>,
    /// Object storage: where it is, if not where its maker has it.
    pub endpoint: Option<String>,
    /// Object storage: its region.
    pub region: Option<String>,
    /// Everybody, or what has changed.
    pub content: Content,
    /// When it is written.
    pub when: When,
    /// Template of its name.
    pub name: String,
    /// Template of the name of a further file with who leaves. None: of a difference, they stand in the file itself.
    pub removals: Option<String>,
    /// Template of the name of a further file with who withdrew or was erased since the last one.
    pub oppositions: Option<String>,
    /// How rows are written.
    pub format: Format,
    /// How the file is compressed.
    pub compress: Compress,
    /// Columns in their order. Empty: the fields of the activation's `map`, then `op` of a difference, then `consent_at`.
    pub columns: Vec<Column>,
}

/// Everybody, or what has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Everybody whom the gate lets through; who is not in it is out.
    Full,
    /// Who has entered, changed and left since the last one.
    Difference,
}

/// How rows are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Format {
    /// RFC 4180 and its relatives.
    Csv(Csv),
    /// One JSON object a line, UTF-8.
    Jsonl,
    /// Columns of texts, compressed by themselves.
    Parquet,
}

/// How a CSV is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Csv {
    /// Between two cells: one ASCII character.
    pub separator: char,
    /// Which cells are quoted.
    pub quote: Quote,
    /// At the end of a line.
    pub newline: Newline,
    /// A first line with the names of the columns.
    pub header: bool,
    /// Bytes of characters.
    pub encoding: Encoding,
    /// Cells that a spreadsheet would take for a formula are written with an apostrophe before.
    pub escape_formulas: bool,
}

impl Default for Csv {
    fn default() -> Csv {
        Csv {
            separator: ',',
            quote: Quote::Needed,
            newline: Newline::Lf,
            header: true,
            encoding: Encoding::Utf8,
            escape_formulas: true,
        }
    }
}

/// Which cells are quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Quote {
    /// Those that could be misread.
    Needed,
    /// All.
    Always,
}

/// At the end of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Newline {
    /// `\n`
    Lf,
    /// `\r\n`
    Crlf,
}

/// Bytes of characters. What an encoding cannot write becomes `?`, and is counted in the manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-8 with a mark at the start, for spreadsheets.
    Utf8Bom,
    /// Windows-1252.
    Windows1252,
    /// ISO-8859-1, proper: without the signs that Windows-1252 has in its place of control characters.
    Latin1,
    /// ISO-8859-15, with the euro sign.
    Latin9,
}

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Compress {
    /// Not.
    None,
    /// gzip; `.gz` is added to the name.
    Gzip,
    /// Zstandard; `.zst` is added to the name.
    Zstd,
}

/// One column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    /// A field of the activation's `map`, or one of [`OWN_COLUMNS`].
    pub field: String,
    /// What stands in the header.
    pub header: String,
}

/// Columns that a file can have beside the fields of the map.
pub const OWN_COLUMNS: [&str; 9] =
    ["op", "type", "consent_at", "receipt", "purpose", "channel", "profile", "delivery", "unsubscribe"];

impl Format {
    /// All, as they are when nothing more is said.
    pub fn all() -> [Format; 3] {
        [Format::Csv(Csv::default()), Format::Jsonl, Format::Parquet]
    }

    /// Its name in a definition, and the end of its files' names.
    pub fn extension(&self) -> &'static str {
        match self {
            Format::Csv(_) => "csv",
            Format::Jsonl => "jsonl",
            Format::Parquet => "parquet",
        }
    }
}

impl Quote {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Quote); 2] = [("needed", Quote::Needed), ("always", Quote::Always)];
}

impl Newline {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Newline); 2] = [("lf", Newline::Lf), ("crlf", Newline::Crlf)];
}

impl Encoding {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Encoding); 5] = [
        ("utf-8", Encoding::Utf8),
        ("utf-8-bom", Encoding::Utf8Bom),
        ("windows-1252", Encoding::Windows1252),
        ("iso-8859-1", Encoding::Latin1),
        ("iso-8859-15", Encoding::Latin9),
    ];
}

impl Compress {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Compress); 3] =
        [("none", Compress::None), ("gzip", Compress::Gzip), ("zstd", Compress::Zstd)];
}

impl Content {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Content); 2] = [("full", Content::Full), ("difference", Content::Difference)];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        named(&Content::NAMES, self)
    }
}

/// The name of a value in a definition.
pub fn named<T: PartialEq + Copy>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, other)| *other == value).map_or("", |(name, _)| name)
}

impl FileTerms {
    /// The time zone of its schedule and of the dates in its names.
    pub fn zone(&self, of_the_workspace: &str) -> TimeZone {
        let own = match &self.when {
            When::Cron { timezone, .. } => timezone.as_deref(),
            When::After(_) => None,
        };
        TimeZone::get(own.unwrap_or(of_the_workspace)).unwrap_or(TimeZone::UTC)
    }

    /// The next instant of a cron after another.
    pub fn next_after(&self, after: Timestamp, of_the_workspace: &str) -> Option<Timestamp> {
        match &self.when {
            When::Cron { cron, .. } => Cron::parse(cron).ok()?.after(after, &self.zone(of_the_workspace)),
            When::After(_) => None,
        }
    }

    /// How long who leaves may stay in the tool at worst: the longest pause between two files.
    pub fn longest_delay(&self) -> Span {
        match &self.when {
            When::Cron { cron, timezone } => {
                let zone = timezone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
                Cron::parse(cron).map_or(CONFIRM_WITHIN, |cron| cron.longest_pause(Timestamp(0), &zone))
            }
            When::After(span) => *span,
        }
    }
}
