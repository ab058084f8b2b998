//! The proof for one person: her entries, each with its way to the root of its day.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use serde::Serialize;

use crate::files;
use crate::ledger::Ledger;
use crate::merkle::{Tree, hex};
use crate::root::Root;
use crate::statement::{Statement, Text};
use crate::{LedgerError, Result};

/// Entries of one person at most in one proof, the newest.
pub const ENTRIES_MAX: usize = 10_000;

/// Purpose and version of a text.
type TextName = (String, String);
/// Day and index of an entry.
type Place = (String, u64);

/// What the ledger holds of a person, in a form that somebody else can check.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Proof {
    /// Her entries, oldest first.
    pub entries: Vec<Proved>,
    /// Root of each day that one of them is of.
    pub roots: BTreeMap<String, Root>,
    /// Older entries were left out.
    pub truncated: bool,
    /// The public keys that signed the roots are not to be taken from here, but from whoever keeps the ledger.
    pub made_at: Timestamp,
}

/// One entry.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Proved {
    /// Its day.
    pub day: String,
    /// Its place within the day.
    pub index: u64,
    /// `SHA-256(0x00 ‖ salt ‖ text)`, hexadecimal.
    pub leaf: String,
    /// Hexadecimal; `None`: erased.
    pub salt: Option<String>,
    /// What it says, exactly as it was hashed; `None`: erased.
    pub text: Option<String>,
    /// The hashes beside its way to the root, from the leaf up (RFC 6962, section 2.1.1), hexadecimal.
    pub path: Vec<String>,
}

impl Proved {
    /// What it says; `None`: erased.
    pub fn statement(&self) -> Option<Statement> {
        serde_json::from_str(self.text.as_ref()?).ok()
    }
}

impl Ledger {
    /// The proof for a person, by all the ids that she had. Of one who was erased: the erasure, and the hashes that it left.
    pub fn prove(&self, ids: &[ProfileId], now: Timestamp, about_her: impl Fn(&Statement) -> bool) -> Result<Proof> {
        let mut wanted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut shown: BTreeMap<TextName, BTreeSet<Timestamp>> = BTreeMap::new();
        for (day, found) in self.about(ids)? {
            let path = files::text_path(&self.directory, &day);
            for (index, offset) in found {
                let row = files::row_at(&path, offset)?;
                let statement = if row.is_erasable() { row.statement() } else { None };
                if let Some(statement) = &statement {
                    if !about_her(statement) {
                        continue;
                    }
                    for choice in statement.choices() {
                        if let Some(version) = choice.text_version() {
                            shown.entry((choice.purpose.clone(), version)).or_default().insert(choice.received);
                        }
                    }
                }
                wanted.entry(day.clone()).or_default().push(index);
                if row.is_erasable() || row.is_erased() {
                    continue;
                }
                if let Some(Statement::Erasure(erasure)) = row.statement() {
                    erasure.entries.into_iter().for_each(|(day, indices)| wanted.entry(day).or_default().extend(indices));
                }
            }
        }
        for (day, index) in self.texts(&shown)? {
            wanted.entry(day).or_default().push(index);
        }
        // After what is wanted was found: the roots cover all of it.
        let roots = self.roots(now)?;
        let mut proof = Proof { entries: Vec::new(), roots: BTreeMap::new(), truncated: false, made_at: now };
        for (day, mut indices) in wanted.into_iter().rev() {
            indices.sort_unstable();
            indices.dedup();
            let room = ENTRIES_MAX - proof.entries.len();
            proof.truncated |= indices.len() > room;
            let left_out = indices.len().saturating_sub(room);
            let indices = &indices[left_out..];
            if indices.is_empty() {
                continue;
            }
            let damaged = |what: &str| LedgerError::Damaged { place: day.clone(), what: what.into() };
            let root = roots.iter().find(|root| root.day == day).ok_or_else(|| damaged("the day has no root"))?;
            self.prove_day(root, indices, &mut proof.entries)?;
            proof.roots.insert(day.clone(), root.clone());
        }
        proof.entries.sort_by(|a, b| (&a.day, a.index).cmp(&(&b.day, b.index)));
        Ok(proof)
    }

    /// Where the words of texts are that were in force at these times.
    fn texts(&self, shown: &BTreeMap<TextName, BTreeSet<Timestamp>>) -> Result<BTreeSet<Place>> {
        let subjects: Vec<ProfileId> = shown.keys().map(|(purpose, version)| Text::subject_of(purpose, version)).collect();
        let mut of_text: BTreeMap<TextName, Vec<(Timestamp, Place)>> = BTreeMap::new();
        if subjects.is_empty() {
            return Ok(BTreeSet::new());
        }
        for (day, found) in self.about(&subjects)? {
            let path = files::text_path(&self.directory, &day);
            for (index, offset) in found {
                if let Some(Statement::Text(text)) = files::row_at(&path, offset)?.statement() {
                    of_text.entry((text.purpose, text.version)).or_default().push((text.at, (day.clone(), index)));
                }
            }
        }
        let mut places = BTreeSet::new();
        for (name, times) in shown {
            let Some(known) = of_text.get(name) else { continue };
            let in_force = |time: &Timestamp| known.iter().filter(|(at, _)| at <= time).max_by_key(|(at, _)| *at);
            places.extend(times.iter().filter_map(in_force).map(|(_, place)| place.clone()));
        }
        Ok(places)
    }

    fn prove_day(&self, root: &Root, indices: &[u64], entries: &mut Vec<Proved>) -> Result<()> {
        let chain = files::chain_path(&self.directory, &root.day);
        let damaged = |what: String| LedgerError::Damaged { place: chain.display().to_string(), what };
        let leaves: Vec<_> = files::links(&chain, 0..root.size)?.into_iter().map(|(leaf, _)| leaf).collect();
        let tree = Tree::new(leaves.clone());
        if hex(&tree.root()) != root.root {
            return Err(damaged("its root is not the one of the day".into()));
        }
        let path = files::text_path(&self.directory, &root.day);
        let Some(mut rows) = files::Rows::open(&path, 0)? else { return Err(damaged("there are no texts".into())) };
        let mut index = 0;
        while let Some(row) = rows.next().map_err(files::io(&path))? {
            if indices.binary_search(&index).is_ok() {
                let way = tree.path(index).ok_or_else(|| damaged(format!("there is no entry {index}")))?;
                let text = (!row.is_erased()).then(|| String::from_utf8_lossy(&row.text).into_owned());
                entries.push(Proved {
                    day: root.day.clone(),
                    index,
                    leaf: hex(&leaves[index as usize]),
                    salt: text.is_some().then(|| hex(&row.salt)),
                    text,
                    path: way.iter().map(|hash| hex(hash)).collect(),
                });
            }
            index += 1;
        }
        Ok(())
    }
}
