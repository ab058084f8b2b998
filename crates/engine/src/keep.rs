//! Keeping a destination in step with a segment, for one person (DESIGN §8.15). Pure: says what to do, does nothing.

use jumelle_consent::{Asked, Contact, Party, Reason, Sent, Verdict, decide};
use jumelle_model::Workspace;
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, FieldPath};
use jumelle_profile::{Activated, Fields, Held, Person};

/// What is to be done about one person for one activation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Queue a message that carries this.
    Queue(MessageType, Sent),
    /// Record once that the gate is closed.
    Block(Sent, Reason),
}

/// Compares where she stands with what the destination was told, and moves `held` and `last` accordingly. The instant is when the
/// passing of time alone may next change what the gate says.
pub fn keep(
    workspace: &Workspace,
    activation: &Activation,
    person: &Person,
    fields: &Fields,
    contacts: &[Contact],
    standing: &mut Activated,
    at: Timestamp,
) -> (Vec<Step>, Timestamp) {
    let retiring = workspace.destination(&activation.destination).is_some_and(|destination| destination.take_back.retire);
    let member = !retiring && person.memberships.contains_key(&activation.segment);
    let party = Party { choices: &person.known.choices, circumstances: &fields.circumstances, contacts };
    let gate = |address: Option<&(String, String)>| -> Verdict {
        let destination = Some(activation.destination.as_str());
        decide(workspace, Asked { purpose: &activation.purpose, channel: activation.channel, address, destination }, party, at)
    };
    let now = Sent { address: fields.address.clone(), data: fields.data.clone() };
    let mut steps = Vec::new();
    if !member {
        if standing.held == Held::In
            && let Some(last) = standing.last.take()
        {
            steps.push(Step::Queue(MessageType::Exited, last));
        }
        standing.held = Held::Out;
        return (steps, Timestamp::MAX);
    }
    let verdict = gate(now.address.as_ref());
    let mut next = verdict.next;

    if standing.held == Held::In
        && let Some(last) = standing.last.clone()
    {
        let of_last = if last.address == now.address { verdict.clone() } else { gate(last.address.as_ref()) };
        next = next.min(of_last.next);
        // Hours and frequency delay what is new; they take nobody back.
        if of_last.outcome.is_err_and(|reason| !reason.is_momentary()) {
            steps.push(Step::Queue(MessageType::Withdrawn, last));
            // Another address may be open: looked at below, without recording a block for the one just closed.
            standing.held = Held::Blocked;
            standing.last = None;
        } else if names_otherwise(activation, &last, &now) {
            // Under its old name she would stay in the tool: taken out first, brought in again under the new one.
            steps.push(Step::Queue(MessageType::Exited, last));
            standing.held = Held::Blocked;
            standing.last = None;
        } else if last != now && verdict.outcome.is_ok() {
            steps.push(Step::Queue(MessageType::Updated, now.clone()));
            standing.last = Some(now.clone());
        }
    }
    match (standing.held, verdict.outcome) {
        (Held::Out | Held::Blocked, Ok(_)) => {
            steps.push(Step::Queue(MessageType::Entered, now.clone()));
            standing.held = Held::In;
            standing.last = Some(now);
        }
        (Held::Out, Err(reason)) => {
            steps.push(Step::Block(now, reason));
            standing.held = Held::Blocked;
        }
        _ => {}
    }
    let watched = matches!(standing.held, Held::Blocked | Held::In);
    (steps, if watched { next.min(fields.circumstances_next) } else { Timestamp::MAX })
}

/// Whether an identifier that the tool knows her by has been replaced or is gone. A further one is an update.
pub(crate) fn names_otherwise(activation: &Activation, before: &Sent, now: &Sent) -> bool {
    let names = |field: &str| {
        activation
            .map
            .iter()
            .any(|(name, path)| name == field && matches!(path, FieldPath::Identifier(_) | FieldPath::HashedIdentifier(_)))
    };
    before.data.iter().any(|sent| names(&sent.0) && !now.data.contains(sent))
}
