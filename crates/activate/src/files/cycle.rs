//! One file, from the messages that wait to the manifest beside it.
//!
//! 1. *Gather*: everybody passes the gate, what it lets out is noted in the ledger, and her row goes to a spool on disk.
//! 2. *Write*: the spool becomes the file. It is whole on this machine before anything of it leaves.
//! 3. *Look*, with the connection made: the gate is asked about everybody again. Whom it lets through no more, or otherwise, leaves the
//!    file or is noted anew, and the file is written again. Who has left while the others were looked at has a removal waiting: the
//!    end of the queue is looked at until nobody of the file is in it.
//! 4. *Put*: under another name, renamed, then the manifest; of several files one after the other, with a look at whoever left before
//!    each. Before it a note is on disk of what is being put, after a crash it says
//!    whether the file that is there is ours.
//! 5. *Record*: what became of each message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jumelle_consent::Cleared;
use jumelle_files::{Manifest, Naming, Place, Row, Session, SheetWriter, Spool, SpoolReader, Written, columns_of, file_name};
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::file::{Column, Content, FileTerms, Format, named};
use jumelle_model::workspace::{Activation, FieldPath, Initial};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::plan::{Part, parts};
use super::state::{Ready, State};
use super::{Put, Trouble};
use crate::dispatch::Lane;
use crate::house::{Clearance, DeliveryResult, FinalState, House, QueueKey, Queued, Standing};

/// Messages read from the queue, members, and results recorded at a time.
const PAGE: usize = 1_000;
/// Rows noted in the ledger with one write.
const NOTED_TOGETHER: usize = 512;
/// How often a file is written again because people in it have chosen otherwise meanwhile; then it is tried later.
const WRITINGS_MAX: u32 = 20;

/// Files under way are called so.
const SHEET: &str = "file-";

/// One file (and those beside it) of a destination.
pub(crate) struct Cycle {
    lane: Arc<Lane>,
    house: Arc<dyn House>,
    scratch: PathBuf,
    terms: FileTerms,
    at: Timestamp,
    zone: jiff::tz::TimeZone,
    sheets: Vec<Sheet>,
    /// The place in the queue up to which messages were gathered.
    seen: Option<QueueKey>,
    /// Sheets whose file is put: what stands in it has left.
    away: HashSet<usize>,
}

/// A cycle whose files are written.
struct Draft {
    cycle: Cycle,
    files: Vec<Sheeted>,
    changes: HashMap<u64, Change>,
}

/// A file on this machine, and of which sheet it is.
struct Sheeted {
    sheet: usize,
    ready: Ready,
    written: Written,
}

/// A file to be, of one activation.
#[derive(Clone)]
struct Sheet {
    activation: Activation,
    columns: Vec<Column>,
    content: &'static str,
    template: String,
    /// Put even with nobody in it.
    always: bool,
}

/// A message that waits, as small as it can be: a cycle has all of them in memory.
#[derive(Clone, Copy)]
struct Waiting {
    activation: u16,
    kind: MessageType,
    key: QueueKey,
    id: DeliveryId,
}

/// An entry of the spool, beside its row.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    source: Source,
    profile: ProfileId,
    kind: MessageType,
    /// Of a row: the files that it stands in, and what the gate let out.
    sheets: Vec<u16>,
    digest: u128,
    fate: Fate,
}

#[derive(Clone, Serialize, Deserialize)]
enum Source {
    Delivery { position: u64, ordinal: u32, of: ProfileId, id: DeliveryId },
    Standing(String),
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Fate {
    /// Sent if its row is.
    Row,
    /// Sent if that entry's row is.
    In(u64),
    /// Sent when the file is there: she is not in it.
    Out,
    /// Not sent, and why.
    Blocked(String),
}

/// What has become of a row at a later look.
enum Change {
    Gone,
    Blocked(String),
    Row(Row, u128),
}

/// The end of a message, as it is kept until it is recorded.
#[derive(Serialize, Deserialize)]
struct End {
    position: u64,
    ordinal: u32,
    of: ProfileId,
    id: DeliveryId,
    profile: ProfileId,
    blocked: Option<String>,
}

impl Cycle {
    pub fn new(lane: Arc<Lane>, house: Arc<dyn House>, scratch: PathBuf, at: Timestamp) -> Cycle {
        let terms = lane.destination.file.as_deref().cloned().unwrap_or_else(|| unreachable!("a lane of files has them"));
        let zone = terms.zone(&house.timezone());
        Cycle { lane, house, scratch, terms, at, zone, sheets: Vec::new(), seen: None, away: HashSet::new() }
    }

    /// What was put.
    pub async fn run(mut self, place: &Place, state: &mut State) -> Result<Vec<Put>, Trouble> {
        if let Some(ready) = state.ready()
            && self.is_there(place, &ready).await?
        {
            tracing::info!(destination = self.lane.destination.key, "the file was there before the process ended");
            let mut session = place.connect().await?;
            return self.settle(&mut session, ready).await;
        }
        state.put(None)?;
        let (spool, cycle) = blocking(move || self.gather().map(|spool| (spool, self))).await?;
        let mut draft = cycle.written(&spool, HashMap::new()).await?;
        // With nobody in it there is nothing that would have to be put, and no connection to be made.
        if draft.files.is_empty() {
            draft.cycle.record().await?;
            return Ok(Vec::new());
        }
        let mut session = place.connect().await?;
        draft = draft.looked(&spool, None).await?;
        let mut put: Vec<Ready> = Vec::new();
        loop {
            let ready = draft
                .files
                .iter()
                .map(|file| put.iter().find(|done| done.put.name == file.ready.put.name).unwrap_or(&file.ready));
            let ready: Vec<Ready> = ready.cloned().collect();
            let next = draft.files.iter().position(|file| !draft.cycle.away.contains(&file.sheet));
            let Some(next) = next else {
                draft.cycle.house.reached("after send");
                return draft.cycle.settle(&mut session, ready).await;
            };
            state.put(Some(ready))?;
            draft.cycle.house.reached("before send");
            let Sheeted { sheet, ready, written } = &draft.files[next];
            session.put(written, &ready.put.name).await?;
            metrics::counter!("jumelle_files_total", "destination" => draft.cycle.lane.destination.key.clone()).increment(1);
            put.push(ready.clone());
            draft.cycle.away.insert(*sheet);
            if draft.cycle.away.len() < draft.files.len() {
                // Who chose otherwise while it was on its way is not in the next one.
                let leaving = draft.cycle.leaving();
                draft = draft.looked(&spool, Some(leaving)).await?;
            }
        }
    }

    /// The files are there: their manifests beside them, then what became of everybody.
    async fn settle(self, session: &mut Session<'_>, ready: Vec<Ready>) -> Result<Vec<Put>, Trouble> {
        for one in &ready {
            session.put_manifest(&one.manifest, &self.scratch).await?;
            let (destination, name) = (&self.lane.destination.key, &one.put.name);
            tracing::info!(destination, name, rows = one.put.rows, bytes = one.put.bytes, "a file was put");
        }
        self.record().await?;
        Ok(ready.into_iter().map(|one| one.put).collect())
    }

    async fn is_there(&self, place: &Place, ready: &[Ready]) -> Result<bool, Trouble> {
        let mut session = place.connect().await?;
        for one in ready {
            if session.size_of(&one.put.name).await? != Some(one.put.bytes) {
                return Ok(false);
            }
        }
        Ok(self.ends_path().exists())
    }

    fn spool_path(&self) -> PathBuf {
        self.scratch.join("rows")
    }

    fn ends_path(&self) -> PathBuf {
        self.scratch.join("ends")
    }

    /// Everybody through the gate, noted, into the spool.
    fn gather(&mut self) -> Result<PathBuf, Trouble> {
        let mut spool = Spool::create(&self.spool_path())?;
        let destination = self.lane.destination.key.clone();
        let mut activations: Vec<Activation> = self.house.activations(&destination);
        for activation in &activations {
            self.sheet(activation, self.terms.content.as_str(), self.terms.name.clone());
        }
        let waiting = self.waiting(&mut activations);
        let mut pending = Pending { spool: &mut spool, rows: Vec::new() };
        let mut told: HashSet<(u16, ProfileId)> = HashSet::new();
        for of_one in waiting.chunk_by(|a, b| (a.activation, a.key.profile) == (b.activation, b.key.profile)) {
            self.gather_messages(&mut pending, &activations, of_one, &mut told)?;
        }
        if self.terms.content == Content::Full {
            for (nth, activation) in activations.iter().enumerate() {
                let mut after = None;
                loop {
                    let (members, next) = self.house.members(&activation.key, after, PAGE);
                    for profile in members {
                        if !told.contains(&(nth as u16, profile)) {
                            self.gather_member(&mut pending, activation, profile)?;
                        }
                    }
                    if next.is_none() {
                        break;
                    }
                    after = next;
                }
            }
        }
        pending.note(&*self.house)?;
        Ok(spool.finish()?)
    }

    /// All that waits, by activation and person, in order.
    fn waiting(&mut self, activations: &mut Vec<Activation>) -> Vec<Waiting> {
        let destination = self.lane.destination.key.clone();
        let mut found = Vec::new();
        loop {
            let page = self.house.queued(&destination, self.seen, PAGE);
            let full = page.len() >= PAGE;
            for queued in page {
                self.seen = Some(queued.key);
                let Some((key, kind)) = self.house.about(&queued) else { continue };
                let nth = activations.iter().position(|activation| activation.key == key);
                // One that is no more still takes back whom it had brought.
                let nth = nth.or_else(|| {
                    let Clearance::Cleared(cleared) = self.house.clear(&queued) else { return None };
                    activations.push(as_it_was(cleared.message()));
                    Some(activations.len() - 1)
                });
                let Some(activation) = nth.and_then(|nth| u16::try_from(nth).ok()) else { continue };
                found.push(Waiting { activation, kind, key: queued.key, id: queued.id });
            }
            if !full {
                break;
            }
        }
        found.sort_unstable_by_key(|waiting| (waiting.activation, waiting.key.profile, waiting.key));
        found
    }

    /// One person's messages.
    fn gather_messages(
        &mut self,
        pending: &mut Pending<'_>,
        activations: &[Activation],
        of_one: &[Waiting],
        told: &mut HashSet<(u16, ProfileId)>,
    ) -> Result<(), Trouble> {
        let Some(first) = of_one.first() else { return Ok(()) };
        let activation = &activations[first.activation as usize];
        let kinds: Vec<MessageType> = of_one.iter().map(|waiting| waiting.kind).collect();
        let base = pending.next_entry();
        let mut removed: Vec<(u128, u64)> = Vec::new();
        for (nth, (waiting, part)) in of_one.iter().zip(parts(&kinds)).enumerate() {
            let source = Source::Delivery {
                position: waiting.key.position,
                ordinal: waiting.key.ordinal,
                of: waiting.key.profile,
                id: waiting.id,
            };
            let mut entry = Entry {
                source,
                profile: waiting.key.profile,
                kind: waiting.kind,
                sheets: Vec::new(),
                digest: 0,
                fate: Fate::Row,
            };
            match part {
                Part::In(row) => {
                    // Later entries keep their places: each message has one, whatever becomes of it.
                    entry.fate = Fate::In(base + row as u64);
                    pending.push(entry, None);
                    continue;
                }
                Part::Overtaken => {
                    entry.fate = Fate::Blocked("she left before the file was written".into());
                    pending.push(entry, None);
                    continue;
                }
                Part::Row | Part::Removal => {}
            }
            match self.house.clear(&self.queued(waiting.key, waiting.id)) {
                Clearance::Cleared(cleared) => {
                    let carried = carried(cleared.message());
                    entry.sheets = self.sheets_for(activation, waiting.kind);
                    if part == Part::Removal {
                        if let Some((_, row)) = removed.iter().find(|(same, _)| *same == carried) {
                            entry.fate = Fate::In(*row);
                            pending.push(entry, None);
                            continue;
                        }
                        removed.push((carried, base + nth as u64));
                    } else {
                        told.insert((waiting.activation, waiting.key.profile));
                    }
                    if entry.sheets.is_empty() {
                        entry.fate = Fate::Out;
                        pending.push(entry, None);
                        continue;
                    }
                    let columns = self.columns(&entry);
                    pending.push(entry, Some((*cleared, columns)));
                    if pending.rows.len() >= NOTED_TOGETHER {
                        pending.note(&*self.house)?;
                    }
                }
                Clearance::Blocked(reason) => {
                    entry.fate = Fate::Blocked(reason);
                    pending.push(entry, None);
                }
                Clearance::Superseded => {
                    entry.source = Source::Standing(String::new());
                    entry.fate = Fate::Out;
                    pending.push(entry, None);
                }
            }
        }
        Ok(())
    }

    fn gather_member(&mut self, pending: &mut Pending<'_>, activation: &Activation, profile: ProfileId) -> Result<(), Trouble> {
        let standing = Standing { activation: activation.key.clone(), profile, at: self.at };
        let sheets = self.sheets_for(activation, MessageType::Updated);
        let source = Source::Standing(activation.key.clone());
        let mut entry = Entry { source, profile, kind: MessageType::Updated, sheets, digest: 0, fate: Fate::Row };
        match self.house.clear_standing(&standing) {
            Clearance::Cleared(cleared) => {
                let columns = self.columns(&entry);
                pending.push(entry, Some((*cleared, columns)));
                if pending.rows.len() >= NOTED_TOGETHER {
                    pending.note(&*self.house)?;
                }
            }
            Clearance::Blocked(reason) => {
                entry.fate = Fate::Blocked(reason);
                pending.push(entry, None);
            }
            Clearance::Superseded => {}
        }
        Ok(())
    }

    fn queued(&self, key: QueueKey, id: DeliveryId) -> Queued {
        Queued { key, id, profile: key.profile, destination: self.lane.destination.key.clone() }
    }

    fn columns(&self, entry: &Entry) -> Vec<Column> {
        entry.sheets.first().map(|nth| self.sheets[*nth as usize].columns.clone()).unwrap_or_default()
    }

    /// The files that a message of this kind has a row in.
    fn sheets_for(&mut self, activation: &Activation, kind: MessageType) -> Vec<u16> {
        let mut sheets = Vec::new();
        let apart = self.terms.removals.clone();
        if !kind.takes_back() || (self.terms.content == Content::Difference && apart.is_none()) {
            sheets.push(self.sheet(activation, self.terms.content.as_str(), self.terms.name.clone()));
        }
        if let Some(template) = apart.filter(|_| kind.takes_back()) {
            sheets.push(self.sheet(activation, "removals", template));
        }
        let opposes = matches!(kind, MessageType::Withdrawn | MessageType::Erased);
        if let Some(template) = self.terms.oppositions.clone().filter(|_| opposes) {
            sheets.push(self.sheet(activation, "oppositions", template));
        }
        sheets
    }

    fn sheet(&mut self, activation: &Activation, content: &'static str, template: String) -> u16 {
        let same = |sheet: &Sheet| sheet.activation.key == activation.key && sheet.content == content;
        if let Some(nth) = self.sheets.iter().position(same) {
            return nth as u16;
        }
        self.sheets.push(Sheet {
            columns: columns_of(&self.terms, activation),
            activation: activation.clone(),
            content,
            template,
            always: content == "full",
        });
        (self.sheets.len() - 1) as u16
    }

    /// Asks the gate about everybody in the file, or about some. `true`: something has changed.
    fn look(&self, spool: &Path, changes: &mut HashMap<u64, Change>, whom: Option<&HashSet<ProfileId>>) -> Result<bool, Trouble> {
        let mut reader = SpoolReader::open(spool)?;
        let mut found = false;
        for nth in 0.. {
            let Some((tag, row)) = reader.next_entry()? else { break };
            let entry = entry(&tag)?;
            let has_left = entry.sheets.iter().any(|sheet| self.away.contains(&(*sheet as usize)));
            if row.is_none() || has_left || whom.is_some_and(|whom| !whom.contains(&entry.profile)) {
                continue;
            }
            let digest = match changes.get(&nth) {
                Some(Change::Gone | Change::Blocked(_)) => continue,
                Some(Change::Row(_, digest)) => *digest,
                None => entry.digest,
            };
            let clear = || match &entry.source {
                Source::Delivery { position, ordinal, of, id } => {
                    self.house.clear(&self.queued(QueueKey { position: *position, profile: *of, ordinal: *ordinal }, *id))
                }
                Source::Standing(activation) => {
                    let standing = Standing { activation: activation.clone(), profile: entry.profile, at: self.at };
                    self.house.clear_standing(&standing)
                }
            };
            let change = match clear() {
                Clearance::Cleared(cleared) if self::digest(&cleared) == digest => continue,
                // Something else lets her through now: noted before it leaves.
                Clearance::Cleared(cleared) => {
                    let row = Row::of(&cleared, &self.columns(&entry));
                    let digest = self::digest(&cleared);
                    let stands = matches!(entry.source, Source::Standing(_));
                    let noted = tokio::runtime::Handle::current().block_on(self.house.note_many(&[(*cleared, stands)]));
                    match noted.map_err(Trouble::Away)?.first() {
                        Some(true) => Change::Row(row, digest),
                        _ => Change::Gone,
                    }
                }
                Clearance::Blocked(reason) => Change::Blocked(reason),
                Clearance::Superseded => Change::Gone,
            };
            changes.insert(nth, change);
            found = true;
        }
        Ok(found)
    }

    /// Whom messages are about that were queued since: who leaves is among them.
    fn leaving(&mut self) -> HashSet<ProfileId> {
        let mut leaving = HashSet::new();
        loop {
            let page = self.house.queued(&self.lane.destination.key, self.seen, PAGE);
            let full = page.len() >= PAGE;
            for queued in page {
                self.seen = Some(queued.key);
                // Under whichever of her ids the file has her.
                leaving.extend(self.house.ids_of(queued.key.profile));
            }
            if !full {
                return leaving;
            }
        }
    }

    async fn written(self, spool: &Path, changes: HashMap<u64, Change>) -> Result<Draft, Trouble> {
        let spool = spool.to_owned();
        blocking(move || Ok(Draft { files: self.write(&spool, &changes)?, cycle: self, changes })).await
    }

    /// The spool as files, and what becomes of each message once they are there.
    fn write(&self, spool: &Path, changes: &HashMap<u64, Change>) -> Result<Vec<Sheeted>, Trouble> {
        let mut writers: Vec<Option<SheetWriter>> = self.sheets.iter().map(|_| None).collect();
        let mut counts: Vec<BTreeMap<String, u64>> = vec![BTreeMap::new(); self.sheets.len()];
        let mut held_back = 0;
        let mut ends = Spool::create(&self.ends_path())?;
        let mut reader = SpoolReader::open(spool)?;
        for (nth, sheet) in self.sheets.iter().enumerate().filter(|(_, sheet)| sheet.always) {
            writers[nth] = Some(SheetWriter::create(&self.sheet_path(nth), &self.terms, &sheet.columns)?);
        }
        for nth in 0.. {
            let Some((tag, row)) = reader.next_entry()? else { break };
            let entry = entry(&tag)?;
            let blocked = match (&entry.fate, changes.get(&nth)) {
                (Fate::Blocked(reason), _) | (_, Some(Change::Blocked(reason))) => Some(reason.clone()),
                (_, Some(Change::Gone)) => continue,
                (Fate::In(row), _) => match changes.get(row) {
                    Some(Change::Blocked(reason)) => Some(reason.clone()),
                    Some(Change::Gone) => continue,
                    _ => None,
                },
                _ => None,
            };
            held_back += u64::from(blocked.is_some());
            let changed = match changes.get(&nth) {
                Some(Change::Row(row, _)) => Some(row),
                _ => None,
            };
            if let Some(row) = changed.or(row.as_ref()).filter(|_| blocked.is_none()) {
                for &sheet in &entry.sheets {
                    let sheet = sheet as usize;
                    if writers[sheet].is_none() {
                        let columns = &self.sheets[sheet].columns;
                        writers[sheet] = Some(SheetWriter::create(&self.sheet_path(sheet), &self.terms, columns)?);
                    }
                    if let Some(writer) = &mut writers[sheet] {
                        writer.push(row)?;
                    }
                    *counts[sheet].entry(entry.kind.as_str().to_owned()).or_default() += 1;
                }
            }
            if let Source::Delivery { position, ordinal, of, id } = entry.source {
                let end = End { position, ordinal, of, id, profile: entry.profile, blocked };
                ends.push(&postcard::to_allocvec(&end).map_err(std::io::Error::other)?, None)?;
            }
        }
        ends.finish()?;
        let asked_at = Timestamp::now();
        let mut files = Vec::new();
        for (sheet, writer) in writers.into_iter().enumerate() {
            let Some(writer) = writer else { continue };
            let written = writer.finish()?;
            let manifest = self.manifest(&self.sheets[sheet], &written, std::mem::take(&mut counts[sheet]), held_back, asked_at);
            let put = Put {
                name: manifest.file.clone(),
                rows: written.rows(),
                bytes: written.bytes(),
                sha256: written.sha256().to_owned(),
            };
            files.push(Sheeted { sheet, ready: Ready { put, manifest }, written });
        }
        Ok(files)
    }

    fn sheet_path(&self, nth: usize) -> PathBuf {
        self.scratch.join(format!("{SHEET}{nth}"))
    }

    fn manifest(
        &self,
        sheet: &Sheet,
        written: &Written,
        counts: BTreeMap<String, u64>,
        held_back: u64,
        asked_at: Timestamp,
    ) -> Manifest {
        use jumelle_model::workspace::file::{Compress, Encoding};
        let naming = Naming { activation: &sheet.activation, content: self.terms.content, at: self.at, zone: &self.zone };
        let encoding = match &self.terms.format {
            Format::Csv(csv) => named(&Encoding::NAMES, csv.encoding),
            _ => "utf-8",
        };
        Manifest {
            file: file_name(&sheet.template, &naming, self.terms.compress),
            rows: written.rows(),
            bytes: written.bytes(),
            sha256: written.sha256().to_owned(),
            counts,
            content: sheet.content.to_owned(),
            activation: sheet.activation.key.clone(),
            segment: sheet.activation.segment.clone(),
            purpose: sheet.activation.purpose.clone(),
            channel: sheet.activation.channel.as_str().to_owned(),
            columns: sheet.columns.iter().map(|column| column.header.clone()).collect(),
            format: self.terms.format.extension().to_owned(),
            encoding: encoding.to_owned(),
            compress: named(&Compress::NAMES, self.terms.compress).to_owned(),
            characters_replaced: written.replaced(),
            at: self.at.to_string(),
            consents_at: asked_at.to_string(),
            held_back,
        }
    }

    /// What became of each message goes to the history; then nothing of the people is left in the scratch folder.
    async fn record(&self) -> Result<(), Trouble> {
        let mut reader = SpoolReader::open(&self.ends_path())?;
        loop {
            let mut results = Vec::new();
            while results.len() < PAGE {
                let Some((tag, _)) = reader.next_entry()? else { break };
                let end: End = postcard::from_bytes(&tag).map_err(std::io::Error::other)?;
                let state = if end.blocked.is_some() { FinalState::Blocked } else { FinalState::Sent };
                results.push(DeliveryResult {
                    id: end.id,
                    profile: end.profile,
                    key: QueueKey { position: end.position, profile: end.of, ordinal: end.ordinal },
                    destination: self.lane.destination.key.clone(),
                    state,
                    attempts: u32::from(state == FinalState::Sent),
                    status: None,
                    reason: end.blocked,
                });
            }
            if results.is_empty() {
                break;
            }
            if !self.house.record_many(results.clone()).await {
                // What is being put stays on disk: the next start records it.
                return Err(Trouble::Away("the file is there; what became of the messages could not be recorded yet".into()));
            }
            results.iter().for_each(|result| self.lane.count_result(result));
        }
        for file in std::fs::read_dir(&self.scratch)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name == "rows" || name == "ends" || name.starts_with(SHEET) {
                std::fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

impl Draft {
    /// Everybody in a file that has not left passes the gate again, or first those of `whom`; then those who left meanwhile, until
    /// nobody has.
    async fn looked(mut self, spool: &Path, mut whom: Option<HashSet<ProfileId>>) -> Result<Draft, Trouble> {
        for writing in 1.. {
            let path = spool.to_owned();
            let found;
            (self, found) = blocking(move || {
                let nobody = whom.as_ref().is_some_and(HashSet::is_empty);
                let found = !nobody && self.cycle.look(&path, &mut self.changes, whom.as_ref())?;
                Ok((self, found))
            })
            .await?;
            if found && writing >= WRITINGS_MAX {
                return Err(Trouble::Away("people in the file choose faster than it is written".into()));
            }
            if found {
                self = self.cycle.written(spool, self.changes).await?;
            }
            let leaving = self.cycle.leaving();
            if !found && leaving.is_empty() {
                break;
            }
            whom = Some(leaving);
        }
        Ok(self)
    }
}

/// What the gate let out, and the columns that say it.
type Passed = (Cleared, Vec<Column>);

/// Entries on their way to the spool: what the gate let out is noted together.
struct Pending<'s> {
    spool: &'s mut Spool,
    rows: Vec<(Entry, Option<Passed>)>,
}

impl Pending<'_> {
    /// The place that the next entry will have.
    fn next_entry(&self) -> u64 {
        self.spool.entries() + self.rows.len() as u64
    }

    fn push(&mut self, entry: Entry, cleared: Option<Passed>) {
        self.rows.push((entry, cleared));
    }

    fn note(&mut self, house: &dyn House) -> Result<(), Trouble> {
        let mut cleared = Vec::new();
        let mut rows = Vec::new();
        for (mut entry, what) in self.rows.drain(..) {
            let has_row = what.is_some();
            let mut row = None;
            if let Some((what, columns)) = what {
                entry.digest = digest(&what);
                row = Some(Row::of(&what, &columns));
                cleared.push((what, matches!(entry.source, Source::Standing(_))));
            }
            rows.push((entry, row, has_row));
        }
        let noted = tokio::runtime::Handle::current().block_on(house.note_many(&cleared)).map_err(Trouble::Away)?;
        let mut noted = noted.into_iter();
        for (mut entry, row, has_row) in rows {
            let row = row.filter(|_| !has_row || noted.next() == Some(true));
            if has_row && row.is_none() {
                // It is not waiting any more.
                entry.source = Source::Standing(String::new());
                entry.fate = Fate::Out;
            }
            self.spool.push(&postcard::to_allocvec(&entry).map_err(std::io::Error::other)?, row.as_ref())?;
        }
        Ok(())
    }
}

/// Not on the threads that answer requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Trouble::Away(format!("a fault of our own: {error}"))),
    }
}

fn entry(tag: &[u8]) -> Result<Entry, Trouble> {
    Ok(postcard::from_bytes(tag).map_err(std::io::Error::other)?)
}

/// What the gate let out, and why.
fn digest(cleared: &Cleared) -> u128 {
    let mut bytes = cleared.body();
    if let Some((namespace, value)) = &cleared.message().address {
        bytes.extend_from_slice(namespace.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    xxh3_128(&bytes)
}

/// The names that a message carries.
fn carried(message: &Message) -> u128 {
    let mut bytes = Vec::new();
    for (field, json) in &message.data {
        bytes.extend_from_slice(field.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(json.as_bytes());
        bytes.push(0);
    }
    xxh3_128(&bytes)
}

/// An activation that is no more, as far as a message still tells.
fn as_it_was(message: &Message) -> Activation {
    Activation {
        key: message.activation.clone(),
        segment: message.segment.clone(),
        destination: message.destination.clone(),
        purpose: message.purpose.clone(),
        channel: message.channel,
        initial: Initial::Skip,
        map: message.data.iter().map(|(field, _)| (field.clone(), FieldPath::Trait(field.clone()))).collect(),
    }
}
