//! Who must not be contacted: every address for which the gate is closed by a choice or a signal, for tools that pull.

use jumelle_consent::{Asked, Party, Reason, decide};
use jumelle_model::consent::Channel;
use jumelle_model::time::Timestamp;
use jumelle_store::Result;

use crate::shared::Shared;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Oppositions {
    /// One purpose; none: all.
    pub purpose: Option<String>,
    /// One channel; none: those by which a message reaches an address (e-mail, text message, telephone).
    pub channel: Option<Channel>,
}

/// An address that is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opposed {
    /// `email`, `phone` …
    pub namespace: String,
    /// Normalised.
    pub value: String,
    /// Purpose key.
    pub purpose: String,
    /// Channel.
    pub channel: Channel,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Code of the reason.
    pub code: &'static str,
}

/// What reaches an address: a channel like one of these.
const REACHING: [Channel; 4] = [Channel::Email, Channel::Sms, Channel::Phone, Channel::CallCenter];

impl Shared {
    /// Calls for each, in the order of the people's ids. Silence is none: who never chose is not on an opposition list, and may not be
    /// contacted all the same where consent is needed.
    pub fn oppositions(&self, asked: &Oppositions, mut each: impl FnMut(&Opposed)) -> Result<()> {
        let definitions = self.definitions();
        let (workspace, plan) = (&definitions.workspace, &definitions.plan);
        let now = self.now();
        let purposes = workspace.purposes.iter().filter(|purpose| asked.purpose.as_ref().is_none_or(|key| *key == purpose.key));
        let purposes: Vec<_> = purposes.collect();
        let mut channels = workspace.channels();
        channels.retain(|channel| REACHING.contains(&channel.like()) && asked.channel.is_none_or(|one| one == *channel));
        self.each_person(|person| {
            if person.known.choices.is_empty() {
                return;
            }
            let (circumstances, _) = person.circumstances(workspace, plan, now);
            let party = Party { choices: &person.known.choices, circumstances: &circumstances, contacts: &[] };
            for &channel in &channels {
                let Some(namespace) = channel.address_namespace() else { continue };
                for identifier in person.known.identifiers_of(namespace) {
                    let address = (namespace.to_owned(), identifier.value.clone());
                    for purpose in &purposes {
                        let question = Asked { purpose: &purpose.key, channel, address: Some(&address), destination: None };
                        let Err(reason) = decide(workspace, question, party, now).outcome else { continue };
                        let since = match &reason {
                            Reason::Denied { since, .. }
                            | Reason::Objected { since, .. }
                            | Reason::Bounced { since, .. }
                            | Reason::Restricted { since } => Some(*since),
                            Reason::Expired { expired_at, .. } => Some(*expired_at),
                            _ => continue,
                        };
                        each(&Opposed {
                            namespace: namespace.to_owned(),
                            value: identifier.value.clone(),
                            purpose: purpose.key.clone(),
                            channel,
                            since,
                            code: reason.code(),
                        });
                    }
                }
            }
        })
    }
}
