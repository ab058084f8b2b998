//! The merge laws: any order, any split and any number of merges give the same bytes; also past the bounds.

mod people;

use jumelle_model::event::Scalar;
use jumelle_model::number::Decimal;
use jumelle_model::time::Timestamp;
use jumelle_segment::{ENTRIES_MAX, Plan, QueryId, States};
use people::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_order_and_any_split_give_the_same_bytes(
        (sent, shuffled) in events(24).prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        parts in proptest::collection::vec(0..3usize, 24),
        rules in proptest::collection::vec(rule(), 1..5),
        computed in proptest::collection::vec(query(), 4),
    ) {
        let plan = Plan::compile(&workspace(rules, computed));
        let whole = bytes(&observed(&plan, &sent));
        prop_assert_eq!(&whole, &bytes(&observed(&plan, &shuffled)), "another order");

        let part = |n: usize| -> States {
            let mine: Vec<Sent> = shuffled.iter().zip(&parts).filter(|(_, part)| **part == n).map(|(sent, _)| sent.clone()).collect();
            observed(&plan, &mine)
        };
        let merged = |order: [usize; 3]| {
            let mut first = part(order[0]);
            first.merge(part(order[1]));
            first.merge(part(order[2]));
            bytes(&first)
        };
        let nested = {
            let mut inner = part(1);
            inner.merge(part(2));
            let mut outer = part(0);
            outer.merge(inner);
            bytes(&outer)
        };
        prop_assert_eq!(&whole, &merged([0, 1, 2]), "merged");
        prop_assert_eq!(&whole, &merged([2, 0, 1]), "merged the other way round");
        prop_assert_eq!(&whole, &nested, "merged as a tree");

        let read: States = postcard::from_bytes(&whole).expect("states read back");
        prop_assert_eq!(&whole, &bytes(&read));
    }

    #[test]
    fn a_backfill_gives_what_having_been_there_gives(
        sent in events(20),
        old in rule(),
        new in rule(),
        computed in proptest::collection::vec(query(), 4),
    ) {
        let before = Plan::compile(&workspace(vec![old.clone()], computed.clone()));
        let after = Plan::compile(&workspace(vec![new, old], computed));
        let known = before.query_ids();
        let added: Vec<QueryId> = after.query_ids().into_iter().filter(|id| !known.contains(id)).collect();
        let mut states = observed(&before, &sent);
        sent.iter().for_each(|sent| after.observe_only(&mut states, &sent.event(), &added));
        states.retain(&after);
        prop_assert_eq!(bytes(&states), bytes(&observed(&after, &sent)));
    }
}

/// One more than the bound and then some, a second apart, each with its own value and order.
fn many() -> Vec<Sent> {
    let one = |n: usize| {
        let mut sent = Sent::at(0, "Order Completed", &format!("{{\"total\":1,\"sku\":\"s{n:05}\",\"order_id\":{n}}}"));
        sent.time = Timestamp(BASE + n as i64 * 1_000_000);
        sent.received = sent.time;
        sent.id = format!("m{n}");
        sent
    };
    (0..ENTRIES_MAX + 40).map(one).collect()
}

fn named(sent: &[Sent], name: &str) -> Vec<Sent> {
    sent.iter().map(|sent| Sent { name: name.into(), ..sent.clone() }).collect()
}

#[test]
fn past_the_bound_the_order_still_does_not_matter_and_the_reading_says_so() {
    let text = "
workspace: {key: test, currency: EUR}
traits:
  sum: {sum: Bought.total, within: 30d}
  count: {count: Bought, within: 30d}
  min: {min: Bought.total, within: 4h}
  short: {sum: Bought.total, within: 10m}
  frequent: {most_frequent: Bought.sku}
  recent: {most_frequent: Bought.sku, within: 30d}
  distinct: {distinct: Bought.sku}
  orders: {sum: Order Completed.total}
";
    let plan = Plan::compile(&jumelle_model::Workspace::parse(text).unwrap_or_else(|problems| panic!("{problems}")));
    let orders = many();
    let mut sent = named(&orders, "Bought");
    sent.extend(orders);
    let mut backwards = sent.clone();
    backwards.reverse();
    let states = observed(&plan, &sent);
    assert!(bytes(&states) == bytes(&observed(&plan, &backwards)), "backwards");
    let (left, right): (Vec<_>, Vec<_>) = sent.iter().cloned().partition(|sent| sent.id.ends_with(['1', '3', '7']));
    let mut merged = observed(&plan, &right);
    merged.merge(observed(&plan, &left));
    assert!(bytes(&states) == bytes(&merged), "split and merged");

    let all = ENTRIES_MAX as i64 + 40;
    let at = Timestamp(BASE + all * 1_000_000);
    let number = |number: i64| Some(Scalar::Number(Decimal::from_integer(number).unwrap()));
    for (key, value, coarse) in [
        // Whole hours inside the window are exact.
        ("sum", number(all), false),
        ("count", number(all), false),
        ("min", number(1), false),
        // Entries that the window cannot reach again are gone, so the bound is not met.
        ("short", number(599), false),
        ("frequent", Some(Scalar::Text("s00000".into())), true),
        ("recent", Some(Scalar::Text("s00040".into())), true),
        ("distinct", number(ENTRIES_MAX as i64), true),
        ("orders", number(ENTRIES_MAX as i64), true),
    ] {
        let computed = plan.computed(key, &states, at);
        assert_eq!((computed.value, computed.coarse), (value, coarse), "{key}");
    }
    // When the edge of the 30 days lies within the first hour, its bucket is counted whole, and the reading says so.
    let edge = Timestamp(BASE + 30 * 86_400_000_000 + 1_000_000);
    let computed = plan.computed("count", &states, edge);
    assert_eq!((computed.value, computed.coarse), (number(all), true));
}

#[test]
fn a_window_keeps_no_more_than_it_can_reach() {
    let text =
        "{workspace: {key: test}, traits: {hour: {sum: Bought.total, within: 1h}, seen: {distinct: Bought.sku, within: 1h}}}";
    let plan = Plan::compile(&jumelle_model::Workspace::parse(text).unwrap_or_else(|problems| panic!("{problems}")));
    let sent: Vec<Sent> = (0..5_000).map(|n| Sent::at(n, "Bought", &format!("{{\"total\":1,\"sku\":{n}}}"))).collect();
    let kept = bytes(&observed(&plan, &sent));
    assert!(kept.len() < 6_000, "{} bytes for a window of 60 events of 5,000", kept.len());
}
