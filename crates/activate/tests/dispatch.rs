//! What the dispatcher promises, against a real receiver: order per person, nothing lost, nobody in the way of others.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use jumelle_activate::{FinalState, GIVE_UP_AFTER, QUEUE_MEMORY_MAX, REFUSED_ATTEMPTS_MAX};
use support::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_failure_is_tried_again_under_the_same_id() {
    let receiver = Receiver::start(|_| status(500)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("the first attempt has failed", || dispatcher.attempts(id(1)).is_some()).await;
    let waiting = dispatcher.attempts(id(1)).unwrap();
    assert_eq!(waiting.attempts, 1);
    assert!(waiting.last_reason.starts_with("500"), "{}", waiting.last_reason);

    receiver.answers(|_| status(200));
    jump(2 * SECOND).await;
    until("it is sent", || shop.ended() == 1).await;
    let result = shop.result(1).unwrap();
    assert_eq!((result.state, result.attempts, result.status), (FinalState::Sent, 2, Some(200)));
    let requests = receiver.requests();
    assert_eq!(requests[0].id(), requests[1].id());
    until("it is known of no longer", || dispatcher.attempts(id(1)).is_none()).await;
}

#[tokio::test]
async fn retry_after_holds_the_whole_destination_for_as_long() {
    let receiver = Receiver::start(|_| status(429).header("retry-after", "120")).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("it is told to wait", || circuit(&dispatcher, "tool") == "open").await;
    receiver.answers(|_| status(200));
    shop.queue(&dispatcher, "tool", 2, 2);
    jump(118 * SECOND).await;
    a_moment().await;
    assert_eq!(receiver.count(), 1, "nobody knocks earlier");
    jump(3 * SECOND).await;
    until("both are sent", || shop.ended() == 2).await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn a_success_of_another_request_does_not_end_the_wait_that_was_asked_for() {
    let receiver = Receiver::start(|request| match request.id() {
        slow if slow == id(1).to_string() => status(200).after(Duration::from_millis(100)),
        _ => status(503).header("retry-after", "60"),
    })
    .await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    shop.queue(&dispatcher, "tool", 2, 2);
    until("the slow one is sent", || shop.ended() == 1).await;
    assert_eq!(circuit(&dispatcher, "tool"), "open");
}

#[tokio::test]
async fn redirects_are_not_followed_and_the_message_waits_for_the_operator() {
    let elsewhere = Receiver::start(|_| status(200)).await;
    let location = elsewhere.url.clone();
    let receiver = Receiver::start(move |_| status(307).header("location", &location)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("the destination is set aside", || circuit(&dispatcher, "tool") == "open").await;
    assert_eq!((elsewhere.count(), shop.ended()), (0, 0));
    let error = dispatcher.status()[0].last_error.clone().unwrap();
    assert!(error.contains("redirects are not followed"), "{error}");

    receiver.answers(|_| status(200));
    dispatcher.retry_now("tool");
    until("it is sent", || shop.ended() == 1).await;
}

#[tokio::test]
async fn a_destination_that_is_gone_keeps_its_messages() {
    let receiver = Receiver::start(|_| status(410)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("the destination is set aside", || circuit(&dispatcher, "tool") == "open").await;
    jump(GIVE_UP_AFTER * 2).await;
    until("it was asked again", || receiver.count() == 2).await;
    a_moment().await;
    assert_eq!((shop.ended(), shop.waiting()), (0, 1));
}

#[tokio::test]
async fn messages_about_one_person_keep_their_order_whatever_fails() {
    let mut seen = 0;
    let receiver = Receiver::start(move |_| {
        seen += 1;
        match seen % 7 {
            3 => status(500),
            5 => status(422),
            _ => status(200).after(Duration::from_millis(seen % 3)),
        }
    })
    .await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    for position in 0..100 {
        shop.queue(&dispatcher, "tool", position, position % 5);
    }
    let begun = std::time::Instant::now();
    while shop.ended() < 100 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} of 100", shop.ended());
        a_moment().await;
        if dispatcher.status()[0].in_flight == 0 {
            jump(10 * SECOND).await;
        }
    }
    assert_eq!(shop.overtakers(), []);
    assert_eq!(receiver.doubled(), Vec::<String>::new());
    let mut last: HashMap<u128, u128> = HashMap::new();
    for result in shop.results() {
        assert!(last.insert(result.profile.0, result.id.0).is_none_or(|earlier| earlier < result.id.0), "{result:?}");
    }
}

#[tokio::test]
async fn one_stuck_person_stops_nobody_else_and_ends_as_dead() {
    let stuck = id(0).to_string();
    let receiver = Receiver::start(move |request| if request.id() == stuck { status(400) } else { status(200) }).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    for position in 0..20 {
        shop.queue(&dispatcher, "tool", position, position % 10);
    }
    until("all but hers are sent", || shop.ended() == 18).await;
    assert!(shop.result(0).is_none() && shop.result(10).is_none());
    for attempt in 1..REFUSED_ATTEMPTS_MAX {
        until("she is refused", || dispatcher.attempts(id(0)).is_some_and(|info| info.attempts == attempt)).await;
        jump(60 * SECOND).await;
    }
    until("her next one is sent", || shop.ended() == 20).await;
    let dead = shop.result(0).unwrap();
    assert_eq!((dead.state, dead.attempts, dead.status), (FinalState::Dead, REFUSED_ATTEMPTS_MAX, Some(400)));
    assert_eq!(shop.result(10).unwrap().state, FinalState::Sent);
    assert_eq!(circuit(&dispatcher, "tool"), "closed");
}

#[tokio::test]
async fn the_circuit_opens_probes_with_one_and_closes() {
    let receiver = Receiver::start(|_| status(503)).await;
    let (shop, dispatcher) =
        open(&[destination("tool", &receiver.url)].map(|tool| jumelle_model::workspace::Destination { concurrency: 1, ..tool }));
    for position in 0..20 {
        shop.queue(&dispatcher, "tool", position, position);
    }
    until("it opens", || circuit(&dispatcher, "tool") == "open").await;
    a_moment().await;
    assert_eq!(receiver.count(), 5);

    jump(5 * SECOND).await;
    until("it probes", || receiver.count() == 6).await;
    until("the probe has failed", || circuit(&dispatcher, "tool") == "open").await;
    jump(9 * SECOND).await;
    a_moment().await;
    assert_eq!(receiver.count(), 6, "the second cooldown is twice as long");

    receiver.answers(|_| status(200));
    jump(SECOND).await;
    // No jump from here on: it would take a request that is under way past its time-out.
    until("all are sent", || shop.ended() == 20).await;
    assert_eq!(circuit(&dispatcher, "tool"), "closed");
    assert_eq!(receiver.count(), 26, "{:?} doubled {:?}", dispatcher.status(), receiver.doubled());
    assert_eq!(shop.in_state(FinalState::Sent).len(), 20);
}

#[tokio::test]
async fn a_probe_that_hangs_stays_the_only_one() {
    let receiver = Receiver::start(|_| status(503)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    for position in 0..20 {
        shop.queue(&dispatcher, "tool", position, position);
    }
    until("it opens", || circuit(&dispatcher, "tool") == "open").await;
    until("nothing is under way", || dispatcher.status()[0].in_flight == 0).await;
    let before = receiver.count();
    receiver.answers(|_| status(200).after(Duration::from_millis(150)));
    jump(5 * SECOND).await;
    until("it probes", || receiver.count() == before + 1).await;
    a_moment().await;
    assert_eq!((receiver.count(), circuit(&dispatcher, "tool")), (before + 1, "half_open"));
    jump(Duration::from_millis(150)).await;
    until("it has closed", || circuit(&dispatcher, "tool") == "closed").await;
}

#[tokio::test]
async fn a_destination_that_is_down_slows_no_other_and_loses_nothing_in_a_day() {
    let receiver = Receiver::start(|_| status(200)).await;
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (shop, dispatcher) = open(&[destination("down", &format!("http://{closed_port}/")), destination("up", &receiver.url)]);
    for position in 0..50 {
        shop.queue(&dispatcher, "down", 1_000 + position, position);
        shop.queue(&dispatcher, "up", position, position);
    }
    until("the other has everything", || shop.ended() == 50).await;
    for _ in 0..24 {
        jump(3_600 * SECOND).await;
        a_moment().await;
    }
    assert_eq!((shop.ended(), shop.waiting()), (50, 50));
    // Back, under its new address: the same queue goes on.
    dispatcher.configure(vec![destination("down", &receiver.url), destination("up", &receiver.url)]);
    until("it has everything", || shop.ended() == 100).await;
    assert_eq!(shop.in_state(FinalState::Sent).len(), 100);
}

#[tokio::test]
async fn three_days_of_failures_make_a_dead_letter() {
    let receiver = Receiver::start(|_| status(503)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("it has failed", || dispatcher.attempts(id(1)).is_some()).await;
    jump(GIVE_UP_AFTER - 60 * SECOND).await;
    until("it has failed again", || dispatcher.attempts(id(1)).is_some_and(|info| info.attempts == 2)).await;
    assert_eq!(shop.ended(), 0);
    jump(60 * SECOND).await;
    until("it is given up", || shop.ended() == 1).await;
    let result = shop.result(1).unwrap();
    assert_eq!((result.state, result.attempts, result.status), (FinalState::Dead, 3, Some(503)));
}

#[tokio::test]
async fn consent_withdrawn_while_it_waits_blocks_it_at_the_second_gate() {
    let receiver = Receiver::start(|_| status(503)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    until("it waits", || dispatcher.attempts(id(1)).is_some()).await;
    shop.withdraw(1);
    shop.withdraw(2);
    shop.queue(&dispatcher, "tool", 2, 2);
    jump(2 * SECOND).await;
    until("both are blocked", || shop.in_state(FinalState::Blocked).len() == 2).await;
    assert_eq!(receiver.count(), 1, "no request after the withdrawal");
    let reason = shop.result(1).unwrap().reason.unwrap();
    assert!(reason.contains("denied"), "{reason}");
}

#[tokio::test]
async fn beyond_the_memory_window_nothing_is_lost() {
    let receiver = Receiver::start(|_| status(200)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    let n = QUEUE_MEMORY_MAX as u64 * 2;
    // Of most people consent is withdrawn: what counts here is the queue, and they take no request.
    for person in (0..1_000).filter(|person| person % 20 != 0) {
        shop.withdraw(person);
    }
    for position in 0..n {
        shop.queue(&dispatcher, "tool", position, position % 1_000);
    }
    let status = dispatcher.status();
    assert!(status[0].more_waiting && status[0].queued_in_memory < n as usize, "{status:?}");
    until("everything has ended", || shop.ended() == n as usize).await;
    assert_eq!(shop.in_state(FinalState::Sent).len(), n as usize / 20);
    assert_eq!(receiver.count(), n as usize / 20);
    until("nothing is left", || dispatcher.status().iter().all(|status| !status.more_waiting && status.queued_in_memory == 0))
        .await;
}

#[tokio::test]
async fn what_waited_before_the_start_goes_out_first() {
    let receiver = Receiver::start(|_| status(200)).await;
    let shop = std::sync::Arc::new(Shop::default());
    shop.put("tool", 1, 1);
    shop.put("tool", 2, 1);
    let dispatcher = open_with(&shop, &[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 3, 1);
    until("all are sent", || shop.ended() == 3).await;
    assert_eq!(shop.in_state(FinalState::Sent), [1, 2, 3]);
}

#[tokio::test]
async fn a_changed_destination_waits_for_what_is_under_way() {
    let receiver = Receiver::start(|_| status(200).after(Duration::from_millis(60))).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    for position in 0..4 {
        shop.queue(&dispatcher, "tool", position, position % 2);
    }
    until("requests are under way", || receiver.count() == 2).await;
    for concurrency in [2, 3, 4] {
        let changed = jumelle_model::workspace::Destination { concurrency, ..destination("tool", &receiver.url) };
        dispatcher.configure(vec![changed]);
    }
    until("all are sent", || shop.ended() == 4).await;
    assert_eq!((receiver.count(), receiver.doubled()), (4, Vec::new()));
    assert_eq!(shop.overtakers(), []);
}

#[tokio::test]
async fn a_removed_destination_stops_and_one_that_comes_back_goes_on() {
    let receiver = Receiver::start(|_| status(200)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    dispatcher.configure(Vec::new());
    shop.queue(&dispatcher, "tool", 1, 1);
    a_moment().await;
    assert_eq!((receiver.count(), dispatcher.status().len()), (0, 0));
    dispatcher.configure(vec![destination("tool", &receiver.url)]);
    until("it is sent", || shop.ended() == 1).await;
}

#[tokio::test]
async fn a_fault_of_our_own_costs_one_attempt_not_the_person() {
    let receiver = Receiver::start(|_| status(200)).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.faults.lock().insert(id(1));
    shop.queue(&dispatcher, "tool", 1, 1);
    shop.queue(&dispatcher, "tool", 2, 1);
    until("it has failed", || dispatcher.attempts(id(1)).is_some()).await;
    jump(2 * SECOND).await;
    until("both are sent", || shop.ended() == 2).await;
    assert_eq!(shop.in_state(FinalState::Sent), [1, 2]);
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_begins_nothing() {
    let receiver = Receiver::start(|_| status(200).after(Duration::from_millis(50))).await;
    let (shop, dispatcher) = open(&[destination("tool", &receiver.url)]);
    shop.queue(&dispatcher, "tool", 1, 1);
    shop.queue(&dispatcher, "tool", 2, 1);
    until("it is under way", || receiver.count() == 1).await;
    dispatcher.stop().await;
    assert_eq!(shop.in_state(FinalState::Sent), [1]);
    a_moment().await;
    assert_eq!((receiver.count(), shop.waiting()), (1, 1));
}

/// A retry that is due while all places are taken must not keep the lane's task turning.
#[tokio::test]
async fn a_lane_that_is_full_rests() {
    let slow = id(2).to_string();
    let receiver = Receiver::start(move |request| match request.id() == slow {
        true => status(200).after(Duration::from_secs(4)),
        false => status(400),
    })
    .await;
    let one = jumelle_model::workspace::Destination { concurrency: 1, ..destination("tool", &receiver.url) };
    let (shop, dispatcher) = open(&[one]);
    shop.queue(&dispatcher, "tool", 1, 1);
    shop.queue(&dispatcher, "tool", 2, 2);
    until("one waits, the other is under way", || dispatcher.attempts(id(1)).is_some() && receiver.count() == 2).await;
    jump(2 * SECOND).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.worker_total_busy_duration(0);
    let begun = std::time::Instant::now();
    a_moment().await;
    let (busy, passed) = (metrics.worker_total_busy_duration(0) - before, begun.elapsed());
    assert!(busy < passed / 2, "busy for {busy:?} of {passed:?} in which nothing happens");
}
