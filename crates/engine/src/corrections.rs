//! A wrong address put right (GDPR, article 16): the wrong identifier leaves the person, and every tool under the name that it
//! knows, before the right one comes in.
//!
//! What she chose for the wrong address was chosen for that address alone (DESIGN §8.7): no grant of it goes to the right one. A
//! refusal, a bounce or a complaint belongs to the address and stays with it, so that nobody writes to it who finds it elsewhere.

use jumelle_identify::{Evidence, identifier_of};
use jumelle_model::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_store::{Result, Table};

use crate::fold::Fold;
use crate::parting::Which;

/// The source under which it stands.
pub(crate) const SOURCE: &str = "privacy";

impl Fold {
    /// Puts `right` in the place of `wrong`. Nothing if she has not got the one, or somebody else has got the other meanwhile.
    pub(crate) fn corrected(&mut self, profile: ProfileId, wrong: &Identifier, right: &Identifier) -> Result<()> {
        let id = self.shared.people.surviving(profile)?;
        let Some(person) = self.shared.people.get(id)? else { return Ok(()) };
        let is_free = self.shared.people.owner(right)?.is_none_or(|owner| owner == id);
        if !is_free || !person.known.identifiers.contains_key(wrong) {
            return Ok(());
        }
        // A trait that repeats the wrong value under the name of its namespace is as wrong.
        let is_wrong = |raw: &str| {
            identifier_of(&self.definitions.workspace, &wrong.namespace, raw).is_ok_and(|identifier| identifier == *wrong)
        };
        let repeated = person.known.trait_scalar(&wrong.namespace).is_some_and(|value| is_wrong(&value.to_string()));
        drop(person);
        self.shared.timeline.lock().entry(id).or_default().push(self.cause.position.0);
        self.shared.people.unassign(wrong.key());
        self.shared.people.assign(right, id);
        self.keep_suppressed(id, right)?;
        self.shared.behind.put(Table::Corrected, corrected_key(id, wrong), Vec::new());
        self.has_corrections = true;
        let stamp = Stamp { time: self.cause.received, received: self.cause.received, ..Stamp::default() };
        let refused = self.shared.people.change(id, |person| {
            person.known.correct(wrong, right, stamp, SOURCE, repeated);
            person.known.choices.let_go(&wrong.namespace, &wrong.value)
        })?;
        metrics::counter!("jumelle_corrected_identifiers_total").increment(1);
        self.evaluate(id)?;
        if !refused.is_empty() {
            let alone = Evidence { identifiers: vec![wrong.clone()], ..Evidence::default() };
            let seed = format!("corrected:{}", self.cause.position.0);
            if let Some(other) = self.identify(&alone, stamp, SOURCE, &seed)? {
                self.shared.people.change(other, |person| person.known.choices.merge(refused))?;
                self.evaluate(other)?;
            }
        }
        Ok(())
    }

    /// Leaves out of an event what was found to be wrong of somebody whom it names otherwise: a system that still has the old
    /// address would bring it back.
    pub(crate) fn leave_out_corrected(&self, evidence: &mut Evidence) -> Result<()> {
        if !self.has_corrections || evidence.identifiers.len() < 2 {
            return Ok(());
        }
        let mut owners = Vec::new();
        for identifier in &evidence.identifiers {
            owners.extend(self.shared.people.owner(identifier)?);
        }
        let mut wrong = Vec::new();
        for identifier in &evidence.identifiers {
            for owner in &owners {
                if self.shared.behind.get(Table::Corrected, &corrected_key(*owner, identifier))?.is_some() {
                    wrong.push(identifier.clone());
                }
            }
        }
        evidence.identifiers.retain(|identifier| !wrong.contains(identifier));
        Ok(())
    }

    /// What was wrong of somebody who is taken apart is wrong of the one who has the right one.
    pub(crate) fn part_corrections(
        &self,
        (stays, leaves): (ProfileId, ProfileId),
        wrong: &std::collections::HashMap<u128, Which>,
    ) -> Result<()> {
        for (key, which) in wrong {
            if *which == Which::Leaves {
                let of = |person: ProfileId| [person.0.to_be_bytes(), key.to_be_bytes()].concat();
                self.shared.behind.put(Table::Corrected, of(leaves), Vec::new());
                self.shared.behind.remove(Table::Corrected, of(stays));
            }
        }
        Ok(())
    }

    /// What was wrong of somebody is wrong of the one whom she turns out to be; with none, of nobody any more.
    pub(crate) fn move_corrections(&self, from: ProfileId, to: Option<ProfileId>) -> Result<()> {
        if !self.has_corrections {
            return Ok(());
        }
        for (key, _) in self.shared.behind.scan(Table::Corrected, &from.0.to_be_bytes(), None, usize::MAX)? {
            if let Some(to) = to {
                let moved = [&to.0.to_be_bytes(), key.get(16..).unwrap_or_default()].concat();
                self.shared.behind.put(Table::Corrected, moved, Vec::new());
            }
            self.shared.behind.remove(Table::Corrected, key);
        }
        Ok(())
    }
}

fn corrected_key(person: ProfileId, identifier: &Identifier) -> Vec<u8> {
    [person.0.to_be_bytes(), identifier.key().to_be_bytes()].concat()
}
