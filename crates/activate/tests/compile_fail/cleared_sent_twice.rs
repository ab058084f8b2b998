use jumelle_activate::Webhook;
use jumelle_consent::Cleared;

async fn send(webhook: &Webhook, cleared: Cleared) {
    webhook.send(cleared).await;
    webhook.send(cleared).await;
}

fn main() {}
