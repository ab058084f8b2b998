//! Which rule reduces an event: against an oracle that goes through the list of choices and knows no `Choices`.

use jumelle_consent::Choices;
use jumelle_consent::reduction::{Arriving, deciding};
use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, Choice, ConsentState, Scope};
use jumelle_model::event::EventKind;
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::reduce::{Reduce, ReduceWhen, Reduction};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const DEFINITIONS: &str = "
purposes:
  analytics: {basis: consent}
  measuring: {basis: consent, channels: [onsite, email], expires_after: 10d}
";
const DAY: i64 = 86_400_000_000;
const NOW: i64 = 100 * DAY;
const DEVICES: [&str; 2] = ["d1", "d2"];
const ON_DEVICE: [Channel; 6] =
    [Channel::Push, Channel::Onsite, Channel::Display, Channel::Social, Channel::Retargeting, Channel::Personalization];

fn address(namespace: &str, value: &str) -> (String, String) {
    (namespace.to_owned(), value.to_owned())
}

fn choice() -> impl Strategy<Value = Choice> {
    let channels = option::of(select(vec![Channel::Onsite, Channel::Display, Channel::Email]));
    let scopes = select(vec![
        Scope::Person,
        Scope::Address("anonymous_id".into(), "d1".into()),
        Scope::Address("anonymous_id".into(), "d2".into()),
        Scope::Address("email".into(), "e".into()),
    ]);
    (select(vec!["analytics", "measuring"]), channels, any::<bool>(), scopes, 85..=100i64, any::<bool>()).prop_map(
        |(purpose, channel, yes, scope, day, weak)| Choice {
            purpose: purpose.into(),
            channel,
            state: if yes { ConsentState::Granted } else { ConsentState::Denied },
            scope,
            covers: Vec::new(),
            stamp: Stamp { time: Timestamp(day * DAY), received: Timestamp(day * DAY), message: Fingerprint(7) },
            weak,
            source: "site".into(),
            proof: None,
        },
    )
}

fn rule() -> impl Strategy<Value = Reduce> {
    let events = subsequence(vec!["Page Viewed".to_owned(), "Product Viewed".into()], 0..=2);
    let except = subsequence(vec!["Page Viewed".to_owned(), "identify".into()], 0..=2);
    (
        select(vec!["analytics", "measuring"]),
        option::of(select(vec![Channel::Onsite, Channel::Email])),
        select(vec![Reduction::Dropped, Reduction::Counted, Reduction::Anonymous]),
        any::<bool>(),
        events,
        except,
    )
        .prop_map(|(purpose, channel, to, refused, events, except)| Reduce {
            purpose: purpose.into(),
            channel,
            to,
            when: if refused { ReduceWhen::Refused } else { ReduceWhen::NotGranted },
            except: if events.is_empty() { except } else { Vec::new() },
            events,
        })
}

/// Yes, no, or nothing: for one channel, and one address or the person.
fn newest(choices: &[Choice], purpose: &str, channel: Channel, of: Option<&(String, String)>) -> Option<(ConsentState, i64)> {
    let speaks = |choice: &&Choice| {
        choice.purpose == purpose
            && choice.channel.is_none_or(|of| of == channel)
            && match (&choice.scope, of) {
                (Scope::Person, None) => true,
                (Scope::Person, Some(_)) => choice.state == ConsentState::Denied,
                (Scope::Address(namespace, value), Some(own)) => *own == (namespace.clone(), value.clone()),
                (Scope::Address(..), None) => false,
            }
    };
    let spoken: Vec<&Choice> = choices.iter().filter(speaks).collect();
    let is_weak = |choice: &Choice| choice.weak && choice.state == ConsentState::Granted;
    let dated = spoken.iter().any(|choice| !is_weak(choice));
    let counts = || spoken.iter().filter(|choice| is_weak(choice) != dated);
    let last = counts().map(|choice| choice.stamp.time.0).max()?;
    let mut of_last = counts().filter(|choice| choice.stamp.time.0 == last);
    let denied = of_last.any(|choice| choice.state == ConsentState::Denied);
    Some((if denied { ConsentState::Denied } else { ConsentState::Granted }, last))
}

fn oracle<'r>(
    rules: &'r [Reduce],
    choices: &[Choice],
    name: &str,
    named: &[(String, String)],
    refuses: &[(String, Option<Channel>)],
) -> Option<&'r Reduce> {
    for rule in rules {
        if !rule.events.is_empty() && !rule.events.iter().any(|event| event == name)
            || rule.except.iter().any(|event| event == name)
        {
            continue;
        }
        let of_purpose = || match rule.purpose.as_str() {
            "measuring" => vec![Channel::Onsite],
            _ => ON_DEVICE.to_vec(),
        };
        let channels = rule.channel.map_or_else(of_purpose, |channel| vec![channel]);
        let (mut denied, mut granted) = (false, false);
        for (purpose, channel) in refuses {
            denied |= *purpose == rule.purpose && (channel.is_none() || channels.iter().any(|asked| Some(*asked) == *channel));
        }
        for channel in channels {
            let namespace = if channel == Channel::Email { "email" } else { "anonymous_id" };
            let mut own: Vec<Option<&(String, String)>> = Vec::new();
            for one in named {
                if one.0 == namespace {
                    own.push(Some(one));
                }
            }
            if own.is_empty() {
                own.push(None);
            }
            for one in own {
                match newest(choices, &rule.purpose, channel, one) {
                    Some((ConsentState::Denied, _)) => denied = true,
                    Some((_, since)) => granted |= rule.purpose != "measuring" || since + 10 * DAY > NOW,
                    None => {}
                }
            }
        }
        let holds = if rule.when == ReduceWhen::Refused { denied } else { denied || !granted };
        if holds {
            return Some(rule);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn as_the_oracle_says(
        rules in vec(rule(), 0..4),
        chosen in vec(choice(), 0..8),
        devices in subsequence(DEVICES.to_vec(), 0..=2),
        has_email in any::<bool>(),
        refuses in vec((select(vec!["analytics".to_owned(), "measuring".into()]), option::of(select(vec![Channel::Onsite, Channel::Display]))), 0..2),
        name in select(vec!["Page Viewed", "Product Viewed", ""]),
    ) {
        let workspace = Workspace::parse(DEFINITIONS).unwrap();
        let mut addresses: Vec<(String, String)> = devices.iter().map(|device| address("anonymous_id", device)).collect();
        addresses.extend(has_email.then(|| address("email", "e")));
        let mut choices = Choices::default();
        chosen.iter().for_each(|choice| choices.fold(choice));
        let kind = if name.is_empty() { EventKind::Identify } else { EventKind::Track };
        let arriving = Arriving { kind, name, addresses: &addresses, refuses: &refuses, choices: &choices, at: Timestamp(NOW) };
        let expected = oracle(&rules, &chosen, if name.is_empty() { "identify" } else { name }, &addresses, &refuses);
        prop_assert_eq!(deciding(&workspace, &rules, arriving), expected);
    }
}
