//! A reader beside the fold: once known, a person is found at every instant, also while two people become one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use jumelle_collect::{Claims, Collected};
use jumelle_engine::{Draft, Engine, Options};
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;

const PEOPLE: usize = 3_000;

fn identify(message: String, body: String) -> Draft {
    let event = Collected {
        kind: EventKind::Identify,
        message_id: message,
        time: Timestamp::now(),
        body,
        has_consents: false,
        claims: Claims::default(),
    };
    Draft::Event { source: Arc::from("site"), event }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_missing_while_two_people_become_one() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(&Options::new(directory.path())).unwrap();
    let known = (0..PEOPLE).flat_map(|n| {
        [
            identify(format!("u{n}"), format!(r#"{{"type":"identify","userId":"u{n}"}}"#)),
            identify(format!("b{n}"), format!(r#"{{"type":"identify","anonymousId":"b{n}"}}"#)),
        ]
    });
    engine.intake().submit(known.collect(), true).await.unwrap();

    let (at, missing, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = {
        let (engine, at, missing, stop) = (engine.clone(), at.clone(), missing.clone(), stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let visitor = format!("b{}", at.load(Ordering::Relaxed));
                if engine.shared().find("anonymous_id", &visitor).unwrap().unwrap().is_none() {
                    missing.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    for n in 0..PEOPLE {
        at.store(n, Ordering::Relaxed);
        let joined = format!(r#"{{"type":"identify","userId":"u{n}","anonymousId":"b{n}"}}"#);
        engine.intake().submit(vec![identify(format!("j{n}"), joined)], true).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_eq!(missing.load(Ordering::Relaxed), 0, "lookups that found nobody");
    let one =
        |namespace: &str| engine.shared().find(namespace, if namespace == "user_id" { "u7" } else { "b7" }).unwrap().unwrap();
    assert_eq!(one("user_id").unwrap().id, one("anonymous_id").unwrap().id);
    engine.stop().await;
}
