//! What the entry being folded does, noted for those who watch (`live.rs`). Nothing that a table holds depends on it.

use jumelle_identify::Resolution;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_store::{Entry, Record, Result};

use crate::days::told;
use crate::fold::Fold;
use crate::live::{Effect, Named};

impl Fold {
    pub(crate) fn begin_effect(&mut self, position: Position, record: &Record<'_>) -> Option<Box<Effect>> {
        let kind = match &record.entry {
            Entry::Event(_) => "event",
            Entry::Quarantined { .. } => "quarantined",
            Entry::Result { .. } => "result",
            Entry::Erased { .. } | Entry::Lapsed { .. } => "erased",
            Entry::Apply { .. } | Entry::AppliedBy { .. } => "apply",
            _ => return None,
        };
        if !self.is_live() || !self.recorder.allows(&self.shared.live) {
            return None;
        }
        let mut effect = Effect::new(kind, position, record.received);
        match &record.entry {
            Entry::Event(event) => {
                effect.time = event.time;
                effect.source = Some(event.source.to_owned());
                effect.call = Some(event.kind.as_str());
                effect.message_id = Some(event.message_id.to_owned());
                effect.keep_body(event.body);
            }
            Entry::Quarantined { id, source, field, rule, message, body } => {
                effect.source = Some((*source).to_owned());
                effect.problem =
                    Some(serde_json::json!({"id": format!("q_{id:016x}"), "field": field, "rule": rule, "message": message}));
                effect.keep_body(body);
            }
            Entry::Result { delivery, profile, destination, state, status, reason, .. } => {
                let (reason, gate) = told(reason.map(str::to_owned));
                effect.profile = Some(*profile);
                effect.result = Some(serde_json::json!({
                    "delivery": delivery, "destination": destination, "state": state, "status": status, "reason": reason, "gate": gate,
                }));
            }
            _ => {}
        }
        Some(Box::new(effect))
    }

    pub(crate) fn begin_timer_effect(&mut self, id: ProfileId) -> Option<Box<Effect>> {
        if !self.is_live() || !self.recorder.allows(&self.shared.live) {
            return None;
        }
        let mut effect = Effect::new("timer", self.cause.position, self.clock);
        effect.profile = Some(id);
        Some(Box::new(effect))
    }

    /// Completes the effect with what is known of the person now, and shows it.
    pub(crate) fn publish_effect(&mut self) -> Result<()> {
        let Some(mut effect) = self.effect.take() else { return Ok(()) };
        if let Some(profile) = effect.profile {
            let id = self.shared.people.surviving(profile)?;
            effect.profile = Some(id);
            if let Some(person) = self.shared.people.get(id)? {
                effect.label = jumelle_profile::label(&self.definitions.workspace, &person).map(str::to_owned);
                // The traits that this very entry set: no other has its instant of arrival.
                for (key, value) in &person.known.traits {
                    if effect.kind == "event" && value.stamp.received == effect.received {
                        effect.set_trait(key, &value.json);
                    }
                }
            }
        }
        self.shared.live.publish(*effect);
        Ok(())
    }
}

/// What the identification of an event came to.
pub(crate) fn note_identity(effect: &mut Effect, resolution: Resolution) {
    effect.created |= resolution.created;
    effect.joined.extend(resolution.absorbed);
    for identifier in resolution.seen {
        let new = resolution.attached.contains(&identifier);
        let named = Named { namespace: identifier.namespace, value: identifier.value, new };
        if !effect.identifiers.contains(&named) {
            effect.identifiers.push(named);
        }
    }
    effect.refused.extend(resolution.refusals.iter().map(ToString::to_string));
}
