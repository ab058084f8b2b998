//! Keeping a destination in step with a segment, for one person (DESIGN §8.15). Pure: says what to do, does nothing.

use jumelle_consent::{Asked, Contact, Party, Reason, Sent, Verdict, decide};
use jumelle_model::Workspace;
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Activation;
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
    let member = person.memberships.contains_key(&activation.segment);
    let party = Party { choices: &person.known.choices, circumstances: &fields.circumstances, contacts };
    let gate = |address: Option<&(String, String)>| -> Verdict {
        let destination = Some(activation.destination.as_str());
        decide(workspace, Asked { purpose: &activation.purpose, channel: activation.channel, address, destination }, party, at)
    };
    let now = Sent { address: fields.address.clone(), data: fields.data.clone() };
    let mut steps = Vec::new();

    if standing.held == Held::In
        && let Some(last) = standing.last.clone()
    {
        // Hours and frequency delay what is new; they take nobody back.
        let withdrawn = gate(last.address.as_ref()).outcome.is_err_and(|reason| !reason.is_momentary());
        if !member {
            steps.push(Step::Queue(MessageType::Exited, last));
            standing.held = Held::Out;
            standing.last = None;
        } else if withdrawn {
            steps.push(Step::Queue(MessageType::Withdrawn, last));
            // Another address may be open: looked at below, without recording a block for the one just closed.
            standing.held = Held::Blocked;
            standing.last = None;
        } else if last != now && gate(now.address.as_ref()).outcome.is_ok() {
            steps.push(Step::Queue(MessageType::Updated, now.clone()));
            standing.last = Some(now.clone());
        }
    }
    match (standing.held, member) {
        (Held::Blocked | Held::Skipped, false) => standing.held = Held::Out,
        (Held::Out | Held::Blocked, true) => match gate(now.address.as_ref()).outcome {
            Ok(_) => {
                steps.push(Step::Queue(MessageType::Entered, now.clone()));
                standing.held = Held::In;
                standing.last = Some(now.clone());
            }
            Err(reason) if standing.held == Held::Out => {
                steps.push(Step::Block(now.clone(), reason));
                standing.held = Held::Blocked;
            }
            Err(_) => {}
        },
        _ => {}
    }
    if !matches!(standing.held, Held::Blocked | Held::In) {
        return (steps, Timestamp::MAX);
    }
    let told = standing.last.as_ref().filter(|last| **last != now);
    let told = told.map_or(Timestamp::MAX, |last| gate(last.address.as_ref()).next);
    (steps, gate(now.address.as_ref()).next.min(told).min(fields.circumstances_next))
}
