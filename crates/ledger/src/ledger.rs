//! The writer: entries are noted in memory, in order, and written in groups.
//!
//! Noting is cheap, for the one thread that folds does it: a place in a queue. What an entry says is put into words, salted and hashed
//! by whoever writes.
//!
//! Whoever must not go on before an entry is on disk waits for [`Ledger::commit`]: the first to come writes for all who have noted
//! something by then. What is derived from the history (choices, outcomes, erasures) need not be waited for: it has a place there,
//! and is folded again after a crash.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use jumelle_model::time::{Span, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{self, Row, append_to, day_of, io, link};
use crate::merkle::{Frontier, Hash, hex};
use crate::root::{Root, SigningKey};
use crate::statement::{Begin, Place, Recovered, Statement};
use crate::{LedgerError, Result, recover};

/// Entries noted and not written, at most (half a kilobyte each, most of them): whoever notes more writes them first.
pub const QUEUED_MAX: usize = 65_536;

/// Texts that are put together before they are written. A buffer that grows with what waits is fresh memory each time, and the
/// kernel clears all of it; pieces of one size are used again.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces kept to be used again.
const PIECES_KEPT: usize = 4;

const ONE_DAY: Span = Span(86_400 * 1_000_000);

/// What a ledger must know of the house when it is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Signs the roots.
    pub key: Option<SigningKey>,
    /// Id of the history.
    pub history: u128,
    /// End of the history.
    pub end: u64,
    /// Position that the tables reflect: what comes after is folded (again) from here on.
    pub folded: u64,
    /// What time it is.
    pub now: Timestamp,
}

/// The ledger of a data directory. One at a time may be open on it.
pub struct Ledger {
    pub(crate) directory: PathBuf,
    pub(crate) key: Option<SigningKey>,
    queue: Mutex<Queue>,
    /// Locked before `queue`, never after it.
    pub(crate) pending: Mutex<Pending>,
    files: Mutex<Files>,
    /// An erasure is under way: no checkpoint may claim what it has not done yet.
    pub(crate) erasing: Mutex<()>,
    synced: AtomicU64,
    failed: OnceLock<String>,
}

/// What is noted and not put into words yet.
#[derive(Default)]
struct Queue {
    entries: Vec<(Timestamp, Noted)>,
    /// Entries noted since the ledger was opened.
    noted: u64,
    /// The last place in the history that an entry is of.
    place: Option<Place>,
}

enum Noted {
    /// Boxed: the queue holds tens of thousands, and is moved as it grows.
    Statement(Box<Statement>),
    Later(Box<dyn FnOnce() -> Statement + Send>),
}

/// Where the ledger stands, with what is not written yet.
pub(crate) struct Pending {
    pub(crate) day: String,
    pub(crate) frontier: Frontier,
    link: Hash,
    previous: Hash,
    place: Option<Place>,
    history: String,
    text_bytes: u64,
    /// As many entries as were noted up to here.
    pub(crate) noted: u64,
    work: Vec<Work>,
    /// Pieces that are written: a commit of one entry takes no fresh memory.
    spare: Vec<Piece>,
}

enum Work {
    Rows { day: String, piece: Piece },
    Close(Root),
}

/// Entries as the files of a day have them.
struct Piece {
    chain: Vec<u8>,
    text: Vec<u8>,
}

impl Piece {
    fn new() -> Piece {
        Piece { chain: Vec::with_capacity(PIECE_BYTES / 8), text: Vec::with_capacity(PIECE_BYTES) }
    }

    fn emptied(mut self) -> Piece {
        self.chain.clear();
        self.text.clear();
        self
    }
}

#[derive(Default)]
struct Files {
    day: String,
    open: Option<(File, File)>,
    /// Where the files have come to, and what the file `head` says of it.
    head: Option<Head>,
    told: Option<Head>,
}

/// The file `head`: where the ledger had come to, at least. What a crash may cut off comes after it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Root of the open day as it was then.
    pub(crate) root: Root,
    pub(crate) text_bytes: u64,
    pub(crate) place: Option<Place>,
    pub(crate) history: String,
    /// The tree as it was then ([`Frontier::write`]): a start goes on from here. Older ones have none.
    #[serde(default)]
    pub(crate) peaks: String,
}

impl Head {
    /// A line of JSON, and its SHA-256 on another.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let line = serde_json::to_string(self).unwrap_or_default();
        format!("{line}\n{}\n", hex(&Sha256::digest(&line))).into_bytes()
    }

    /// `None`: it was not finished, or changed.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Head> {
        let (line, sum) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        (format!("{}\n", hex(&Sha256::digest(line))) == sum).then(|| serde_json::from_str(line).ok()).flatten()
    }
}

impl Queue {
    /// `None`: an entry of this place is there already. Else how many entries are noted with it, and how many of them wait.
    fn push(&mut self, at: Timestamp, place: Option<Place>, entry: Noted) -> Option<(u64, usize)> {
        if place.is_some() && self.place >= place {
            return None;
        }
        self.place = self.place.max(place);
        self.entries.push((at, entry));
        self.noted += 1;
        Some((self.noted, self.entries.len()))
    }
}

impl Pending {
    /// Root of the open day as it stands.
    pub(crate) fn root(&self, closed: bool) -> Root {
        Root {
            day: self.day.clone(),
            size: self.frontier.size(),
            root: hex(&self.frontier.root()),
            chain: hex(&self.link),
            previous: hex(&self.previous),
            closed,
            public_key: None,
            signature: None,
        }
    }

    pub(crate) fn head(&self) -> Head {
        let (text_bytes, place, history) = (self.text_bytes, self.place, self.history.clone());
        Head { root: self.root(false), text_bytes, place, history, peaks: self.frontier.write() }
    }

    fn close(&mut self, key: Option<&SigningKey>) {
        let mut root = self.root(true);
        root.sign(key);
        self.previous = root.digest();
        self.work.push(Work::Close(root));
    }

    fn begin(&mut self, day: String) {
        self.link = files::first_link(&self.previous, &day);
        self.day = day;
        self.frontier = Frontier::default();
        self.text_bytes = 0;
    }

    /// Goes on to the day of an instant, if that is a later one.
    fn turn(&mut self, at: Timestamp, key: Option<&SigningKey>) {
        let day = day_of(at);
        if self.day >= day {
            return;
        }
        if self.frontier.size() > 0 {
            self.close(key);
        }
        self.begin(day);
    }

    fn push(&mut self, statement: &Statement) {
        let row = Row::new(statement);
        let leaf = row.leaf();
        self.link = link(&self.link, &leaf);
        self.frontier.push(leaf);
        self.text_bytes += row.bytes();
        self.place = self.place.max(statement.place());
        if let Statement::Begin(begin) = statement {
            self.history.clone_from(&begin.history);
        }
        let has_room = |piece: &Piece| piece.text.len() + row.bytes() as usize <= PIECE_BYTES;
        if !matches!(self.work.last(), Some(Work::Rows { day, piece }) if *day == self.day && has_room(piece)) {
            let piece = self.spare.pop().unwrap_or_else(Piece::new);
            self.work.push(Work::Rows { day: self.day.clone(), piece });
        }
        if let Some(Work::Rows { piece, .. }) = self.work.last_mut() {
            piece.chain.extend_from_slice(&leaf);
            piece.chain.extend_from_slice(&self.link);
            row.encode(&mut piece.text);
        }
    }
}

impl Ledger {
    /// Opens or makes the ledger in `directory`. An unfinished end that a crash has left is cut off, and that is noted; an erasure
    /// that a crash has interrupted is finished; whatever else does not fit is an error.
    pub fn open(directory: &Path, settings: Settings) -> Result<Ledger> {
        std::fs::create_dir_all(directory).map_err(io(directory))?;
        files::sync_folder(directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        let found = recover::recover(directory)?;
        let mut pending = Pending {
            day: String::new(),
            frontier: found.frontier,
            link: found.link,
            previous: found.previous,
            place: found.place,
            history: found.history,
            text_bytes: found.text_bytes,
            noted: 0,
            work: Vec::new(),
            spare: Vec::new(),
        };
        match found.open_day {
            Some(day) => pending.day = day,
            // On a clock that went back the day after the last one that is over begins early.
            None => {
                let earliest = found.closed_day.and_then(|day| Timestamp::parse(&day)).map(|day| day + ONE_DAY);
                pending.begin(day_of(settings.now.max(earliest.unwrap_or(settings.now))));
            }
        }
        let ledger = Ledger {
            directory: directory.to_owned(),
            key: settings.key.clone(),
            queue: Mutex::new(Queue { place: pending.place, ..Queue::default() }),
            pending: Mutex::new(pending),
            files: Mutex::default(),
            erasing: Mutex::new(()),
            synced: AtomicU64::new(0),
            failed: OnceLock::new(),
        };
        let at = settings.now;
        if let Some((chain_bytes, text_bytes)) = found.cut {
            ledger.note(at, || Some(Statement::Recovered(Recovered { at, chain_bytes, text_bytes })))?;
        }
        ledger.begin_history(&settings)?;
        ledger.sync()?;
        for erasure in &found.erasures {
            ledger.overwrite(&erasure.entries)?;
        }
        ledger.checkpoint()?;
        Ok(ledger)
    }

    /// A ledger goes on with a restored history, whose entries up to its end it knows already; one in a directory that had none
    /// begins where the tables stand.
    fn begin_history(&self, settings: &Settings) -> Result<()> {
        let history = format!("{:032x}", settings.history);
        let begin = {
            let mut pending = self.settled();
            if pending.history == history {
                return Ok(());
            }
            let from = match pending.place {
                _ if pending.history.is_empty() => settings.folded,
                Some((position, _)) => settings.end.min(position + 1),
                None => 0,
            };
            let known = pending.place.filter(|(position, _)| *position < settings.end);
            pending.place = known.or_else(|| from.checked_sub(1).map(|position| (position, u32::MAX)));
            self.queue.lock().place = pending.place;
            Begin { at: settings.now, history, from }
        };
        self.note(settings.now, || Some(Statement::Begin(begin))).map(drop)
    }

    /// Notes a statement, if there is one when its turn has come (`statement` is asked under the lock that orders the ledger).
    /// Answers how many entries must be on disk for this one to be: see [`Ledger::commit`].
    pub fn note(&self, at: Timestamp, statement: impl FnOnce() -> Option<Statement>) -> Result<Option<u64>> {
        self.refuse_after_failure()?;
        let noted = {
            let mut queue = self.queue.lock();
            let Some(statement) = statement() else { return Ok(None) };
            queue.push(at, statement.place(), Noted::Statement(Box::new(statement)))
        };
        self.make_room(noted)
    }

    /// Notes what is derived from a place in the history, and puts it into words when it is written.
    pub fn note_later(
        &self,
        at: Timestamp,
        place: Place,
        statement: impl FnOnce() -> Statement + Send + 'static,
    ) -> Result<Option<u64>> {
        self.refuse_after_failure()?;
        let noted = self.queue.lock().push(at, Some(place), Noted::Later(Box::new(statement)));
        self.make_room(noted)
    }

    fn make_room(&self, noted: Option<(u64, usize)>) -> Result<Option<u64>> {
        let Some((noted, queued)) = noted else { return Ok(None) };
        if queued > QUEUED_MAX {
            self.commit(noted)?;
        }
        Ok(Some(noted))
    }

    /// Where the ledger stands with all that is noted.
    fn settled(&self) -> MutexGuard<'_, Pending> {
        let mut pending = self.pending.lock();
        let (entries, noted) = {
            let mut queue = self.queue.lock();
            (std::mem::take(&mut queue.entries), queue.noted)
        };
        for (at, entry) in entries {
            let statement = match entry {
                Noted::Statement(statement) => *statement,
                Noted::Later(say) => say(),
            };
            pending.turn(at, self.key.as_ref());
            pending.push(&statement);
        }
        pending.noted = noted;
        pending
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A place in the history that no entry is of yet.
    pub fn is_new(&self, place: Place) -> bool {
        self.queue.lock().place < Some(place)
    }

    /// As many entries as were noted so far.
    pub fn noted(&self) -> u64 {
        self.queue.lock().noted
    }

    /// The first `noted` entries are on disk.
    pub fn is_synced(&self, noted: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= noted
    }

    /// Returns when the first `noted` entries are on disk; writes them if nobody else has.
    pub fn commit(&self, noted: u64) -> Result<()> {
        if self.is_synced(noted) {
            return Ok(());
        }
        let mut files = self.files.lock();
        self.refuse_after_failure()?;
        if self.is_synced(noted) {
            return Ok(());
        }
        self.write_noted(&mut files)
    }

    fn write_noted(&self, files: &mut Files) -> Result<()> {
        let (work, head, upto) = {
            let mut pending = self.settled();
            (std::mem::take(&mut pending.work), pending.head(), pending.noted)
        };
        let written = files.write(&self.directory, work).inspect_err(|error| {
            // After a failed sync nobody knows what is on disk: stop rather than try again and pretend.
            self.failed.get_or_init(|| error.to_string());
        })?;
        let fits = |piece: &Piece| piece.text.capacity() <= PIECE_BYTES;
        let mut pending = self.pending.lock();
        let room = PIECES_KEPT.saturating_sub(pending.spare.len());
        pending.spare.extend(written.into_iter().filter(fits).take(room).map(Piece::emptied));
        drop(pending);
        files.head = Some(head);
        self.synced.store(upto, Ordering::Release);
        Ok(())
    }

    /// Everything noted so far is on disk.
    pub fn sync(&self) -> Result<()> {
        self.commit(self.noted())
    }

    /// Everything noted so far is on disk, and the file `head` says so: from here on a missing end is no crash's doing.
    pub fn checkpoint(&self) -> Result<()> {
        let _erasing = self.erasing.lock();
        self.sync()?;
        let mut files = self.files.lock();
        let Some(mut head) = files.head.clone().filter(|head| Some(head) != files.told.as_ref()) else { return Ok(()) };
        let told = head.clone();
        head.root.sign(self.key.as_ref());
        files::write_whole(&files::head_path(&self.directory), &head.encode())?;
        files.told = Some(told);
        Ok(())
    }

    /// A permit that says this, signed with the key of the roots; `None`: there is no key.
    pub fn permit(&self, claims: &serde_json::Value) -> Option<String> {
        self.key.as_ref().map(|key| crate::permit::issue(key, claims))
    }

    /// Roots of the days that are over, and of the open one as it stands, signed if there is a key.
    pub fn roots(&self, now: Timestamp) -> Result<Vec<Root>> {
        self.settled().turn(now, self.key.as_ref());
        let (mut roots, mut open) = {
            let mut files = self.files.lock();
            self.refuse_after_failure()?;
            // A day that has just ended is work that no entry asks for.
            self.write_noted(&mut files)?;
            (files::roots(&self.directory)?.0, self.pending.lock().root(false))
        };
        if open.size > 0 {
            open.sign(self.key.as_ref());
            roots.push(open);
        }
        Ok(roots)
    }

    fn refuse_after_failure(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |reason| Err(LedgerError::Failed(reason.clone())))
    }
}

impl Files {
    /// Gives the written pieces back.
    fn write(&mut self, directory: &Path, work: Vec<Work>) -> Result<Vec<Piece>> {
        let mut work = work.into_iter().peekable();
        let (mut written, mut first) = (Vec::new(), 0);
        while let Some(piece) = work.next() {
            match piece {
                Work::Rows { day, piece } => {
                    if self.day != day || self.open.is_none() {
                        let texts = append_to(&files::text_path(directory, &day))?;
                        self.open = Some((texts, append_to(&files::chain_path(directory, &day))?));
                        self.day = day;
                    }
                    let Some((texts, links)) = &mut self.open else { continue };
                    let goes_on = matches!(work.peek(), Some(Work::Rows { day, .. }) if *day == self.day);
                    let path = files::text_path(directory, &self.day);
                    texts.write_all(&piece.text).map_err(io(&path))?;
                    written.push(piece);
                    if goes_on {
                        continue;
                    }
                    texts.sync_data().map_err(io(&path))?;
                    // Invariant: a link is not on disk before its text, or a crash could leave hashes of nothing.
                    let path = files::chain_path(directory, &self.day);
                    let mut chains = written[first..].iter().map(|piece| &piece.chain);
                    chains.try_for_each(|chain| links.write_all(chain)).and_then(|()| links.sync_data()).map_err(io(&path))?;
                    first = written.len();
                }
                Work::Close(root) => {
                    let path = files::roots_path(directory);
                    let mut line = serde_json::to_vec(&root).unwrap_or_default();
                    line.push(b'\n');
                    append_to(&path)?.write_all(&line).map_err(io(&path))?;
                    File::open(&path).and_then(|file| file.sync_all()).map_err(io(&path))?;
                    self.open = None;
                }
            }
        }
        Ok(written)
    }
}
