//! What a preview renders of a text is not sent: only what the gate has let through is.

use jumelle_activate::Transport;
use jumelle_connect::{Request, Sample};

async fn send(transport: &Transport, request: Request<Sample>) {
    transport.transfer(request).await;
}

fn main() {}
