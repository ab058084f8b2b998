//! Who is due when. All timers are in the table; the next ones are in memory too, so that firing one reads nothing.

use std::collections::BTreeSet;

use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, Table};

use crate::behind::Behind;
use crate::shared::{read_timer_key, timer_key};

/// Timers read from the table at a time.
const PAGE: usize = 4_096;
/// Timers in memory at most; past it the later half is left to the table.
const SOON_MAX: usize = 4 * PAGE;

/// The timers of one workspace, in the order of their instants.
pub(crate) struct Timers {
    soon: BTreeSet<(Timestamp, ProfileId)>,
    /// Every timer up to here that has not fired is in `soon`.
    horizon: Horizon,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Horizon {
    Before,
    At((Timestamp, ProfileId)),
    Everything,
}

impl Timers {
    /// What the table holds.
    pub(crate) fn load(behind: &Behind) -> Result<Timers> {
        let mut timers = Timers { soon: BTreeSet::new(), horizon: Horizon::Before };
        timers.fill(behind)?;
        Ok(timers)
    }

    /// The instant of the next one; [`Timestamp::MAX`] if there is none.
    pub(crate) fn next_due(&self) -> Timestamp {
        self.soon.first().map_or(Timestamp::MAX, |(due, _)| *due)
    }

    /// Takes the next one that is due by `at`. Its row stays until [`Timers::unset`], as what she is due at does.
    pub(crate) fn fire(&mut self, behind: &Behind, at: Timestamp) -> Result<Option<(Timestamp, ProfileId)>> {
        if self.next_due() > at {
            return Ok(None);
        }
        let fired = self.soon.pop_first();
        self.fill(behind)?;
        Ok(fired)
    }

    /// Sets one.
    pub(crate) fn set(&mut self, behind: &Behind, due: Timestamp, id: ProfileId) {
        behind.put(Table::Timers, timer_key(due, id), Vec::new());
        if Horizon::At((due, id)) <= self.horizon {
            self.soon.insert((due, id));
            if self.soon.len() > SOON_MAX
                && let Some(&edge) = self.soon.iter().nth(SOON_MAX / 2)
            {
                self.soon.split_off(&edge);
                // Not empty: half of it is left.
                self.horizon = self.soon.last().map_or(Horizon::Before, |last| Horizon::At(*last));
            }
        }
    }

    /// Takes one back.
    pub(crate) fn unset(&mut self, behind: &Behind, due: Timestamp, id: ProfileId) -> Result<()> {
        behind.remove(Table::Timers, timer_key(due, id));
        self.soon.remove(&(due, id));
        self.fill(behind)
    }

    fn fill(&mut self, behind: &Behind) -> Result<()> {
        if !self.soon.is_empty() {
            return Ok(());
        }
        let after = match self.horizon {
            Horizon::Everything => return Ok(()),
            Horizon::Before => None,
            Horizon::At((due, id)) => Some(timer_key(due, id)),
        };
        let rows = behind.scan(Table::Timers, &[], after.as_deref(), PAGE)?;
        self.soon = rows.iter().filter_map(|(key, _)| read_timer_key(key)).collect();
        self.horizon = match self.soon.last() {
            Some(last) if rows.len() == PAGE => Horizon::At(*last),
            _ => Horizon::Everything,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jumelle_store::Tables;

    use super::*;

    /// Against all timers in one set: pages, the halving and what is set before, within and beyond the horizon.
    #[test]
    fn timers_fire_in_order_whatever_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let behind = Behind::new(Arc::new(Tables::open(directory.path(), "tables", 1 << 20).unwrap()));
        let mut model = BTreeSet::new();
        let mut roll = 1_u64;
        let mut dice = |sides: u64| {
            roll = roll.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (roll >> 33) % sides
        };
        for _ in 0..3 * PAGE {
            let timer = (Timestamp(dice(1 << 30) as i64), ProfileId(u128::from(dice(1 << 20))));
            model.insert(timer);
            behind.put(Table::Timers, timer_key(timer.0, timer.1), Vec::new());
        }
        let mut timers = Timers::load(&behind).unwrap();
        let mut now = Timestamp(0);
        let mut halved = false;
        for step in 0..60_000 {
            assert_eq!(timers.next_due(), model.first().map_or(Timestamp::MAX, |(due, _)| *due));
            match dice(if step < 40_000 { 8 } else { 3 }) {
                0 => {
                    let fired = timers.fire(&behind, Timestamp::MAX).unwrap();
                    assert_eq!(fired, model.pop_first());
                    if let Some((due, id)) = fired {
                        now = due;
                        timers.unset(&behind, due, id).unwrap();
                    }
                }
                1 if !model.is_empty() => {
                    let at = dice(model.len().min(50) as u64) as usize;
                    let timer = *model.iter().nth(at).unwrap();
                    model.remove(&timer);
                    timers.unset(&behind, timer.0, timer.1).unwrap();
                }
                2 if step >= 40_000 => {
                    let due = model.first().copied().filter(|(due, _)| *due <= now);
                    assert_eq!(timers.fire(&behind, now).unwrap(), due);
                    if let Some(timer) = due {
                        model.remove(&timer);
                        timers.unset(&behind, timer.0, timer.1).unwrap();
                    }
                }
                _ => {
                    let before = timers.soon.len();
                    let timer = (Timestamp(now.0 + 1 + dice(1 << 22) as i64), ProfileId(u128::from(dice(1 << 20))));
                    model.insert(timer);
                    timers.set(&behind, timer.0, timer.1);
                    halved |= timers.soon.len() < before;
                }
            }
        }
        assert!(halved, "the bound was never reached");
    }
}
