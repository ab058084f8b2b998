//! What the dispatcher asks of the house.

use std::path::PathBuf;
use std::pin::Pin;

use jumelle_consent::Cleared;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Activation;

/// Place in a destination's queue: the position of the cause in the history, the person, and the order among what one cause
/// queued for her.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueKey {
    /// Position of the cause.
    pub position: u64,
    /// About whom. One cause may queue for many people, and what it queues for one must not depend on the others: after an
    /// erasure a replay has to give the same places.
    pub profile: ProfileId,
    /// Order within the cause, among this person's, also under the ids that she has turned out to have.
    pub ordinal: u32,
}

/// A delivery that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// Its place.
    pub key: QueueKey,
    /// Its id.
    pub id: DeliveryId,
    /// Who it is about now: messages about one person leave in order. In its place it has the id that she had.
    pub profile: ProfileId,
    /// Where to.
    pub destination: String,
}

/// The second gate's answer, at the instant of sending.
#[derive(Debug)]
pub enum Clearance {
    /// It may leave, now.
    Cleared(Box<Cleared>),
    /// It stays, and why.
    Blocked(String),
    /// It is not waiting any more.
    Superseded,
}

/// How a delivery ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinalState {
    /// The destination took it.
    Sent,
    /// The gate was closed.
    Blocked,
    /// Given up.
    Dead,
}

/// Why a tool writes to an address no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// Nothing reaches it.
    Bounced,
    /// She told the tool to stop.
    Stopped,
}

/// The end of a delivery, to be recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryResult {
    /// Which one.
    pub id: DeliveryId,
    /// About whom.
    pub profile: ProfileId,
    /// Its place.
    pub key: QueueKey,
    /// Where to.
    pub destination: String,
    /// How it ended.
    pub state: FinalState,
    /// Requests made.
    pub attempts: u32,
    /// HTTP status of the last one.
    pub status: Option<u16>,
    /// Why it was blocked or given up.
    pub reason: Option<String>,
}

/// Somebody who is in a tool already and stands in the next file of everybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// By which activation.
    pub activation: String,
    /// Who.
    pub profile: ProfileId,
    /// The instant of the file: what she is told under is derived from it.
    pub at: Timestamp,
}

/// Where files are made, and put if they stay on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folders {
    /// Destinations' folders are below it.
    pub root: PathBuf,
    /// Files under way, and what is remembered of the last ones: a folder for each destination.
    pub scratch: PathBuf,
}

/// The house behind the dispatcher.
pub trait House: Send + Sync + 'static {
    /// Deliveries that wait for a destination after a place, in order. May lag behind what was offered.
    fn queued(&self, destination: &str, after: Option<QueueKey>, limit: usize) -> Vec<Queued>;
    /// The second gate.
    fn clear(&self, queued: &Queued) -> Clearance;
    /// Notes what the gate has let out; it may leave only when this has answered `true`. `false`: it is not waiting any more.
    /// `Err`: it could not be noted, and why.
    fn note(&self, _cleared: &Cleared) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send>> {
        Box::pin(std::future::ready(Ok(true)))
    }
    /// The workspace's country (ISO 3166-1 alpha-2): of telephone numbers without country code.
    fn country(&self) -> String {
        "FR".into()
    }
    /// An attempt has failed; the message may be tried again.
    fn failed(&self, _destination: &str) {}
    /// A place is reached where a test may end the process.
    fn reached(&self, _place: &'static str) {}
    /// A tool says that it writes to the address of a message no more: the gate closes for it. `said`: its own word, for the proof.
    fn closed(&self, _cleared: &Cleared, _why: Closed, _said: &str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
    /// Records a result durably; resolves when the person's state knows of it.
    fn record(&self, result: DeliveryResult) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// What a delivery that waits is about: its activation, and why it is sent. `None`: it is not waiting any more.
    fn about(&self, _queued: &Queued) -> Option<(String, MessageType)> {
        None
    }
    /// All ids of somebody: this one, and those under which messages about her may still wait.
    fn ids_of(&self, profile: ProfileId) -> Vec<ProfileId> {
        vec![profile]
    }
    /// The activations of a destination.
    fn activations(&self, _destination: &str) -> Vec<Activation> {
        Vec::new()
    }
    /// Who is in the tool by an activation, after a profile: some of them, and after whom to go on; `None`: that was all.
    fn members(&self, _activation: &str, _after: Option<ProfileId>, _limit: usize) -> (Vec<ProfileId>, Option<ProfileId>) {
        (Vec::new(), None)
    }
    /// The gate, about somebody who is in a tool already.
    fn clear_standing(&self, _standing: &Standing) -> Clearance {
        Clearance::Superseded
    }
    /// As [`House::note`], about many, with one write. `true` beside one: she is in the tool already and no delivery waits.
    fn note_many(&self, cleared: &[(Cleared, bool)]) -> Pin<Box<dyn Future<Output = Result<Vec<bool>, String>> + Send>> {
        Box::pin(std::future::ready(Ok(vec![true; cleared.len()])))
    }
    /// As [`House::record`], about many. `false`: they are not recorded.
    fn record_many(&self, _results: Vec<DeliveryResult>) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(std::future::ready(true))
    }
    /// The workspace's time zone (IANA name).
    fn timezone(&self) -> String {
        "UTC".into()
    }
    /// Where files are made. `None`: nowhere.
    fn folders(&self) -> Option<Folders> {
        None
    }
}
