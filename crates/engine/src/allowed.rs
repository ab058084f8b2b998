//! The gate, asked from outside: may this tool write to this address, for this purpose, now?

use std::sync::Arc;

use jumelle_consent::{Asked, Choices, Circumstances, Evidence, Party, Reason, Tongue, decide};
use jumelle_identify::identifier_of;
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_profile::Person;
use jumelle_store::Result;

use crate::shared::Shared;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Purpose key.
    pub purpose: &'a str,
    /// Channel.
    pub channel: Channel,
    /// Destination key.
    pub destination: &'a str,
    /// Namespace of the identifier.
    pub namespace: &'a str,
    /// Its value, as the tool has it.
    pub value: &'a str,
}

/// What the gate answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Open, or why not.
    pub outcome: std::result::Result<Evidence, Reason>,
    /// When it was asked.
    pub at: Timestamp,
    /// When the passing of time alone may next change it.
    pub changes_at: Option<Timestamp>,
    /// Who it is; none: nobody is known by this name.
    pub profile: Option<ProfileId>,
    /// The name as it is kept.
    pub identifier: (String, String),
}

impl Shared {
    /// Asks the gate about the name that a message would carry. A name of the channel (an e-mail address for e-mail) is asked for its
    /// own consent; another one (a customer number) needs the person's, as a message without an address does. Who is not known has
    /// chosen nothing, unless she was erased: she stays out of marketing. Frequency is counted with what was queued for her.
    pub fn allowed(&self, question: Question<'_>) -> std::result::Result<Result<Answer>, String> {
        let definitions = self.definitions();
        let workspace = &definitions.workspace;
        let identifier = identifier_of(workspace, question.namespace, question.value)?;
        let person = self.find(question.namespace, question.value)?;
        Ok(person.and_then(|person| self.answer(workspace, &definitions.plan, question, identifier, person)))
    }

    fn answer(
        &self,
        workspace: &Workspace,
        plan: &jumelle_segment::Plan,
        question: Question<'_>,
        named: Identifier,
        person: Option<Arc<Person>>,
    ) -> Result<Answer> {
        let at = self.now();
        let identifier = (named.namespace.clone(), named.value.clone());
        let address = Some(&identifier).filter(|(namespace, _)| question.channel.address_namespace() == Some(namespace));
        let asked =
            Asked { purpose: question.purpose, channel: question.channel, address, destination: Some(question.destination) };
        let verdict = match &person {
            Some(person) => {
                let (circumstances, _) = person.circumstances(workspace, plan, at);
                let contacts = self.contacts(workspace, person.id, None)?;
                let party = Party { choices: &person.known.choices, circumstances: &circumstances, contacts: &contacts };
                decide(workspace, asked, party, at)
            }
            None => {
                let mut choices = Choices::default();
                // Somebody who was erased is known to nobody, but for the list of those who stay out of marketing.
                if let Some(objection) = self.suppression(&named)? {
                    choices.fold(&objection);
                }
                let party = Party { choices: &choices, circumstances: &Circumstances::default(), contacts: &[] };
                decide(workspace, asked, party, at)
            }
        };
        Ok(Answer {
            outcome: verdict.outcome,
            at,
            changes_at: (verdict.next != Timestamp::MAX).then_some(verdict.next),
            profile: person.map(|person| person.id),
            identifier,
        })
    }
}

impl Answer {
    /// `granted`, the legal basis, or the code of the reason.
    pub fn code(&self) -> &'static str {
        match &self.outcome {
            Ok(evidence) => evidence.code(),
            Err(reason) => reason.code(),
        }
    }

    /// The choice that opened it.
    pub fn receipt(&self) -> Option<String> {
        match &self.outcome {
            Ok(Evidence::Granted(standing)) => Some(standing.receipt()),
            _ => None,
        }
    }

    /// One sentence.
    pub fn sentence(&self, tongue: Tongue) -> String {
        match &self.outcome {
            Ok(evidence) => evidence.sentence(tongue),
            Err(reason) => reason.sentence(tongue),
        }
    }
}
