use jumelle_consent::{Cleared, Evidence};
use jumelle_model::message::Message;

fn clear(message: Message) -> Cleared {
    Cleared { message, evidence: Evidence::TakesBack }
}

fn main() {}
