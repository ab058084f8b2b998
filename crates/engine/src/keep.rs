//! Keeping a destination in step with a segment, for one person (DESIGN §8.15). Pure: says what to do, does nothing.

use jumelle_consent::{Reason, Sent, check};
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Activation;
use jumelle_model::{Basis, Workspace};
use jumelle_profile::{Activated, Fields, Held, Person};

/// What is to be done about one person for one activation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Queue a message that carries this.
    Queue(MessageType, Sent),
    /// Record once that the gate is closed.
    Block(Sent, Reason),
}

/// Compares where she stands with what the destination was told, and moves `held` and `last` accordingly.
pub fn keep(
    workspace: &Workspace,
    activation: &Activation,
    person: &Person,
    fields: &Fields,
    standing: &mut Activated,
    at: Timestamp,
) -> Vec<Step> {
    let member = person.memberships.contains_key(&activation.segment);
    let basis: Option<Basis> = workspace.purpose(&activation.purpose).map(|purpose| purpose.basis);
    let gate = |address: Option<&(String, String)>| {
        check(&person.known.choices, &activation.purpose, basis, activation.channel, address, at)
    };
    let now = Sent { address: fields.address.clone(), data: fields.data.clone() };
    let mut steps = Vec::new();

    if standing.held == Held::In
        && let Some(last) = standing.last.clone()
    {
        if !member {
            steps.push(Step::Queue(MessageType::Exited, last));
            standing.held = Held::Out;
            standing.last = None;
        } else if gate(last.address.as_ref()).is_err() {
            steps.push(Step::Queue(MessageType::Withdrawn, last));
            // Another address may be open: looked at below, without recording a block for the one just closed.
            standing.held = Held::Blocked;
            standing.last = None;
        } else if last != now && gate(now.address.as_ref()).is_ok() {
            steps.push(Step::Queue(MessageType::Updated, now.clone()));
            standing.last = Some(now.clone());
        }
    }
    match (standing.held, member) {
        (Held::Blocked | Held::Skipped, false) => standing.held = Held::Out,
        (Held::Out | Held::Blocked, true) => match gate(now.address.as_ref()) {
            Ok(_) => {
                steps.push(Step::Queue(MessageType::Entered, now.clone()));
                standing.held = Held::In;
                standing.last = Some(now);
            }
            Err(reason) if standing.held == Held::Out => {
                steps.push(Step::Block(now, reason));
                standing.held = Held::Blocked;
            }
            Err(_) => {}
        },
        _ => {}
    }
    steps
}
