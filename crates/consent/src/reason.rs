//! Why the gate is closed: a code with its inputs for machines, one sentence in French and in English for people.

use std::fmt;

use jumelle_model::consent::{Channel, Signal};
use jumelle_model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why the gate is closed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Nobody chose anything, and silence is not yes.
    Unknown {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
    },
    /// A refusal or withdrawal stands.
    Denied {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
        /// When it was made.
        since: Timestamp,
        /// Its receipt, where something was to be sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
    },
    /// A complaint, an opposition list or an objection closes marketing, and no later grant opened it again.
    Objected {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
        /// Which of them.
        signal: Signal,
        /// Since when.
        since: Timestamp,
        /// Its receipt, where something was to be sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
    },
    /// The grant is older than it counts.
    Expired {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
        /// When it was given.
        since: Timestamp,
        /// When it stopped counting.
        expired_at: Timestamp,
    },
    /// The grant was given for a text that has been replaced by one that asks anew.
    OldText {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
        /// When it was given.
        since: Timestamp,
        /// The version that was shown, if known.
        version: Option<String>,
        /// The version in force.
        needed: String,
    },
    /// Without a choice only existing customers who were told may be contacted, and she is none.
    NotACustomer {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
    },
    /// Nothing reaches the address: it bounced.
    Bounced {
        /// Channel.
        channel: Channel,
        /// Since when.
        since: Timestamp,
    },
    /// Processing is restricted (GDPR, article 18).
    Restricted {
        /// Since when.
        since: Timestamp,
    },
    /// She asked for a pause.
    Paused {
        /// Purpose key.
        purpose: String,
        /// Until when.
        until: Timestamp,
    },
    /// She has done nothing for longer than the purpose keeps people.
    RetentionOver {
        /// Purpose key.
        purpose: String,
        /// How long it keeps them.
        retention: Span,
        /// Since when it keeps her no more.
        since: Timestamp,
    },
    /// She is too young for the purpose.
    Minor {
        /// Purpose key.
        purpose: String,
        /// Years.
        age_min: u32,
    },
    /// The destination is in a country that asks for a contract, and names none.
    Transfer {
        /// Destination key.
        destination: String,
        /// Its country, if it says.
        country: Option<String>,
    },
    /// The destination is paused: whom it has, it keeps until they leave.
    DestinationPaused {
        /// Destination key.
        destination: String,
    },
    /// The purpose does not use the channel (any more).
    ChannelNotDeclared {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
    },
    /// The purpose may not send a field of the message (any more).
    FieldNotAllowed {
        /// Purpose key.
        purpose: String,
        /// The message's field.
        field: String,
    },
    /// The purpose is not declared (any more).
    NoPurpose {
        /// Purpose key.
        purpose: String,
    },
    /// Outside of the hours in which she may be contacted.
    Hours {
        /// Channel.
        channel: Channel,
        /// When they begin again.
        opens_at: Timestamp,
    },
    /// She was contacted as often as she may be.
    Frequency {
        /// Channel.
        channel: Channel,
        /// How often.
        max: u32,
        /// In any such span.
        within: Span,
        /// When the next contact may be.
        opens_at: Timestamp,
    },
    /// A message that takes back what was never sent.
    NeverSent,
    /// The tool has no way to be told that somebody leaves it.
    CannotBeTold {
        /// Destination key.
        destination: String,
        /// Who removes her there; empty: nobody is named.
        contact: String,
        /// Why it has none, where its connector says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It was made of two people who were taken apart since: each is told for herself.
    TakenApart,
}

/// A language of the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tongue {
    /// French.
    Fr,
    /// English.
    En,
}

impl Reason {
    /// It passes, by itself or when the team lets it: nobody is taken back out of a tool for it, what waits goes out later.
    pub fn is_momentary(&self) -> bool {
        matches!(self, Reason::Hours { .. } | Reason::Frequency { .. } | Reason::DestinationPaused { .. })
    }

    /// For machines.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Unknown { .. } => "unknown",
            Reason::Denied { .. } => "denied",
            Reason::Objected { .. } => "objected",
            Reason::Expired { .. } => "expired",
            Reason::OldText { .. } => "old_text",
            Reason::NotACustomer { .. } => "not_a_customer",
            Reason::Bounced { .. } => "bounced",
            Reason::Restricted { .. } => "restricted",
            Reason::Paused { .. } => "paused",
            Reason::RetentionOver { .. } => "retention_over",
            Reason::Minor { .. } => "minor",
            Reason::Transfer { .. } => "transfer",
            Reason::DestinationPaused { .. } => "destination_paused",
            Reason::ChannelNotDeclared { .. } => "channel_not_declared",
            Reason::FieldNotAllowed { .. } => "field_not_allowed",
            Reason::NoPurpose { .. } => "no_purpose",
            Reason::Hours { .. } => "hours",
            Reason::Frequency { .. } => "frequency",
            Reason::NeverSent => "never_sent",
            Reason::CannotBeTold { .. } => "cannot_be_told",
            Reason::TakenApart => "taken_apart",
        }
    }

    /// The stored form: code and inputs as JSON.
    pub fn write(&self) -> String {
        // Every part can be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form; `None` for what is none (an answer of a tool, or what an older version wrote).
    pub fn read(text: &str) -> Option<Reason> {
        text.starts_with('{').then(|| serde_json::from_str(text).ok())?
    }

    /// Code, inputs and both sentences.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["fr"] = json!(self.sentence(Tongue::Fr));
        json["en"] = json!(self.sentence(Tongue::En));
        json
    }

    /// One sentence.
    pub fn sentence(&self, tongue: Tongue) -> String {
        match tongue {
            Tongue::En => self.in_english(),
            Tongue::Fr => self.in_french(),
        }
    }

    fn in_english(&self) -> String {
        match self {
            Reason::Unknown { purpose, channel } => format!("no consent for {purpose}/{}: unknown since ever", channel.as_str()),
            Reason::Denied { purpose, channel, since, .. } => {
                format!("no consent for {purpose}/{}: denied since {since}", channel.as_str())
            }
            Reason::Objected { purpose, channel, signal, since, .. } => {
                let what = match signal {
                    Signal::Complaint => "a message was reported as unwanted",
                    Signal::Opposition => "on an opposition list",
                    _ => "she objected to marketing",
                };
                format!("{purpose}/{} is closed: {what} since {since}", channel.as_str())
            }
            Reason::Expired { purpose, channel, since, expired_at } => {
                format!("the consent for {purpose}/{} of {since} expired on {expired_at}", channel.as_str())
            }
            Reason::OldText { purpose, channel, since, version, needed } => {
                let version = version.as_deref().unwrap_or("unknown");
                format!(
                    "the consent for {purpose}/{} of {since} is for text version {version}; version {needed} asks anew",
                    channel.as_str()
                )
            }
            Reason::NotACustomer { purpose, channel } => format!(
                "no consent for {purpose}/{}, and she is no customer who was told of it when the address was collected",
                channel.as_str()
            ),
            Reason::Bounced { channel, since } => format!("the address for {} takes no messages since {since}", channel.as_str()),
            Reason::Restricted { since } => format!("processing is restricted since {since}"),
            Reason::Paused { purpose, until } => format!("{purpose} is paused until {until}, as she asked"),
            Reason::RetentionOver { purpose, retention, since } => {
                format!("{purpose} keeps people for {retention} after their last act, and hers is over since {since}")
            }
            Reason::Minor { purpose, age_min } => format!("she is under {age_min}, the least age for {purpose}"),
            Reason::Transfer { destination, country } => match country {
                Some(country) => format!("{destination} is in {country} and names no contract for the transfer"),
                None => format!("{destination} does not say in which country it is"),
            },
            Reason::DestinationPaused { destination } => format!("{destination} is paused"),
            Reason::ChannelNotDeclared { purpose, channel } => {
                format!("the purpose {purpose} does not use the channel {}", channel.as_str())
            }
            Reason::FieldNotAllowed { purpose, field } => format!("the purpose {purpose} may not send the field {field}"),
            Reason::NoPurpose { purpose } => format!("the purpose {purpose} is not declared"),
            Reason::Hours { channel, opens_at } => {
                format!("outside the hours for {}; they begin again at {opens_at}", channel.as_str())
            }
            Reason::Frequency { channel, max, within, opens_at } => {
                format!("contacted {max} times in {within}, the most for {}; the next time from {opens_at}", channel.as_str())
            }
            Reason::NeverSent => "nothing to take back: the destination never received this person".into(),
            Reason::CannotBeTold { destination, contact, why } => {
                let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                let contact = if contact.is_empty() { String::new() } else { format!(": {contact}") };
                format!("{destination} cannot be told{why}; have her removed there{contact}")
            }
            Reason::TakenApart => "it was about two people who were taken apart since; each is told for herself".into(),
        }
    }

    fn in_french(&self) -> String {
        match self {
            Reason::Unknown { purpose, channel } => {
                format!("aucun consentement pour {purpose}/{} : aucun choix connu", channel.as_str())
            }
            Reason::Denied { purpose, channel, since, .. } => {
                format!("aucun consentement pour {purpose}/{} : refusé depuis le {since}", channel.as_str())
            }
            Reason::Objected { purpose, channel, signal, since, .. } => {
                let what = match signal {
                    Signal::Complaint => "un message a été signalé comme indésirable",
                    Signal::Opposition => "inscription sur une liste d'opposition",
                    _ => "opposition à la prospection",
                };
                format!("{purpose}/{} est fermé : {what} depuis le {since}", channel.as_str())
            }
            Reason::Expired { purpose, channel, since, expired_at } => {
                format!("le consentement pour {purpose}/{} du {since} a expiré le {expired_at}", channel.as_str())
            }
            Reason::OldText { purpose, channel, since, version, needed } => {
                let version = version.as_deref().unwrap_or("inconnue");
                format!(
                    "le consentement pour {purpose}/{} du {since} porte sur la version {version} du texte ; la version {needed} redemande",
                    channel.as_str()
                )
            }
            Reason::NotACustomer { purpose, channel } => format!(
                "aucun consentement pour {purpose}/{}, et la personne n'est pas un client informé lors de la collecte",
                channel.as_str()
            ),
            Reason::Bounced { channel, since } => {
                format!("l'adresse pour {} ne reçoit plus de messages depuis le {since}", channel.as_str())
            }
            Reason::Restricted { since } => format!("le traitement est limité depuis le {since}"),
            Reason::Paused { purpose, until } => format!("{purpose} est en pause jusqu'au {until}, à la demande de la personne"),
            Reason::RetentionOver { purpose, retention, since } => {
                format!("{purpose} conserve {retention} après le dernier acte de la personne, durée écoulée depuis le {since}")
            }
            Reason::Minor { purpose, age_min } => {
                format!("la personne a moins de {age_min} ans, l'âge minimal pour {purpose}")
            }
            Reason::Transfer { destination, country } => match country {
                Some(country) => format!("{destination} est en {country} et ne nomme aucun contrat pour le transfert"),
                None => format!("{destination} ne dit pas dans quel pays il se trouve"),
            },
            Reason::DestinationPaused { destination } => format!("{destination} est en pause"),
            Reason::ChannelNotDeclared { purpose, channel } => {
                format!("la finalité {purpose} n'utilise pas le canal {}", channel.as_str())
            }
            Reason::FieldNotAllowed { purpose, field } => format!("la finalité {purpose} ne peut pas envoyer le champ {field}"),
            Reason::NoPurpose { purpose } => format!("la finalité {purpose} n'est pas déclarée"),
            Reason::Hours { channel, opens_at } => {
                format!("hors des horaires pour {} ; reprise le {opens_at}", channel.as_str())
            }
            Reason::Frequency { channel, max, within, opens_at } => {
                format!("{max} contacts en {within}, le maximum pour {} ; le prochain à partir du {opens_at}", channel.as_str())
            }
            Reason::NeverSent => "rien à reprendre : la destination n'a jamais reçu cette personne".into(),
            Reason::CannotBeTold { destination, contact, why } => {
                let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                let contact = if contact.is_empty() { String::new() } else { format!(" : {contact}") };
                format!("{destination} ne peut pas être prévenu{why} ; à faire retirer là-bas{contact}")
            }
            Reason::TakenApart => {
                "le message portait sur deux personnes séparées depuis ; chacune fait l'objet de ses propres messages".into()
            }
        }
    }
}

/// In English.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_english())
    }
}
