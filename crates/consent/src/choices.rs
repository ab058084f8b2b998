//! What one person chose, per scope, purpose and channel: a state that merges.

use std::sync::Arc;

use jumelle_model::Proof;
use jumelle_model::consent::{Channel, Choice, ConsentState, Scope, Signal};
use jumelle_model::ids::Stamp;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::Purpose;
use litemap::LiteMap;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// All choices of one person. Keeps, per scope × purpose × channel, the newest grant *and* the newest denial: a person's later
/// grant covers only what she had then, so it must not make an earlier denial forgotten for an address that comes later.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Choices(pub(crate) LiteMap<Key, Newest>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub(crate) purpose: String,
    pub(crate) channel: Option<Channel>,
    pub(crate) scope: Scope,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Newest {
    pub(crate) grant: Option<Kept>,
    pub(crate) denial: Option<Kept>,
}

/// Field order is the order of precedence: a dated choice beats a weak one, then the later stamp.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Kept {
    pub(crate) dated: bool,
    pub(crate) stamp: Stamp,
    pub(crate) source: Arc<str>,
    pub(crate) proof: Option<Proof>,
}

/// How things stand for one purpose, channel and scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Purpose key.
    pub purpose: String,
    /// `None`: all channels of the purpose.
    pub channel: Option<Channel>,
    /// Whose.
    pub scope: Scope,
    /// The choice that counts.
    pub state: ConsentState,
    /// When it was made.
    pub since: Timestamp,
    /// Who reported it.
    pub source: Arc<str>,
    /// An undated import.
    pub weak: bool,
    /// What proves it.
    pub proof: Option<Proof>,
    stamp: Stamp,
}

impl Key {
    /// Sorts as the scope does: the person before her addresses.
    fn address(&self) -> Option<(&str, &str)> {
        match &self.scope {
            Scope::Person => None,
            Scope::Address(namespace, value) => Some((namespace, value)),
        }
    }
}

fn of_text((namespace, value): &(String, String)) -> (&str, &str) {
    (namespace, value)
}

impl Choices {
    /// Takes in one choice. Folding is commutative, associative and idempotent.
    pub fn fold(&mut self, choice: &Choice) {
        let kept = Kept::of(choice);
        let mut keep = |scope: Scope| {
            let key = Key { purpose: choice.purpose.clone(), channel: choice.channel, scope };
            let newest = self.0.entry(key).or_default();
            newest.slot(choice.state).take_newer(kept.clone());
        };
        keep(choice.scope.clone());
        if choice.scope == Scope::Person && choice.state == ConsentState::Granted {
            for (namespace, value) in &choice.covers {
                keep(Scope::Address(namespace.clone(), value.clone()));
            }
        }
    }

    /// Joins what two people chose who turned out to be one.
    pub fn merge(&mut self, other: Choices) {
        for (key, newest) in other.0 {
            let mine = self.0.entry(key).or_default();
            for (slot, kept) in [(&mut mine.grant, newest.grant), (&mut mine.denial, newest.denial)] {
                if let Some(kept) = kept {
                    slot.take_newer(kept);
                }
            }
        }
    }

    /// Takes out all that was chosen for an address. What comes out are its refusals, which stay with the address, whoever has it.
    pub fn let_go(&mut self, namespace: &str, value: &str) -> Choices {
        let mut refusals = Choices::default();
        let is_of_it = |key: &Key| key.address() == Some((namespace, value));
        for (key, newest) in self.0.iter().filter(|(key, _)| is_of_it(key)) {
            if newest.denial > newest.grant {
                let denial = Newest { grant: None, denial: newest.denial.clone() };
                refusals.0.insert(key.clone(), denial);
            }
        }
        self.0.retain(|key, _| !is_of_it(key));
        refusals
    }

    /// Of what a person chose who is taken apart, what no event of her own said: another's event that named her address, or a list.
    /// Of an address, what was said of it, if it is one of `addresses`; of the person, her refusals alone, since it cannot be told of
    /// which of the two they were. `is_own`: whether the choice of that stamp and source is folded again from her events.
    pub fn said_elsewhere(&self, is_own: impl Fn(&Stamp, &str) -> bool, addresses: impl Fn(&str, &str) -> bool) -> Choices {
        let mut found = Choices::default();
        for (key, newest) in &self.0 {
            let elsewhere = |kept: &Option<Kept>| kept.clone().filter(|kept| !is_own(&kept.stamp, &kept.source));
            let denial = elsewhere(&newest.denial);
            let grant = match key.address() {
                Some((namespace, value)) if addresses(namespace, value) => elsewhere(&newest.grant),
                Some(_) => continue,
                None => None,
            };
            if grant.is_some() || denial.is_some() {
                found.0.insert(key.clone(), Newest { grant, denial });
            }
        }
        found
    }

    /// Whether a refusal takes back what she had granted.
    pub fn is_withdrawal(&self, standing: &Standing) -> bool {
        let key = Key { purpose: standing.purpose.clone(), channel: standing.channel, scope: standing.scope.clone() };
        let granted = self.0.get(&key).and_then(|newest| newest.grant.as_ref());
        standing.state == ConsentState::Denied && granted.is_some_and(|grant| grant.stamp.time <= standing.since)
    }

    /// Her data is kept and not used (GDPR, article 18).
    pub fn is_restricted(&self) -> bool {
        let found = self.best(Signal::Restriction.purpose(), None, None, Timestamp::MAX);
        found.is_some_and(|found| found.state == ConsentState::Denied)
    }

    /// No choice at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The choice that counts for a purpose and a channel at an instant: for an address or device its own choices and the
    /// person's denials; without one, the person's grants and denials. The later one counts, at equal times the denial; a weak
    /// grant only if there is nothing else. A grant counts from its time on, a denial always. `None`: unknown.
    pub fn standing(
        &self,
        purpose: &str,
        channel: Option<Channel>,
        address: Option<&(String, String)>,
        at: Timestamp,
    ) -> Option<Standing> {
        self.best(purpose, channel, address.map(of_text), at).map(Candidate::standing)
    }

    /// As [`Choices::standing`] at the end of time, in short: the state, since when, and whether it is weak.
    pub fn stands(&self, purpose: &str, channel: Option<Channel>, scope: &Scope) -> Option<(ConsentState, Timestamp, bool)> {
        let address = match scope {
            Scope::Person => None,
            Scope::Address(namespace, value) => Some((namespace.as_str(), value.as_str())),
        };
        let found = self.best(purpose, channel, address, Timestamp::MAX)?;
        Some((found.state, found.kept.stamp.time, !found.kept.dated))
    }

    /// The choice that counts for a purpose on a channel: as [`Choices::standing`]; of a marketing purpose complaints, oppositions and
    /// objections that stand count as denials. `own`: a yes has to be for the channel itself, one for the whole purpose opens it not.
    pub fn counting(
        &self,
        purpose: &Purpose,
        channel: Channel,
        address: Option<&(String, String)>,
        at: Timestamp,
        own: bool,
    ) -> Option<Standing> {
        let yes = if own { Yes::ForThisChannel } else { Yes::ForAnyChannel };
        let address = address.map(of_text);
        let best = self.best_of(&purpose.key, Some(channel), address, at, yes);
        let signals: &[Signal] = match purpose.is_marketing() {
            true => &[Signal::Complaint, Signal::Opposition, Signal::Objection],
            false => &[],
        };
        let of_signals = signals.iter().filter_map(|signal| {
            self.best(signal.purpose(), Some(channel), address, at).filter(|found| found.state == ConsentState::Denied)
        });
        best.into_iter().chain(of_signals).max_by_key(Candidate::rank).map(Candidate::standing)
    }

    /// A signal that stands, for an address or without one.
    pub fn signal(
        &self,
        signal: Signal,
        channel: Channel,
        address: Option<&(String, String)>,
        at: Timestamp,
    ) -> Option<Standing> {
        let found = self.best(signal.purpose(), Some(channel), address.map(of_text), at)?;
        (found.state == ConsentState::Denied).then(|| found.standing())
    }

    fn best(
        &self,
        purpose: &str,
        channel: Option<Channel>,
        address: Option<(&str, &str)>,
        at: Timestamp,
    ) -> Option<Candidate<'_>> {
        self.best_of(purpose, channel, address, at, Yes::ForAnyChannel)
    }

    fn best_of(
        &self,
        purpose: &str,
        channel: Option<Channel>,
        address: Option<(&str, &str)>,
        at: Timestamp,
        yes: Yes,
    ) -> Option<Candidate<'_>> {
        // Signals sort before every purpose of a workspace: most people have none, and are asked about five of them each time.
        let first = self.0.first()?.0;
        if purpose.starts_with('!') && !first.purpose.starts_with('!') {
            return None;
        }
        let choices = self.0.as_slice();
        let mut best: Option<Candidate<'_>> = None;
        let mut consider = |scope: Option<(&str, &str)>, states: &[ConsentState]| {
            let whole_purpose = [None];
            let this_and_whole = [channel, None];
            let channels: &[Option<Channel>] = if channel.is_some() { &this_and_whole } else { &whole_purpose };
            for &asked in channels {
                let wanted = (purpose, asked, scope);
                let found = choices.binary_search_by(|(key, _)| (key.purpose.as_str(), key.channel, key.address()).cmp(&wanted));
                let Some((key, newest)) = found.ok().and_then(|at| choices.get(at)) else { continue };
                for &state in states {
                    // A denial that we know of counts at once, also when the clock that asks stands a little behind the one that
                    // stamped it: an earlier denial may have been forgotten for it.
                    let counts = |kept: &&Kept| state == ConsentState::Denied || kept.stamp.time <= at;
                    if yes == Yes::ForThisChannel && state == ConsentState::Granted && key.channel.is_none() {
                        continue;
                    }
                    let Some(kept) = newest.get(state).filter(counts) else { continue };
                    let candidate = Candidate { key, state, kept };
                    if best.as_ref().is_none_or(|best| best.rank() < candidate.rank()) {
                        best = Some(candidate);
                    }
                }
            }
        };
        match address {
            Some(own) => {
                consider(Some(own), &[ConsentState::Granted, ConsentState::Denied]);
                consider(None, &[ConsentState::Denied]);
            }
            None => consider(None, &[ConsentState::Granted, ConsentState::Denied]),
        }
        best
    }

    /// The earliest instant after `at` at which a grant may stop counting by its age. `spans`: of a purpose, all that may apply.
    pub fn next_expiry(&self, at: Timestamp, spans: impl Fn(&str) -> Vec<Span>) -> Timestamp {
        let grants = self.0.iter().filter_map(|(key, newest)| Some((key, newest.grant.as_ref()?)));
        let ends = grants.flat_map(|(key, grant)| {
            let given = grant.stamp.time.0;
            spans(&key.purpose).into_iter().map(move |span| Timestamp(given.saturating_add(span.0)))
        });
        ends.filter(|end| *end > at).min().unwrap_or(Timestamp::MAX)
    }

    /// Every scope × purpose × channel with the choice that counts there, for people to read.
    pub fn list(&self) -> Vec<Standing> {
        self.0
            .iter()
            .filter_map(|(key, newest)| {
                let grant = newest.grant.as_ref().map(|kept| (kept.dated, kept.stamp.time, ConsentState::Granted, kept));
                let denial = newest.denial.as_ref().map(|kept| (kept.dated, kept.stamp.time, ConsentState::Denied, kept));
                let (_, _, state, kept) = grant.max(denial)?;
                Some(standing_of(key, state, kept))
            })
            .collect()
    }
}

/// What a yes has to be for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Yes {
    /// The channel, or the whole purpose.
    ForAnyChannel,
    /// The channel itself.
    ForThisChannel,
}

/// One choice among those that speak of a question.
struct Candidate<'a> {
    key: &'a Key,
    state: ConsentState,
    kept: &'a Kept,
}

impl Candidate<'_> {
    /// A dated one before a weak one, then the later one, at equal times the denial.
    fn rank(&self) -> (bool, Timestamp, ConsentState, Stamp) {
        (self.kept.dated, self.kept.stamp.time, self.state, self.kept.stamp)
    }

    fn standing(self) -> Standing {
        standing_of(self.key, self.state, self.kept)
    }
}

impl Standing {
    /// Names this choice: `r_` and 32 hexadecimal digits.
    pub fn receipt(&self) -> String {
        receipt(&self.purpose, self.channel, &self.scope, self.state, &self.stamp)
    }

    /// What proves it, as JSON.
    pub fn proof_json(&self) -> Option<Value> {
        serde_json::from_str(&self.proof.as_ref()?.to_json()).ok()
    }

    /// The version of the text that was shown, if the proof names it: `{"text_version": "2026-08", …}`.
    pub fn text_version(&self) -> Option<String> {
        // Most proofs name none: not worth reading.
        if !self.proof.as_ref()?.parts().0.contains("text_version") {
            return None;
        }
        match &self.proof_json()?["text_version"] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The message that brought the TC or GPP string on which it rests.
    pub fn string_message(&self) -> Option<String> {
        let proof = self.proof_json()?;
        let of_string = matches!(proof["method"].as_str(), Some("tcf" | "gpp"));
        proof["message"].as_str().filter(|_| of_string).map(str::to_owned)
    }

    /// The signal that it is, if it is none of the person's choices.
    pub fn signal(&self) -> Option<Signal> {
        Signal::of_purpose(&self.purpose)
    }
}

/// As the API gives it: with its receipt, and the proof as text.
impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = serializer.serialize_struct("Standing", 9)?;
        written.serialize_field("purpose", &self.purpose)?;
        written.serialize_field("channel", &self.channel)?;
        written.serialize_field("scope", &self.scope)?;
        written.serialize_field("state", &self.state)?;
        written.serialize_field("since", &self.since)?;
        written.serialize_field("source", &self.source)?;
        written.serialize_field("weak", &self.weak)?;
        written.serialize_field("proof", &self.proof.as_ref().map(Proof::to_json))?;
        written.serialize_field("receipt", &self.receipt())?;
        written.end()
    }
}

fn standing_of(key: &Key, state: ConsentState, kept: &Kept) -> Standing {
    Standing {
        purpose: key.purpose.clone(),
        channel: key.channel,
        scope: key.scope.clone(),
        state,
        since: kept.stamp.time,
        source: kept.source.clone(),
        weak: !kept.dated,
        proof: kept.proof.clone(),
        stamp: kept.stamp,
    }
}

/// The receipts of a choice: its own, and those of the addresses that a person's grant covered.
pub fn receipts(choice: &Choice) -> Vec<String> {
    let covered = choice.covers.iter().map(|(namespace, value)| Scope::Address(namespace.clone(), value.clone()));
    std::iter::once(choice.scope.clone())
        .chain(covered.filter(|_| choice.scope == Scope::Person && choice.state == ConsentState::Granted))
        .map(|scope| receipt(&choice.purpose, choice.channel, &scope, choice.state, &choice.stamp))
        .collect()
}

/// Derived from the choice, so that a replay gives the same receipt. Receipts were given out over this text: it stays as it is.
fn receipt(purpose: &str, channel: Option<Channel>, scope: &Scope, state: ConsentState, stamp: &Stamp) -> String {
    let text = format!("Key {{ purpose: {purpose:?}, channel: {channel:?}, scope: {scope:?} }}|{state:?}|{stamp:?}");
    format!("r_{:032x}", jumelle_model::identifier::identifier_key("receipt", &text))
}

impl Kept {
    fn of(choice: &Choice) -> Kept {
        // Of a yes without a date nobody knows whether a no came after it. A no without one counts from its event's time.
        let dated = !choice.weak || choice.state == ConsentState::Denied;
        Kept { dated, stamp: choice.stamp, source: choice.source.as_str().into(), proof: choice.proof.clone() }
    }
}

impl Newest {
    fn slot(&mut self, state: ConsentState) -> &mut Option<Kept> {
        match state {
            ConsentState::Granted => &mut self.grant,
            ConsentState::Denied => &mut self.denial,
        }
    }

    fn get(&self, state: ConsentState) -> Option<&Kept> {
        match state {
            ConsentState::Granted => self.grant.as_ref(),
            ConsentState::Denied => self.denial.as_ref(),
        }
    }
}

trait TakeNewer {
    fn take_newer(&mut self, other: Kept);
}

impl TakeNewer for Option<Kept> {
    fn take_newer(&mut self, other: Kept) {
        if self.as_ref().is_none_or(|mine| *mine < other) {
            *self = Some(other);
        }
    }
}
