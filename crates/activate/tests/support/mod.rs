//! A receiver on the loopback interface, a house that keeps its queue in memory, and time that can jump.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jumelle_activate::{Clearance, DeliveryResult, Dispatcher, FinalState, House, QueueKey, Queued};
use jumelle_consent::{Choices, Circumstances, Cleared, Party, clear};
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Destination;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived. Header names are in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }
}

/// What the receiver says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub header: Option<(&'static str, String)>,
    pub after: Duration,
}

pub fn status(status: u16) -> Answer {
    Answer { status, header: None, after: Duration::ZERO }
}

impl Answer {
    pub fn header(self, name: &'static str, value: &str) -> Answer {
        Answer { header: Some((name, value.to_owned())), ..self }
    }

    pub fn after(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }
}

type Script = Box<dyn FnMut(&Request) -> Answer + Send>;

/// A web server that does what its script says and remembers what it saw.
pub struct Receiver {
    pub url: String,
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    /// Ids being answered now, and those that came while they were.
    active: Mutex<HashSet<String>>,
    doubled: Mutex<Vec<String>>,
}

impl Receiver {
    pub async fn start(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Arc<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Arc::new(Receiver {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            script: Mutex::new(Box::new(script)),
            requests: Mutex::default(),
            active: Mutex::default(),
            doubled: Mutex::default(),
        });
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        receiver
    }

    /// From now on.
    pub fn answers(&self, script: impl FnMut(&Request) -> Answer + Send + 'static) {
        *self.script.lock() = Box::new(script);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().len()
    }

    pub fn doubled(&self) -> Vec<String> {
        self.doubled.lock().clone()
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer).await {
            let id = request.headers.get("webhook-id").cloned().unwrap_or_default();
            if !self.active.lock().insert(id.clone()) {
                self.doubled.lock().push(id.clone());
            }
            self.requests.lock().push(request.clone());
            let answer = (self.script.lock())(&request);
            tokio::time::sleep(answer.after).await;
            self.active.lock().remove(&id);
            let header = answer.header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
            let text = format!("HTTP/1.1 {} Said\r\ncontent-length: 2\r\n{header}\r\nno", answer.status);
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_len = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_len].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let body_len: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    while buffer.len() < head_len + 4 + body_len {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_len + 4..head_len + 4 + body_len].to_vec();
    buffer.drain(..head_len + 4 + body_len);
    Some(Request { line, headers, body })
}

pub fn destination(key: &str, url: &str) -> Destination {
    Destination {
        key: key.into(),
        connector: "webhook".into(),
        url: url.into(),
        settings: Vec::new(),
        secret: None,
        allow_private: true,
        concurrency: 8,
        country: None,
        transfer: None,
        paused: false,
        strings: Vec::new(),
        take_back: Default::default(),
        file: None,
    }
}

pub fn message(id: DeliveryId, profile: ProfileId) -> Message {
    Message {
        id,
        kind: MessageType::Entered,
        activation: "sneakers_mail".into(),
        segment: "sneakers_undecided".into(),
        destination: "tool".into(),
        purpose: "service".into(),
        channel: Channel::Email,
        at: Timestamp(1_700_000_000_000_000),
        profile,
        address: None,
        data: vec![("size".into(), "42".into())],
    }
}

pub fn cleared(message: Message) -> Cleared {
    let workspace = Workspace::parse("purposes: {service: {basis: contract}}").unwrap();
    let nobody = Party { choices: &Choices::default(), circumstances: &Circumstances::default(), contacts: &[] };
    clear(&workspace, message, nobody, None, Timestamp(1_700_000_000_000_000)).unwrap()
}

pub fn id(position: u64) -> DeliveryId {
    DeliveryId(u128::from(position))
}

/// A house whose table is a map.
#[derive(Default)]
pub struct Shop {
    table: Mutex<BTreeMap<(String, QueueKey), Queued>>,
    results: Mutex<Vec<DeliveryResult>>,
    withdrawn: Mutex<HashSet<ProfileId>>,
    /// The gate panics once for each.
    pub faults: Mutex<HashSet<DeliveryId>>,
    /// Deliveries that came to the gate before an earlier one of the same person was recorded.
    overtakers: Mutex<Vec<DeliveryId>>,
}

impl Shop {
    /// Queues a delivery, as the engine does: into the table, then to the dispatcher.
    pub fn queue(&self, dispatcher: &Dispatcher, destination: &str, position: u64, person: u64) {
        dispatcher.offer(self.put(destination, position, person));
    }

    /// Into the table only.
    pub fn put(&self, destination: &str, position: u64, person: u64) -> Queued {
        let profile = ProfileId(u128::from(person));
        let key = QueueKey { position, profile, ordinal: 0 };
        let queued = Queued { key, id: id(position), profile, destination: destination.into() };
        self.table.lock().insert((destination.into(), key), queued.clone());
        queued
    }

    pub fn withdraw(&self, person: u64) {
        self.withdrawn.lock().insert(ProfileId(u128::from(person)));
    }

    pub fn results(&self) -> Vec<DeliveryResult> {
        self.results.lock().clone()
    }

    pub fn ended(&self) -> usize {
        self.results.lock().len()
    }

    pub fn result(&self, position: u64) -> Option<DeliveryResult> {
        self.results.lock().iter().find(|result| result.id == id(position)).cloned()
    }

    pub fn in_state(&self, state: FinalState) -> Vec<u128> {
        self.results.lock().iter().filter(|result| result.state == state).map(|result| result.id.0).collect()
    }

    pub fn waiting(&self) -> usize {
        self.table.lock().len()
    }

    pub fn overtakers(&self) -> Vec<DeliveryId> {
        self.overtakers.lock().clone()
    }
}

/// What the dispatcher sees of a shop.
pub struct Counter(pub Arc<Shop>);

impl House for Counter {
    fn queued(&self, destination: &str, after: Option<QueueKey>, limit: usize) -> Vec<Queued> {
        let table = self.0.table.lock();
        let rows = table.values().filter(|queued| queued.destination == destination);
        rows.filter(|queued| Some(queued.key) > after).take(limit).cloned().collect()
    }

    fn clear(&self, queued: &Queued) -> Clearance {
        assert!(!self.0.faults.lock().remove(&queued.id), "a fault, as ordered by the test");
        let table = self.0.table.lock();
        if !table.contains_key(&(queued.destination.clone(), queued.key)) {
            return Clearance::Superseded;
        }
        // Looking at everything is quadratic: only where a test's queue is short.
        let earlier = |other: &&Queued| {
            other.profile == queued.profile && other.destination == queued.destination && other.key < queued.key
        };
        if table.len() < 1_000 && table.values().find(earlier).is_some() {
            self.0.overtakers.lock().push(queued.id);
        }
        if self.0.withdrawn.lock().contains(&queued.profile) {
            return Clearance::Blocked("no consent for marketing/email: denied since now".into());
        }
        Clearance::Cleared(Box::new(cleared(message(queued.id, queued.profile))))
    }

    fn record(&self, result: DeliveryResult) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shop = self.0.clone();
        Box::pin(async move {
            // The engine takes its time; whoever does not wait for it overtakes.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            shop.table.lock().remove(&(result.destination.clone(), result.key));
            shop.results.lock().push(result);
        })
    }
}

/// A shop, and a dispatcher with these destinations.
pub fn open(destinations: &[Destination]) -> (Arc<Shop>, Dispatcher) {
    let shop = Arc::new(Shop::default());
    let dispatcher = open_with(&shop, destinations);
    (shop, dispatcher)
}

pub fn open_with(shop: &Arc<Shop>, destinations: &[Destination]) -> Dispatcher {
    let dispatcher = Dispatcher::start(Arc::new(Counter(shop.clone())));
    dispatcher.configure(destinations.to_vec());
    dispatcher
}

/// Waits for a condition, ten seconds of real time at most.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Moves the clock on. It runs as usual between jumps, because a paused one leaps over requests that are under way.
pub async fn jump(ahead: Duration) {
    tokio::time::pause();
    tokio::time::advance(ahead).await;
    tokio::time::resume();
}

/// Time for what must not happen to happen.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

pub fn circuit(dispatcher: &Dispatcher, destination: &str) -> &'static str {
    dispatcher.status().into_iter().find(|status| status.key == destination).map_or("", |status| status.circuit)
}
