//! What conformity means in France, with the template that ships and nothing else: cases as a regulator would put them.

use jiff::civil::Date;
use jumelle_consent::{Asked, Choices, Circumstances, Contact, Evidence, Party, decide};
use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, Choice, ConsentState, Scope, Signal};
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::time::Timestamp;

const SHOP: &str = r#"
workspace: {key: shop, locale: fr, timezone: Europe/Paris, country: FR}
purposes:
  prospection: {basis: legitimate_interest, customer: {has: traits.orders, informed: traits.informed}}
  trade: {basis: legitimate_interest, professional: true}
  offers: {basis: soft_opt_in, customer: {has: traits.orders, informed: traits.informed}}
  ads: {basis: consent}
  service: {basis: contract}
policy: {extends: [france]}
segments: {s: {rule: {did: X}}}
destinations:
  here: {connector: webhook, url: "https://a.example", country: FR}
  there: {connector: webhook, url: "https://b.example", country: US}
activations: {a: {segment: s, destination: here, purpose: service, channel: email}}
"#;

struct Shop {
    workspace: Workspace,
    choices: Choices,
    circumstances: Circumstances,
    contacts: Vec<Contact>,
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no instant"))
}

impl Shop {
    fn new() -> Shop {
        let workspace = Workspace::parse(SHOP).unwrap_or_else(|problems| panic!("{problems}"));
        Shop { workspace, choices: Choices::default(), circumstances: Circumstances::default(), contacts: Vec::new() }
    }

    fn customer_of(purposes: &[&str]) -> Shop {
        let mut shop = Shop::new();
        shop.circumstances.customer_for = purposes.iter().map(|purpose| (*purpose).to_owned()).collect();
        shop
    }

    fn said(mut self, purpose: &str, channel: Option<Channel>, state: ConsentState, when: &str) -> Shop {
        self.choices.fold(&Choice {
            purpose: purpose.to_owned(),
            channel,
            state,
            scope: Scope::Person,
            covers: vec![address(Channel::Email), address(Channel::Phone), address(Channel::Display)],
            stamp: Stamp { time: at(when), received: at(when), message: Fingerprint(at(when).0 as u64) },
            weak: false,
            source: "site".into(),
            proof: None,
        });
        self
    }

    fn ask(&self, purpose: &str, channel: Channel, destination: &str, when: &str) -> &'static str {
        let address = channel.address_namespace().map(|_| address(channel));
        let asked = Asked { purpose, channel, address: address.as_ref(), destination: Some(destination) };
        let party = Party { choices: &self.choices, circumstances: &self.circumstances, contacts: &self.contacts };
        match decide(&self.workspace, asked, party, at(when)).outcome {
            Ok(Evidence::Granted(_)) => "granted",
            Ok(_) => "basis",
            Err(reason) => reason.code(),
        }
    }
}

fn address(channel: Channel) -> (String, String) {
    let namespace = channel.address_namespace().expect("a channel with an address");
    (namespace.to_owned(), format!("one {namespace}"))
}

/// Wednesday, 25 November 2026, 11:00 in Paris.
const NOW: &str = "2026-11-25T10:00:00Z";
use Channel::{CallCenter, Display, Email, Phone, Postal, Sms};
use ConsentState::{Denied, Granted};

#[test]
fn statement_5_without_a_signal_nothing_leaves_for_what_rests_on_consent() {
    for channel in Channel::ALL {
        assert_eq!(Shop::new().ask("ads", channel, "here", NOW), "unknown", "{channel:?}");
    }
}

#[test]
fn statement_11_a_choice_closes_by_itself_when_it_is_older_than_its_validity() {
    let shop = Shop::new().said("ads", Some(Display), Granted, "2026-01-01T00:00:00Z");
    // 395 days later.
    assert_eq!(shop.ask("ads", Display, "here", "2027-01-30T23:59:59Z"), "granted");
    assert_eq!(shop.ask("ads", Display, "here", "2027-01-31T00:00:00Z"), "expired");
}

#[test]
fn statement_17_an_objection_beats_soft_opt_in_and_interest_and_leaves_service() {
    let shop = Shop::customer_of(&["offers", "prospection"]).said(Signal::Objection.purpose(), None, Denied, "2026-11-01");
    for (purpose, channel, answer) in [
        ("offers", Email, "objected"),
        ("prospection", Email, "objected"),
        ("prospection", Postal, "objected"),
        ("ads", Display, "objected"),
        ("service", Email, "basis"),
        ("service", CallCenter, "basis"),
    ] {
        assert_eq!(shop.ask(purpose, channel, "here", NOW), answer, "{purpose} {channel:?}");
    }
}

#[test]
fn statement_18_a_soft_opt_in_is_for_customers_who_were_told_by_e_mail_and_not_by_telephone() {
    let customer = Shop::customer_of(&["offers"]);
    assert_eq!(customer.ask("offers", Email, "here", NOW), "basis");
    assert_eq!(customer.ask("offers", Phone, "here", NOW), "unknown");
    assert_eq!(Shop::new().ask("offers", Email, "here", NOW), "not_a_customer");
    assert_eq!(Shop::customer_of(&["prospection"]).ask("offers", Email, "here", NOW), "not_a_customer", "of something else");
    let objected = Shop::customer_of(&["offers"]).said("offers", Some(Email), Denied, "2026-11-01");
    assert_eq!(objected.ask("offers", Email, "here", NOW), "denied");
}

#[test]
fn statement_19_calls_need_consent_from_august_2026_and_keep_hours_holidays_and_frequency() {
    // Monday, 10 August and Tuesday, 11 August 2026, 11:00.
    assert_eq!(Shop::new().ask("prospection", Phone, "here", "2026-08-10T09:00:00Z"), "basis");
    assert_eq!(Shop::new().ask("prospection", Phone, "here", "2026-08-11T09:00:00Z"), "unknown");
    assert_eq!(Shop::new().ask("service", Phone, "here", NOW), "basis", "a running contract");

    let mut shop = Shop::new().said("prospection", Some(Phone), Granted, "2026-11-01");
    for (when, answer) in [
        (NOW, "granted"),
        ("2026-11-25T08:59:00Z", "hours"),
        ("2026-11-25T12:30:00Z", "hours"),
        ("2026-11-25T19:00:00Z", "hours"),
        ("2026-11-28T10:00:00Z", "hours"),
        ("2026-12-25T10:00:00Z", "hours"),
    ] {
        assert_eq!(shop.ask("prospection", Phone, "here", when), answer, "{when}");
    }
    shop.circumstances.timezone = Some("Indian/Reunion".into());
    assert_eq!(shop.ask("prospection", Phone, "here", NOW), "granted", "14:00 in her time zone");
    assert_eq!(shop.ask("prospection", Phone, "here", "2026-11-25T09:30:00Z"), "hours", "13:30 in her time zone");

    let called = |day: &str| Contact { at: at(day), channel: CallCenter, purpose: "ads".into() };
    shop.contacts = ["2026-10-20", "2026-11-02", "2026-11-10", "2026-11-20"].map(called).to_vec();
    assert_eq!(shop.ask("prospection", Phone, "here", NOW), "granted", "one of the four is more than 30 days ago");
    shop.contacts.push(called("2026-11-24"));
    assert_eq!(shop.ask("prospection", Phone, "here", NOW), "frequency");
}

#[test]
fn statement_20_a_professional_is_told_apart_by_e_mail_and_not_on_the_device() {
    let mut shop = Shop::new();
    assert_eq!(shop.ask("trade", Email, "here", NOW), "not_a_customer");
    shop.circumstances.business = true;
    assert_eq!(shop.ask("trade", Email, "here", NOW), "basis");
    assert_eq!(shop.ask("trade", Sms, "here", NOW), "not_a_customer");
    assert_eq!(shop.ask("trade", Display, "here", NOW), "unknown");
    assert_eq!(shop.ask("prospection", Email, "here", NOW), "not_a_customer", "not about the job");
    assert_eq!(shop.ask("ads", Email, "here", NOW), "unknown");
}

#[test]
fn a_minor_a_transfer_and_a_night_are_each_refused_by_name() {
    let mut shop = Shop::new().said("ads", None, Granted, "2026-11-01");
    assert_eq!(shop.ask("ads", Email, "there", NOW), "transfer");
    assert_eq!(shop.ask("ads", Sms, "here", "2026-11-25T22:00:00Z"), "hours");
    shop.circumstances.born = Some(Date::constant(2012, 1, 1));
    assert_eq!(shop.ask("ads", Email, "here", NOW), "minor");
    shop.circumstances.born = Some(Date::constant(2011, 11, 25));
    assert_eq!(shop.ask("ads", Email, "here", NOW), "granted", "fifteen today");
    assert_eq!(shop.ask("ads", Email, "here", "2026-11-24T22:59:59Z"), "minor", "not yet, in Paris");
}
