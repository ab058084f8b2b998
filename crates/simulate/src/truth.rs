//! What the simulator knows: tables beside the events, in Parquet. `docs/guide/simulate.md` says what each column means.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::line::Head;
use crate::parameters::DAY_MS;
use crate::reference::{Fact, FactAt};

/// Rows kept before they are written as one row group.
const GROUP_ROWS: usize = 200_000;

/// Why the truth could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The folder or a file.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Parquet.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// One value of a row.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, or nothing.
    Text(Option<Vec<u8>>),
    /// A number or an instant, or nothing.
    Number(Option<i64>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(Some(number.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.as_bytes().to_vec()))
    }
}

impl From<&[u8]> for Value {
    fn from(text: &[u8]) -> Value {
        Value::Text(Some(text.to_vec()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(|text| text.as_bytes().to_vec()))
    }
}

enum Column {
    Text(Vec<ByteArray>, Vec<i16>),
    Number(Vec<i64>, Vec<i16>),
}

/// One Parquet file. Columns end in `:text`, `:number` or `:at` in its plan.
pub struct Table {
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} rows waiting)", self.rows)
    }
}

impl Table {
    fn create(folder: &Path, name: &str, plan: &[&str]) -> Result<Table, TruthError> {
        let mut columns = Vec::new();
        let mut schema = format!("message {name} {{");
        for column in plan {
            let (key, kind) = column.split_once(':').unwrap_or((column, "text"));
            schema.push_str(&match kind {
                "number" => format!("OPTIONAL INT64 {key};"),
                "at" => format!("OPTIONAL INT64 {key} (TIMESTAMP(MILLIS,true));"),
                _ => format!("OPTIONAL BYTE_ARRAY {key} (STRING);"),
            });
            columns.push(if kind == "text" {
                Column::Text(Vec::new(), Vec::new())
            } else {
                Column::Number(Vec::new(), Vec::new())
            });
        }
        schema.push('}');
        let schema = Arc::new(parse_message_type(&schema)?);
        let path = folder.join(format!("{name}.parquet"));
        let file = File::create(&path).map_err(|error| TruthError::Io(path, error))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
        Ok(Table { writer: SerializedFileWriter::new(file, schema, Arc::new(properties))?, columns, rows: 0 })
    }

    /// Adds a row, in the order of the plan.
    pub fn push(&mut self, row: impl IntoIterator<Item = Value>) {
        for (column, value) in self.columns.iter_mut().zip(row) {
            match (column, value) {
                (Column::Text(values, levels), Value::Text(text)) => {
                    levels.push(i16::from(text.is_some()));
                    values.extend(text.map(ByteArray::from));
                }
                (Column::Number(values, levels), Value::Number(number)) => {
                    levels.push(i16::from(number.is_some()));
                    values.extend(number);
                }
                // The plans and the rows are both in this crate, and a test reads every table back.
                (Column::Text(_, levels), _) | (Column::Number(_, levels), _) => levels.push(0),
            }
        }
        self.rows += 1;
    }

    fn flush(&mut self) -> Result<(), TruthError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            match column {
                Column::Text(values, levels) => {
                    writer.typed::<ByteArrayType>().write_batch(values, Some(levels), None)?;
                    values.clear();
                    levels.clear();
                }
                Column::Number(values, levels) => {
                    writer.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                    values.clear();
                    levels.clear();
                }
            }
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

/// Everything that is recorded.
#[derive(Debug)]
pub struct Truth {
    folder: PathBuf,
    events: Table,
    identifiers: Table,
    known: BTreeSet<(u32, &'static str, Vec<u8>)>,
    /// Choices.
    pub consents: Table,
    /// Newsletters shown and held out.
    pub exposures: Table,
    /// Orders and what caused them.
    pub purchases: Table,
    facts: Vec<(u32, FactAt)>,
    failed: Option<TruthError>,
}

impl Truth {
    /// Begins the tables in a folder, which is made if it is not there.
    pub fn create(folder: &Path) -> Result<Truth, TruthError> {
        std::fs::create_dir_all(folder).map_err(|error| TruthError::Io(folder.to_owned(), error))?;
        let table = |name: &str, plan: &[&str]| Table::create(folder, name, plan);
        Ok(Truth {
            events: table(
                "events",
                &["message_id:text", "person:number", "source:text", "event:text", "at:at", "received_at:at"],
            )?,
            identifiers: table("identifiers", &["person:number", "namespace:text", "value:text", "first_at:at"])?,
            consents: table(
                "consents",
                &[
                    "person:number",
                    "purpose:text",
                    "channel:text",
                    "namespace:text",
                    "value:text",
                    "state:text",
                    "at:at",
                    "received_at:at",
                ],
            )?,
            exposures: table(
                "exposures",
                &[
                    "campaign:text",
                    "person:number",
                    "customer:text",
                    "arm:text",
                    "at:at",
                    "buys_anyway_ppm:number",
                    "added_ppm:number",
                    "buys_anyway:number",
                    "buys_if_shown:number",
                ],
            )?,
            purchases: table(
                "purchases",
                &["order_id:text", "person:number", "place:text", "at:at", "cents:number", "cause:text", "caused_by:text"],
            )?,
            folder: folder.to_owned(),
            known: BTreeSet::new(),
            facts: Vec::new(),
            failed: None,
        })
    }

    /// An event and whose it is.
    pub fn event(&mut self, message_id: Vec<u8>, head: &Head) {
        let name = match head.kind {
            "track" => head.name,
            "page" => "Page Viewed",
            "screen" => "Screen Viewed",
            kind => kind,
        };
        self.events.push([
            Value::Text(Some(message_id)),
            head.person.map(i64::from).into(),
            head.source.key().into(),
            name.into(),
            head.at.into(),
            head.arrival.into(),
        ]);
        if let (Some(person), Some(anonymous)) = (head.person, &head.anonymous) {
            self.identifier(person, "anonymous_id", &anonymous.0, head.at);
        }
        if let (Some(person), Some(user)) = (head.person, head.user) {
            let mut id = Vec::new();
            crate::line::user_id(&mut id, user);
            self.identifier(person, "user_id", &id, head.at);
        }
        for table in [&mut self.events, &mut self.consents, &mut self.exposures, &mut self.purchases, &mut self.identifiers] {
            if table.rows >= GROUP_ROWS
                && let Err(error) = table.flush()
            {
                // Told at the end: the simulation itself cannot fail.
                self.failed.get_or_insert(error);
            }
        }
    }

    /// An identifier that a person uses, in its normal form.
    pub fn identifier(&mut self, person: u32, namespace: &'static str, value: &[u8], at: i64) {
        if self.known.insert((person, namespace, value.to_vec())) {
            self.identifiers.push([person.into(), namespace.into(), value.into(), at.into()]);
        }
    }

    /// Something that a reference segment asks about.
    pub fn fact(&mut self, person: u32, fact: Fact, at: i64, arrival: i64) {
        self.facts.push((person, FactAt { fact, at, arrival }));
    }

    /// Writes what is left, and the tables that are known at the end only: `people`, `products`, `memberships`, `members`.
    pub fn finish(
        mut self,
        seed: u64,
        people: u32,
        (from, to): (i64, i64),
        products: &[crate::catalogue::Product],
    ) -> Result<(), TruthError> {
        use crate::catalogue::{BRANDS, CATEGORIES, COLOURS, sizes};
        use crate::reference::{SEGMENTS, checkpoints, holds, intervals};
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut list = Table::create(
            &self.folder,
            "people",
            &[
                "person:number",
                "household:number",
                "first_name:text",
                "last_name:text",
                "customer:text",
                "favourite_category:text",
                "second_category:text",
                "third_category:text",
                "favourite_brand:text",
                "favourite_colour:text",
                "shoe_size:text",
                "clothes_size:text",
                "budget:number",
                "activity:number",
            ],
        )?;
        for number in 0..people {
            let who = crate::person::Persona::of(seed, number);
            list.push([
                number.into(),
                who.household.into(),
                who.first_name().into(),
                who.last_name().into(),
                who.customer.as_str().into(),
                CATEGORIES[who.tastes[0]].0.into(),
                CATEGORIES[who.tastes[1]].0.into(),
                CATEGORIES[who.tastes[2]].0.into(),
                BRANDS[who.brand].into(),
                COLOURS[who.colour].into(),
                sizes(0)[who.shoe_size].into(),
                sizes(2)[who.clothes_size].into(),
                (who.budget as i64).into(),
                (who.activity as i64).into(),
            ]);
            if list.rows >= GROUP_ROWS {
                list.flush()?;
            }
        }
        let mut catalogue = Table::create(
            &self.folder,
            "products",
            &["product_id:text", "category:text", "brand:text", "colour:text", "name:text", "cents:number", "season:number"],
        )?;
        // Collections after the end are there for a shop that lives on.
        for product in products.iter().filter(|product| product.season <= crate::calendar::season((to - 1).div_euclid(DAY_MS))) {
            catalogue.push([
                product.id.as_str().into(),
                CATEGORIES[product.category].0.into(),
                BRANDS[product.brand].into(),
                COLOURS[product.colour].into(),
                product.name.as_str().into(),
                product.price_cents.into(),
                product.season.into(),
            ]);
        }
        let mut memberships = Table::create(&self.folder, "memberships", &["segment:text", "person:number", "from:at", "to:at"])?;
        let mut members = Table::create(&self.folder, "members", &["segment:text", "at:at", "person:number"])?;
        self.facts.sort_by_key(|(person, fact)| (*person, fact.at, fact.arrival));
        for of_one in self.facts.chunk_by(|one, next| one.0 == next.0) {
            let person = of_one[0].0;
            let facts: Vec<FactAt> = of_one.iter().map(|(_, fact)| *fact).collect();
            for segment in SEGMENTS {
                for (since, until) in intervals(segment, &facts, to) {
                    memberships.push([segment.key().into(), person.into(), since.into(), until.into()]);
                }
                for at in checkpoints(from, to) {
                    let arrived: Vec<FactAt> = facts.iter().filter(|fact| fact.arrival <= at).copied().collect();
                    if holds(segment, &arrived, at) {
                        members.push([segment.key().into(), at.into(), person.into()]);
                    }
                }
            }
            for table in [&mut memberships, &mut members] {
                if table.rows >= GROUP_ROWS {
                    table.flush()?;
                }
            }
        }
        let Truth { events, identifiers, consents, exposures, purchases, .. } = self;
        for mut table in [events, identifiers, consents, exposures, purchases, list, catalogue, memberships, members] {
            table.flush()?;
            table.writer.close()?;
        }
        Ok(())
    }
}
