//! `policy:` and the terms of purposes: what is read, what silence means, and that it reads back.

use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Difference;
use jumelle_model::workspace::policy::{Case, Meaning, TEMPLATES};

fn parse(text: &str) -> Workspace {
    Workspace::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

const SHOP: &str = r#"
workspace: {key: shop, locale: fr}
traits: {orders: {count: Order Completed, within: 1095d}}
purposes:
  marketing:
    basis: consent
    label: {fr: Nos offres, en: Our offers}
    texts: [{version: "1", en: "Yes, write to me"}, {version: "2", en: "Write to me", fr: "Écrivez-moi", ask_anew: true}, {version: "3", en: "Do"}]
    partners: [Mailer SAS]
    retention: 1095d
    age_min: 15
    channels: [email, sms, phone]
    expires_after: 395d
    ask_again_after: 183d
    fields: [sha256.identifiers.email, traits.first_name]
  offers: {basis: soft_opt_in, customer: {has: computed.orders, informed: traits.informed}}
  interest: {basis: legitimate_interest}
  trade: {basis: legitimate_interest, professional: true}
  service: {basis: contract}
  tax: {basis: legal_obligation}
policy:
  extends: [france, us]
  person: {country: traits.country, timezone: traits.tz, birth_date: traits.born}
  rules:
    - {for: {purposes: [marketing], channels: [postal], countries: [BE]}, unknown: allowed, source: "our lawyer, 2026-03"}
    - {for: {channels: [email]}, frequency: {max: 2, within: 7d}}
    - {hours: {days: [mon, sun], between: ["00:00-08:30", "09:00-24:00"], holidays: FR}}
"#;

#[test]
fn what_is_written_reads_back_with_the_edition_of_its_templates() {
    let shop = parse(SHOP);
    assert_eq!(shop.policy.extends, ["france@2026-11", "us@2026-08"]);
    assert_eq!(parse(&shop.to_text()), shop);
    assert!(shop.to_text().contains("france@2026-11"), "a replay must not read a later edition");
    assert!(!shop.to_text().contains("decree"), "templates are named, not copied");
}

#[test]
fn silence_means_what_the_policy_says() {
    let shop = parse(SHOP);
    let unknown = |purpose: &str, channel: &str, country: &str, business: bool, at: &str| {
        let (purpose, channel) = (shop.purpose(purpose).unwrap(), Channel::parse(channel).unwrap());
        shop.policy.unknown(Case { purpose, channel, country, business, at: Timestamp::parse(at).unwrap() })
    };
    use Meaning::{Allowed, Customer, Refused};
    let (before, after) = ("2026-08-10", "2026-08-12");
    for (purpose, channel, country, business, at, meaning) in [
        ("marketing", "email", "FR", false, after, Refused),
        ("marketing", "email", "FR", true, after, Refused),
        ("marketing", "postal", "FR", false, after, Refused),
        ("marketing", "postal", "BE", false, after, Allowed),
        ("marketing", "display", "US-CA", false, after, Refused),
        ("offers", "email", "FR", false, after, Customer),
        ("offers", "sms", "DE", false, after, Customer),
        ("offers", "push", "DE", false, after, Refused),
        ("offers", "phone", "FR", false, after, Refused),
        ("interest", "email", "FR", false, after, Customer),
        ("interest", "email", "FR", true, after, Customer),
        ("trade", "email", "FR", true, after, Allowed),
        ("trade", "email", "FR", false, after, Customer),
        ("trade", "sms", "FR", true, after, Customer),
        ("interest", "phone", "FR", false, before, Allowed),
        ("interest", "phone", "FR", false, after, Refused),
        ("interest", "phone", "FR", true, after, Allowed),
        ("interest", "postal", "FR", false, after, Allowed),
        ("interest", "display", "FR", false, after, Refused),
        ("interest", "display", "US-CA", false, after, Allowed),
        ("interest", "sms", "US-NY", false, after, Refused),
        ("interest", "email", "DE", false, after, Allowed),
        ("service", "phone", "FR", false, after, Allowed),
        ("tax", "postal", "FR", false, after, Allowed),
    ] {
        assert_eq!(unknown(purpose, channel, country, business, at), meaning, "{purpose} {channel} {country} {business} {at}");
    }
}

#[test]
fn a_grant_counts_for_the_texts_that_its_version_belongs_to() {
    let shop = parse(SHOP);
    let marketing = shop.purpose("marketing").unwrap();
    for (version, taken) in [(Some("1"), false), (Some("2"), true), (Some("3"), true), (Some("4"), false), (None, false)] {
        assert_eq!(marketing.takes_version(|| version.map(str::to_owned)), taken, "{version:?}");
    }
    assert_eq!(marketing.text().unwrap().version, "3");
    assert!(shop.purpose("service").unwrap().takes_version(|| None), "no version asks anew");
}

#[test]
fn no_template_turns_silence_into_a_yes_for_what_rests_on_consent() {
    let mut newest = TEMPLATES.to_vec();
    newest.dedup_by_key(|template| template.name);
    let names = newest.iter().map(|template| template.name).collect::<Vec<_>>().join(", ");
    let all = parse(&format!("policy: {{extends: [{names}]}}\npurposes: {{p: {{basis: consent}}, q: {{basis: contract}}}}"));
    for template in newest {
        assert!(template.text.contains("No legal advice"), "{}", template.name);
        let own: Vec<_> = all.policy.rules.iter().filter(|rule| rule.template.as_deref() == Some(template.name)).collect();
        assert!(!own.is_empty(), "{} reads", template.name);
        assert_eq!(own.len(), template.text.matches("\n  - ").count(), "every rule of {} reads", template.name);
        assert!(own.iter().all(|rule| rule.source.is_some()), "every rule of {} has its source", template.name);
        let alone = parse(&format!("policy: {{extends: [{}]}}", template.name));
        assert_eq!(alone.policy.rules.len(), own.len());
    }
    for country in ["FR", "DE", "GB", "CH", "US", "US-CA", "BR"] {
        for channel in Channel::ALL {
            for business in [false, true] {
                let case = |purpose| Case { purpose, channel, country, business, at: Timestamp::MAX };
                assert_eq!(all.policy.unknown(case(&all.purposes[0])), Meaning::Refused, "{country} {channel:?}");
                assert_eq!(all.policy.unknown(case(&all.purposes[1])), Meaning::Allowed, "{country} {channel:?}");
            }
        }
    }
}

#[test]
fn a_difference_names_the_policy_and_the_terms() {
    let before = parse(SHOP);
    let after =
        parse(&SHOP.replace("extends: [france, us]", "extends: [france]").replace("expires_after: 395d", "expires_after: 100d"));
    assert_eq!(Difference::between(&before, &after).to_string(), "~ policy shop: extends\n~ purpose marketing: expires_after");
}

#[test]
fn a_destination_is_somewhere_once_transfers_are_looked_at() {
    let text = "workspace: {key: a, locale: fr}\npolicy: {extends: [france]}\npurposes: {p: {basis: consent}}\nsegments: {s: {rule: {did: X}}}\n\
        destinations:\n  d: {connector: webhook, url: \"https://a.example\"}\n\
        activations: {a: {segment: s, destination: d, purpose: p, channel: email}}\n";
    assert_eq!(
        Workspace::parse(text).unwrap_err().to_string(),
        "6:6: destinations.d: the policy looks at transfers, so a destination says where it processes data: country: FR"
    );
    parse(&text.replace("connector: webhook", "connector: webhook, country: US, transfer: \"standard clauses\""));
}

const OWN_CHANNELS: &str = r#"
workspace: {key: shop}
identifiers: {phone: {limit: 3}, anonymous_id: {limit: 100}}
purposes:
  marketing: {basis: consent, channels: [sms, whatsapp]}
  offers: {basis: soft_opt_in, customer: {has: traits.since, informed: traits.told}}
policy:
  channels:
    whatsapp: {like: sms, label: {fr: WhatsApp, en: WhatsApp}}
    kiosk: {like: onsite}
  rules:
    - {for: {channels: [sms]}, hours: {days: [mon], between: ["09:00-12:00"]}}
    - {for: {channels: [whatsapp]}, frequency: {max: 1, within: 7d}}
segments: {likers: {rule: {consent: {purpose: marketing, channel: whatsapp}}}}
"#;

#[test]
fn a_declared_channel_is_like_another_and_still_itself() {
    let shop = parse(OWN_CHANNELS);
    let (whatsapp, kiosk) = (shop.channel("whatsapp").unwrap(), shop.channel("kiosk").unwrap());
    assert_eq!((whatsapp.address_namespace(), kiosk.address_namespace()), (Some("phone"), Some("anonymous_id")));
    assert_eq!((shop.channel("fax"), shop.channels().len()), (None, 14));
    let rules = |channel| {
        let purpose = shop.purpose("marketing").unwrap();
        let case = Case { purpose, channel, country: "FR", business: false, at: Timestamp(0) };
        shop.policy.rules_for(case).map(|rule| (rule.hours.is_some(), rule.frequency.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(rules(whatsapp), [(true, false), (false, true)], "what is said of sms holds for it");
    assert_eq!(rules(Channel::Sms), [(true, false)], "and not the other way round");
    assert_eq!(rules(kiosk), []);
    assert_eq!(parse(&shop.to_text()), shop);

    // In rows it is read without the workspace; in JSON it is a word.
    for channel in shop.channels() {
        let row = postcard::to_allocvec(&channel).unwrap();
        let read: Channel = postcard::from_bytes(&row).unwrap();
        assert_eq!((read, read.like()), (channel, channel.like()));
        let json = serde_json::to_string(&channel).unwrap();
        assert_eq!(json, format!("{:?}", channel.as_str()));
        assert_eq!(serde_json::from_str::<Channel>(&json).unwrap(), channel);
    }
    // The first twelve are the bytes that they always were.
    let rows: Vec<Vec<u8>> = Channel::ALL.iter().map(|channel| postcard::to_allocvec(channel).unwrap()).collect();
    assert_eq!(rows, (0..12).map(|n| vec![n]).collect::<Vec<_>>());
    for wrong in ["\"\"", "\"Fax\"", "\"a b\"", "7"] {
        assert!(serde_json::from_str::<Channel>(wrong).is_err(), "{wrong}");
    }
    // A choice that was made before the definition changed goes on counting.
    let other = parse(&OWN_CHANNELS.replace("like: sms", "like: email"));
    assert_eq!(other.channel("whatsapp"), Some(whatsapp));
}
