//! The incremental evaluator against the set-based one: same members at the same instants, up to the microsecond.

mod people;

use jumelle_model::time::Timestamp;
use jumelle_segment::{Plan, Question};
use people::*;
use proptest::prelude::*;

/// The newest event, and every instant after it at which a window's content changes, with a microsecond on both sides.
fn instants(sent: &[Sent], windows: &[jumelle_model::Span]) -> Vec<Timestamp> {
    let newest = sent.iter().map(|sent| sent.time).max().unwrap_or(Timestamp(BASE));
    let mut instants = vec![newest];
    for sent in sent {
        for within in windows {
            let edge = sent.time + *within;
            instants.extend([-1, 0, 1].map(|beside| Timestamp(edge.0 + beside)));
        }
    }
    instants.retain(|at| *at >= newest);
    instants.sort_unstable();
    instants.dedup();
    instants
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn both_evaluators_agree_at_every_edge(
        sent in events(20),
        rules in proptest::collection::vec(rule(), 1..5),
        computed in proptest::collection::vec(query(), 4),
    ) {
        let workspace = workspace(rules, computed);
        let plan = Plan::compile(&workspace);
        let events: Vec<_> = sent.iter().map(Sent::event).collect();
        let person = Person { states: observed(&plan, &sent) };
        let instants = instants(&sent, &windows(&workspace));
        for (n, segment) in workspace.segments.iter().enumerate() {
            let question = Question::new(&segment.rule, &workspace);
            let truth: Vec<bool> = instants.iter().map(|at| question.holds(&events, &person, *at)).collect();
            for (i, at) in instants.iter().enumerate() {
                let verdict = plan.evaluate(n, &person, *at);
                prop_assert_eq!(verdict.member, truth[i], "{:?} at {}", segment.rule, at);
                prop_assert!(verdict.next > *at);
                // Nothing changes before `next`.
                for later in i..instants.len() {
                    if instants[later] < verdict.next {
                        prop_assert_eq!(truth[later], truth[i], "{:?}: {} is before {}", segment.rule, instants[later], verdict.next);
                    }
                }
            }
        }
    }

    #[test]
    fn the_next_change_of_a_windowed_count_is_exact(sent in events(20), rule in windowed_count()) {
        let workspace = workspace(vec![rule], Vec::new());
        let plan = Plan::compile(&workspace);
        let events: Vec<_> = sent.iter().map(Sent::event).collect();
        let person = Person { states: observed(&plan, &sent) };
        let question = Question::new(&workspace.segments[0].rule, &workspace);
        for at in instants(&sent, &windows(&workspace)) {
            let verdict = plan.evaluate(0, &person, at);
            if verdict.next != Timestamp::MAX {
                prop_assert_ne!(question.holds(&events, &person, verdict.next), verdict.member);
            }
        }
    }

    /// As the engine goes: an event, an evaluation, an event … with the clock at the newest event seen.
    #[test]
    fn both_evaluators_agree_along_the_way(sent in events(20), rules in proptest::collection::vec(rule(), 1..4)) {
        let workspace = workspace(rules, Vec::new());
        let plan = Plan::compile(&workspace);
        let mut events = Vec::new();
        let mut person = Person::default();
        let mut clock = Timestamp(BASE);
        for sent in &sent {
            clock = clock.max(sent.time);
            plan.observe(&mut person.states, &sent.event());
            events.push(sent.event());
            for (n, segment) in workspace.segments.iter().enumerate() {
                let truth = jumelle_segment::evaluate_events(&segment.rule, &events, &person, &workspace, clock);
                prop_assert_eq!(plan.evaluate(n, &person, clock).member, truth, "{:?} at {}", segment.rule, clock);
            }
        }
    }
}
