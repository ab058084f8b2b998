//! People and their identifiers in memory, over the tables.

use std::sync::Arc;

use foldhash::fast::RandomState;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::ProfileId;
use jumelle_profile::Person;
use jumelle_store::{Result, StoreError, Table};
use parking_lot::Mutex;

use crate::behind::Behind;

const SHARDS: usize = 64;

type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
type HashSet<K> = std::collections::HashSet<K, RandomState>;

/// People (a cache that holds all changed ones), and who has which identifier. One thread changes, any thread reads: a person is
/// an `Arc`, so a reader or the flusher keeps the version that it took.
pub struct People {
    behind: Arc<Behind>,
    shards: Vec<Mutex<Shard>>,
    owners: Mutex<Generations<u128, ProfileId>>,
    dirty: Mutex<HashSet<ProfileId>>,
    per_shard_max: usize,
}

#[derive(Default)]
struct Shard {
    people: Generations<ProfileId, Arc<Person>>,
    lookups: Lookups,
}

/// Look-ups of people since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lookups {
    /// Found in memory.
    pub hits: u64,
    /// Looked for in the tables.
    pub misses: u64,
}

/// A cache of two generations: what is used moves to the young one; when that is full, the old one goes.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Generations { young: HashMap::default(), old: HashMap::default() }
    }
}

impl<K: std::hash::Hash + Eq + Copy, V: Clone> Generations<K, V> {
    fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key)
            && let Some(value) = self.old.remove(key)
        {
            self.young.insert(*key, value);
        }
        self.young.get_mut(key)
    }

    fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &K) {
        self.old.remove(key);
        self.young.remove(key);
    }

    /// Takes the old generation out but for what must stay, if the young one has reached `max`.
    fn rotate(&mut self, max: usize, keep: impl Fn(&K) -> bool) -> HashMap<K, V> {
        if self.young.len() < max {
            return HashMap::default();
        }
        let mut gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.young = gone.extract_if(|key, _| keep(key)).collect();
        gone
    }
}

/// People that are no longer kept in memory. To drop one frees some dozens of allocations: not on the thread that folds.
pub struct Evicted(#[expect(dead_code, reason = "held to be dropped elsewhere")] Vec<HashMap<ProfileId, Arc<Person>>>);

impl People {
    /// `cached_max`: people kept in memory, about; changed ones are kept until written.
    pub fn new(behind: Arc<Behind>, cached_max: usize) -> People {
        People {
            behind,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            owners: Mutex::default(),
            dirty: Mutex::default(),
            per_shard_max: (cached_max / 2 / SHARDS).max(16),
        }
    }

    fn shard(&self, id: ProfileId) -> &Mutex<Shard> {
        &self.shards[(id.0 % SHARDS as u128) as usize]
    }

    /// A person by her own id.
    pub fn get(&self, id: ProfileId) -> Result<Option<Arc<Person>>> {
        {
            let mut shard = self.shard(id).lock();
            if let Some(person) = shard.people.peek(&id).cloned() {
                shard.lookups.hits += 1;
                return Ok(Some(person));
            }
            shard.lookups.misses += 1;
        }
        self.load(id)
    }

    /// As [`People::get`], and kept in memory, for somebody who is changed next. Only the engine's thread calls this.
    pub fn hold(&self, id: ProfileId) -> Result<Option<Arc<Person>>> {
        let mut shard = self.shard(id).lock();
        if let Some(person) = shard.people.get(&id).cloned() {
            shard.lookups.hits += 1;
            return Ok(Some(person));
        }
        shard.lookups.misses += 1;
        let loaded = self.load(id)?;
        if let Some(person) = &loaded {
            shard.people.insert(id, person.clone());
        }
        Ok(loaded)
    }

    fn load(&self, id: ProfileId) -> Result<Option<Arc<Person>>> {
        match self.behind.get(Table::People, &id.0.to_be_bytes())? {
            None => Ok(None),
            Some(bytes) => decode(id, &bytes).map(|person| Some(Arc::new(person))),
        }
    }

    /// Changes a person, making her if she is new. Only the engine's thread calls this.
    pub fn change<R>(&self, id: ProfileId, change: impl FnOnce(&mut Person) -> R) -> Result<R> {
        let mut shard = self.shard(id).lock();
        if shard.people.get(&id).is_some() {
            shard.lookups.hits += 1;
        } else {
            shard.lookups.misses += 1;
            let loaded = self.load(id)?.unwrap_or_else(|| Arc::new(Person::new(id)));
            shard.people.insert(id, loaded);
        }
        self.dirty.lock().insert(id);
        match shard.people.get(&id) {
            // A reader or the flusher that holds the person keeps its version; we change a copy then.
            Some(person) => Ok(change(Arc::make_mut(person))),
            None => unreachable!("inserted above, under the same lock"),
        }
    }

    /// Makes a person whom nobody knew: the tables need not be asked.
    pub fn create(&self, id: ProfileId) {
        self.dirty.lock().insert(id);
        self.shard(id).lock().people.insert(id, Arc::new(Person::new(id)));
    }

    /// Takes a person out, for a join or an erasure.
    pub fn remove(&self, id: ProfileId) -> Result<Option<Person>> {
        let person = self.get(id)?;
        self.shard(id).lock().people.remove(&id);
        self.dirty.lock().remove(&id);
        self.behind.remove(Table::People, id.0.to_be_bytes());
        Ok(person.map(Arc::unwrap_or_clone))
    }

    /// Whose identifier it is. Only the engine's thread calls this.
    pub fn owner(&self, identifier: &Identifier) -> Result<Option<ProfileId>> {
        let key = identifier.key();
        if let Some(owner) = self.owners.lock().get(&key) {
            return Ok(Some(*owner));
        }
        let Some(bytes) = self.behind.get(Table::Identifiers, &key.to_be_bytes())? else { return Ok(None) };
        let owner = ProfileId(u128::from_be_bytes(bytes.try_into().unwrap_or_default()));
        self.owners.lock().insert(key, owner);
        Ok(Some(owner))
    }

    /// As [`People::owner`], for every other thread: what is read is not remembered. It may be old by the time that it would be,
    /// and the fold's thread would take it for what it has assigned meanwhile.
    pub fn owner_beside(&self, identifier: &Identifier) -> Result<Option<ProfileId>> {
        let key = identifier.key();
        if let Some(owner) = self.owners.lock().peek(&key) {
            return Ok(Some(*owner));
        }
        let bytes = self.behind.get(Table::Identifiers, &key.to_be_bytes())?;
        Ok(bytes.map(|bytes| ProfileId(u128::from_be_bytes(bytes.try_into().unwrap_or_default()))))
    }

    /// As [`People::owner`], by the identifier's key.
    pub fn owner_of(&self, key: u128) -> Result<Option<ProfileId>> {
        if let Some(owner) = self.owners.lock().get(&key) {
            return Ok(Some(*owner));
        }
        let bytes = self.behind.get(Table::Identifiers, &key.to_be_bytes())?;
        Ok(bytes.map(|bytes| ProfileId(u128::from_be_bytes(bytes.try_into().unwrap_or_default()))))
    }

    /// Gives an identifier to a person.
    pub fn assign(&self, identifier: &Identifier, owner: ProfileId) {
        let key = identifier.key();
        self.owners.lock().insert(key, owner);
        self.behind.put(Table::Identifiers, key.to_be_bytes(), owner.0.to_be_bytes());
    }

    /// Nobody's any more.
    pub fn unassign(&self, key: u128) {
        self.owners.lock().remove(&key);
        self.behind.remove(Table::Identifiers, key.to_be_bytes());
    }

    /// The id that answers for `id`: itself, or the one that absorbed it.
    pub fn surviving(&self, id: ProfileId) -> Result<ProfileId> {
        // Who is in memory under her own id has been absorbed by nobody: one who is, leaves it (`Fold::join`).
        if self.shard(id).lock().people.peek(&id).is_some() {
            return Ok(id);
        }
        let mut at = id;
        while let Some(bytes) = self.behind.get(Table::Aliases, &at.0.to_be_bytes())? {
            at = ProfileId(u128::from_be_bytes(bytes.try_into().unwrap_or_default()));
        }
        Ok(at)
    }

    /// `absorbed` answers with `survivor` from now on.
    pub fn alias(&self, absorbed: ProfileId, survivor: ProfileId) {
        self.behind.put(Table::Aliases, absorbed.0.to_be_bytes(), survivor.0.to_be_bytes());
    }

    /// How many are changed and not written.
    pub fn dirty_len(&self) -> usize {
        self.dirty.lock().len()
    }

    /// The changed ones, as they are now.
    pub fn take_dirty(&self) -> Result<Vec<Arc<Person>>> {
        let ids: Vec<ProfileId> = self.dirty.lock().drain().collect();
        ids.into_iter().filter_map(|id| self.get(id).transpose()).collect()
    }

    /// Lets go of people that are on disk, if there are many. Call only when no flush is under way.
    pub fn evict(&self) -> Evicted {
        let dirty = self.dirty.lock();
        let gone = self.shards.iter().map(|shard| shard.lock().people.rotate(self.per_shard_max, |id| dirty.contains(id)));
        let gone = Evicted(gone.filter(|gone| !gone.is_empty()).collect());
        self.owners.lock().rotate(self.per_shard_max * SHARDS * 2, |_| false);
        gone
    }

    /// How many look-ups memory answered.
    pub fn lookups(&self) -> Lookups {
        self.shards
            .iter()
            .map(|shard| shard.lock().lookups)
            .fold(Lookups::default(), |all, one| Lookups { hits: all.hits + one.hits, misses: all.misses + one.misses })
    }

    /// How many are in memory.
    pub fn cached(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|shard| shard.people.young.len() + shard.people.old.len()).sum()
    }
}

/// Appends the stored form: canonical, equal people give equal bytes.
pub fn encode_into(bytes: Vec<u8>, person: &Person) -> Vec<u8> {
    // Every type of a person can be written; a Vec does not run out.
    postcard::to_extend(person, bytes).unwrap_or_default()
}

/// Reads the stored form.
pub fn decode(id: ProfileId, bytes: &[u8]) -> Result<Person> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged { place: format!("person {id}"), what: error.to_string() })
}
