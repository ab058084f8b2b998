//! What is known of a person that a policy looks at.

use jiff::civil::Date;
use jumelle_consent::Circumstances;
use jumelle_model::Workspace;
use jumelle_model::event::Scalar;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::FieldPath;
use jumelle_model::workspace::preferences::{FREQUENCY_TRAIT, PAUSE_TRAIT};
use jumelle_segment::Plan;

use crate::person::Person;

impl Person {
    /// Her circumstances at an instant, read where the policy says, and when time alone may next change them.
    pub fn circumstances(&self, workspace: &Workspace, plan: &Plan, at: Timestamp) -> (Circumstances, Timestamp) {
        let mut next = Timestamp::MAX;
        let mut value = |path: &FieldPath| match path {
            FieldPath::Trait(path) => self.known.trait_scalar(path),
            FieldPath::Computed(key) => {
                let computed = plan.computed(key, &self.known.states, at);
                next = next.min(computed.next);
                computed.value
            }
            FieldPath::Identifier(_) | FieldPath::HashedIdentifier(_) => None,
        };
        let paths = &workspace.policy.person;
        let mut text = |path: &Option<FieldPath>| match value(path.as_ref()?)? {
            Scalar::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        // A country written out or misspelt is not taken for one: the workspace's is stricter than none.
        let country = text(&paths.country).map(|code| code.to_ascii_uppercase()).filter(|code| is_country(code));
        let region = text(&paths.region).map(|code| code.to_ascii_uppercase());
        let timezone = text(&paths.timezone);
        let born = text(&paths.birth_date).and_then(|date| date.get(..10)?.parse::<Date>().ok());
        let business = paths.business.as_ref().is_some_and(|path| holds(value(path)));
        let customers = workspace.purposes.iter().filter_map(|purpose| Some((purpose, purpose.terms.customer.as_ref()?)));
        let customer_for = customers
            .filter(|(_, customer)| holds(value(&customer.has)) && holds(value(&customer.informed)))
            .map(|(purpose, _)| purpose.key.clone())
            .collect();
        let country = match (country, region) {
            (Some(country), Some(region)) if region.starts_with(&format!("{country}-")) => Some(region),
            (Some(country), Some(region)) => Some(format!("{country}-{region}")),
            (country, _) => country,
        };
        let paused_until = self.known.trait_scalar(PAUSE_TRAIT).and_then(|until| instant(workspace, &until));
        if let Some(until) = paused_until.filter(|until| *until > at) {
            next = next.min(until);
        }
        let frequency = match self.known.trait_scalar(FREQUENCY_TRAIT) {
            Some(Scalar::Text(text)) => workspace.preferences.frequency(&text),
            _ => None,
        };
        let last_act = plan.acts(self.known.collected(), &self.known.states).and_then(|acts| acts.newest());
        (Circumstances { country, timezone, born, business, customer_for, last_act, paused_until, frequency }, next)
    }
}

/// An instant, or the beginning of a day in the workspace's time zone.
fn instant(workspace: &Workspace, value: &Scalar) -> Option<Timestamp> {
    let Scalar::Text(text) = value else { return None };
    if text.len() > 10 {
        return Timestamp::parse(text);
    }
    let zone = jiff::tz::TimeZone::get(&workspace.settings.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let day = text.parse::<Date>().ok()?.at(0, 0, 0, 0);
    Some(Timestamp(zone.to_timestamp(day).ok()?.as_microsecond()))
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// There, and not 0, false or empty.
fn holds(value: Option<Scalar>) -> bool {
    match value {
        None | Some(Scalar::Bool(false)) => false,
        Some(Scalar::Number(number)) => number.0 != 0,
        Some(Scalar::Text(text)) => !text.is_empty() && text != "false" && text != "0",
        Some(_) => true,
    }
}
