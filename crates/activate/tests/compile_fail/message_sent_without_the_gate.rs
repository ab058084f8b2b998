use jumelle_activate::Webhook;
use jumelle_model::message::Message;

async fn send(webhook: &Webhook, message: Message) {
    webhook.send(message).await;
}

fn main() {}
