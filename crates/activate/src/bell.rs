//! Telling the operator. A notice is about a tool and carries counts: nothing of a person fits into it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumelle_model::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::egress;
use crate::native::smtp::Smtp;
use crate::webhook::{describe, secret_bytes, sign};

/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What is told of a destination.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Notice {
    /// `removals.overdue`, `deliveries.low`, `sending.stopped`; `….mended` and `sending.resumed` when it is over.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Key of the destination.
    pub destination: String,
    /// What was found.
    #[serde(flatten)]
    pub facts: Facts,
    /// It was told before, and still stands.
    pub reminder: bool,
    /// When this was found.
    pub at: Timestamp,
}

/// The numbers behind a notice.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Facts {
    /// Removals that the tool does not confirm.
    Removals {
        /// Removals that the tool has not confirmed in the time it has.
        overdue: u64,
        /// All that it has not confirmed.
        waiting: u64,
        /// When the oldest was caused.
        oldest_at: Option<Timestamp>,
        /// The time that the tool has, in seconds.
        confirm_within_s: i64,
    },
    /// Too few messages get through.
    Share {
        /// `taken`: by the tool, of those it was offered; `reached`: the person, of those of which the tool reports an end.
        measured: &'static str,
        /// From 0 to 1.
        share: f64,
        /// The least that is asked for.
        below: f64,
        /// What the share is of.
        messages: u64,
        /// Over so many seconds.
        within_s: i64,
    },
    /// Nothing is sent, though messages wait.
    Silence {
        /// Messages that wait, counted up to 10,000.
        waiting: u64,
        /// When the oldest was queued.
        oldest_at: Option<Timestamp>,
        /// Nothing was sent for so many seconds.
        after_s: i64,
    },
}

impl Notice {
    /// One sentence each in English and in French.
    pub fn sentences(&self) -> [String; 2] {
        let name = &self.destination;
        let percent = |share: f64| ((share * 1_000.0).round() / 10.0).to_string();
        let in_french = |text: &str| text.replace('.', ",");
        match (&self.facts, self.kind) {
            (Facts::Removals { overdue, waiting, .. }, "removals.overdue") => [
                format!("{name} has not confirmed {overdue} removals in the time it has ({waiting} wait)."),
                format!("{name} n’a pas confirmé {overdue} retraits dans le délai ({waiting} en attente)."),
            ],
            (Facts::Removals { .. }, _) => {
                [format!("{name} has confirmed its removals."), format!("{name} a confirmé ses retraits.")]
            }
            (Facts::Share { measured, share, below, messages, within_s }, "deliveries.low") => {
                let (share, below, minutes) = (percent(*share), percent(*below), within_s / 60);
                let (en, fr) = match *measured {
                    "reached" => ("reached somebody", "sont arrivés"),
                    _ => ("were taken", "ont été pris"),
                };
                let (share_fr, below_fr) = (in_french(&share), in_french(&below));
                [
                    format!("{name}: {share} % of {messages} messages {en} in {minutes} min; {below} % are asked for."),
                    format!(
                        "{name}\u{a0}: {share_fr}\u{a0}% de {messages} messages {fr} en {minutes}\u{a0}min\u{202f}; le seuil est de {below_fr}\u{a0}%."
                    ),
                ]
            }
            (Facts::Share { share, .. }, _) => [
                format!("{name}: messages get through again ({} %).", percent(*share)),
                format!("{name}\u{a0}: les messages passent de nouveau ({}\u{a0}%).", in_french(&percent(*share))),
            ],
            (Facts::Silence { waiting, after_s, .. }, "sending.stopped") => [
                format!("{name}: nothing was sent for {} min, and {waiting} messages wait.", after_s / 60),
                format!("{name}\u{a0}: rien n’est parti depuis {}\u{a0}min, et {waiting} messages attendent.", after_s / 60),
            ],
            (Facts::Silence { .. }, _) => {
                [format!("{name}: messages leave again."), format!("{name}\u{a0}: les messages partent de nouveau.")]
            }
        }
    }

    fn title(&self) -> String {
        format!("Jumelle · {}{}", self.destination, if self.reminder { " · ⟳" } else { "" })
    }
}

/// One way to tell the operator. Private addresses are allowed: whoever starts the server wrote them, and no workspace can.
pub struct Bell {
    client: reqwest::Client,
    way: Way,
}

enum Way {
    /// Signed as Standard Webhooks 1.0 says.
    Webhook { url: reqwest::Url, secret: Vec<u8> },
    /// An incoming webhook of Slack.
    Slack(reqwest::Url),
    /// The address of a workflow of Microsoft Teams that posts a card.
    Teams(reqwest::Url),
    /// A mail server.
    Mail(Box<Post>),
}

struct Post {
    smtp: Smtp,
    server: String,
    authorization: Option<String>,
    from: String,
    to: Vec<String>,
}

/// E-mail to the operator.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// `smtps://mail.example.org:465`, or `smtp://` (STARTTLS where the server offers it).
    pub server: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
}

fn web_address(setting: &str, url: &str) -> Result<reqwest::Url, String> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    parsed.ok_or_else(|| format!("{setting}: {url:?} is not a web address"))
}

impl Bell {
    fn new(way: Way) -> Result<Bell, String> {
        let client = egress::client(true).map_err(|error| format!("HTTP client: {error}"))?;
        Ok(Bell { client, way })
    }

    /// A web address. The secret is `whsec_` and base64, or a text of 16 bytes at least.
    pub fn webhook(url: &str, secret: &str) -> Result<Bell, String> {
        let url = web_address("alarm_url", url)?;
        let secret = secret_bytes(secret.to_owned()).map_err(|error| format!("alarm_secret: {error}"))?;
        Bell::new(Way::Webhook { url, secret })
    }

    /// A channel of Slack.
    pub fn slack(url: &str) -> Result<Bell, String> {
        Bell::new(Way::Slack(web_address("alarm_slack", url)?))
    }

    /// A channel of Microsoft Teams.
    pub fn teams(url: &str) -> Result<Bell, String> {
        Bell::new(Way::Teams(web_address("alarm_teams", url)?))
    }

    /// E-mail.
    pub fn mail(settings: MailSettings) -> Result<Bell, String> {
        let MailSettings { server, login, from, to } = settings;
        if !server.starts_with("smtps://") && !server.starts_with("smtp://") {
            return Err(format!("alarm_mail_server: {server:?} is not smtps://HOST:PORT or smtp://HOST:PORT"));
        }
        if login.is_some() && !server.starts_with("smtps://") {
            return Err("alarm_mail_server: a password goes over smtps:// only".into());
        }
        for (setting, address) in to.iter().map(|to| ("alarm_mail_to", to)).chain([("alarm_mail_from", &from)]) {
            if address.parse::<lettre::message::Mailbox>().is_err() {
                return Err(format!("{setting}: {address:?} is not an address"));
            }
        }
        if to.is_empty() {
            return Err("alarm_mail_to: say who is told".into());
        }
        let authorization = login.map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        Bell::new(Way::Mail(Box::new(Post { smtp: Smtp::default(), server, authorization, from, to })))
    }

    /// What it is called in the metrics and in what is remembered.
    pub fn name(&self) -> &'static str {
        match self.way {
            Way::Webhook { .. } => "webhook",
            Way::Slack(_) => "slack",
            Way::Teams(_) => "teams",
            Way::Mail(_) => "mail",
        }
    }

    /// Tells; `Err` says why it was not taken (anything but 2xx within 15 s, a mail server that refuses).
    pub async fn ring(&self, id: &str, notice: &Notice) -> Result<(), String> {
        let [en, fr] = notice.sentences();
        match &self.way {
            Way::Webhook { url, secret } => {
                let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
                let timestamp_s = Timestamp::now().0 / 1_000_000;
                let headers = BTreeMap::from([
                    ("webhook-id", id.to_owned()),
                    ("webhook-timestamp", timestamp_s.to_string()),
                    ("webhook-signature", sign(secret, id, timestamp_s, &body)),
                ]);
                self.post(url, headers, body).await
            }
            Way::Slack(url) => {
                let text = format!("*{}*\n{en}\n{fr}", notice.title());
                self.post(url, BTreeMap::new(), json!({"text": text}).to_string().into_bytes()).await
            }
            Way::Teams(url) => {
                let line = |text: &str| json!({"type": "TextBlock", "text": text, "wrap": true});
                let title =
                    json!({"type": "TextBlock", "text": notice.title(), "wrap": true, "size": "Medium", "weight": "Bolder"});
                let card = json!({
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
                    "body": [title, line(&en), line(&fr)],
                });
                let attachment =
                    json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
                let body = json!({"type": "message", "attachments": [attachment]});
                self.post(url, BTreeMap::new(), body.to_string().into_bytes()).await
            }
            Way::Mail(post) => {
                for (n, to) in post.to.iter().enumerate() {
                    let letter = json!({
                        "id": format!("{id}-{n}"), "from": post.from, "to": to, "subject": notice.title(), "text": format!("{en}\n\n{fr}\n"),
                        "headers": {"Auto-Submitted": "auto-generated"},
                    });
                    let body = letter.to_string();
                    let request = ("MAIL", body.as_bytes());
                    let said = post.smtp.exchange(&post.server, post.authorization.as_deref(), request, true, || true).await;
                    // There is no gate that could say no: nobody is in it.
                    let said = said.ok_or("it was not sent")?;
                    match said.status {
                        Some(250) => {}
                        Some(code) => return Err(format!("the mail server answered {code}")),
                        None => return Err("the mail server was not reached".into()),
                    }
                }
                Ok(())
            }
        }
    }

    async fn post(&self, url: &reqwest::Url, headers: BTreeMap<&'static str, String>, body: Vec<u8>) -> Result<(), String> {
        let request = self.client.post(url.clone()).timeout(TIMEOUT).header("content-type", "application/json").body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await.map_err(|error| describe(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_is_wrong_in_both_languages() {
        let facts = Facts::Share { measured: "reached", share: 0.805, below: 0.95, messages: 40, within_s: 1_800 };
        let notice = Notice { kind: "deliveries.low", destination: "mailer".into(), facts, reminder: false, at: Timestamp(0) };
        let [en, fr] = notice.sentences();
        assert_eq!(en, "mailer: 80.5 % of 40 messages reached somebody in 30 min; 95 % are asked for.");
        assert_eq!(
            fr,
            "mailer\u{a0}: 80,5\u{a0}% de 40 messages sont arrivés en 30\u{a0}min\u{202f}; le seuil est de 95\u{a0}%."
        );
    }

    #[test]
    fn a_setting_that_cannot_work_is_refused_and_named() {
        let mail = |server: &str, login: Option<(&str, &str)>, to: &str| {
            let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
            let to = to.split(',').filter(|to| !to.is_empty()).map(str::to_owned).collect();
            Bell::mail(MailSettings { server: server.into(), login, from: "jumelle@example.org".into(), to }).map(|_| ())
        };
        for (outcome, setting) in [
            (Bell::slack("hooks.slack.com/x").map(|_| ()), "alarm_slack"),
            (Bell::teams("").map(|_| ()), "alarm_teams"),
            (mail("mail.example.org", None, "ops@example.org"), "alarm_mail_server"),
            (mail("smtp://mail.example.org", Some(("a", "b")), "ops@example.org"), "alarm_mail_server"),
            (mail("smtps://mail.example.org", None, "ops"), "alarm_mail_to"),
            (mail("smtps://mail.example.org", None, ""), "alarm_mail_to"),
        ] {
            let problem = outcome.unwrap_err();
            assert!(problem.starts_with(setting), "{problem}");
        }
    }
}
