//! What whoever watches over consent looks at: counts of consent, the tools, and the history of policies. Nobody is named here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use jumelle_activate::removal_none;
use jumelle_engine::{APPLIED_MAX, Age, Census};
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::workspace::Difference;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::stocks::Stocks;
use crate::{App, Problem, tools};

/// How long a census is shown before a look at it begins another. One look may cost as much as reading everybody; all looks of
/// this time share it, and there is never more than one under way.
const COUNTED_FOR: Duration = Duration::from_secs(15 * 60);
/// The same for whoever asks for a fresh one.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// How long an answer waits for a census before it says that one is under way.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Days of the trend and of what was held back, at most.
const DAYS_MAX: usize = 366;
const DAYS: usize = 30;
/// People of one page.
const PEOPLE: usize = 50;
const PEOPLE_MAX: usize = 500;
/// Comparisons of one tool that are shown.
const DRIFT_MAX: usize = 60;
/// Values shown of one change of the policy.
const VALUES_MAX: usize = 100;

/// The last census, and whether another is under way.
#[derive(Clone, Default)]
pub(crate) struct Censuses(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    last: Option<(Instant, Duration, Arc<Census>)>,
    is_counting: bool,
    failed: Option<String>,
}

impl Censuses {
    /// The last one, made anew if it is older than `max_age`. `None`: the first one is still under way.
    async fn get(&self, app: &App, max_age: Duration) -> Result<Option<(Duration, Arc<Census>)>, Problem> {
        self.begin(app, max_age);
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            {
                let mut kept = self.0.lock();
                if let Some(error) = kept.failed.take() {
                    return Err(Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "people were not counted", error));
                }
                if !kept.is_counting || Instant::now() >= deadline {
                    return Ok(kept.last.as_ref().map(|(_, took, census)| (*took, census.clone())));
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last one, or one that is a moment old at most; and whether another is under way.
    pub(crate) async fn of(&self, app: &App, fresh: bool) -> Result<(Option<Arc<Census>>, bool), Problem> {
        let counted = self.get(app, if fresh { FRESH_FOR } else { COUNTED_FOR }).await?;
        Ok((counted.map(|(_, census)| census), self.0.lock().is_counting))
    }

    fn begin(&self, app: &App, max_age: Duration) {
        let mut kept = self.0.lock();
        if kept.is_counting || kept.last.as_ref().is_some_and(|(at, ..)| at.elapsed() < max_age) {
            return;
        }
        kept.is_counting = true;
        let (shared, mine) = (app.engine.shared().clone(), self.clone());
        let stocks = Stocks::of(app);
        tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let outcome = shared.census();
            let took = started.elapsed();
            metrics::gauge!("jumelle_census_seconds").set(took.as_secs_f64());
            if let Ok(census) = &outcome
                && let Err(error) = stocks.keep(&shared, census)
            {
                tracing::warn!(%error, "a count was not kept for the trend");
            }
            let mut kept = mine.0.lock();
            kept.is_counting = false;
            match outcome {
                Ok(census) => kept.last = Some((Instant::now(), took, Arc::new(census))),
                Err(error) => kept.failed = Some(error.to_string()),
            }
        });
    }
}

/// Counts everybody once a day, whoever looks, so that the trend of stocks has no gaps while the server runs.
pub(crate) async fn count_daily(app: App) {
    loop {
        if !Stocks::of(&app).has_today(app.engine.shared()) {
            app.censuses.begin(&app, COUNTED_FOR);
        }
        tokio::time::sleep(COUNTED_FOR).await;
    }
}

/// `?days=30&fresh=true`
#[derive(Deserialize)]
pub struct ConsentsQuery {
    pub(crate) days: Option<usize>,
    #[serde(default)]
    pub(crate) fresh: bool,
}

/// `GET /v1/privacy/consents`: who granted and refused, who can be reached, and what was chosen each day.
pub async fn consents(State(app): State<App>, Query(query): Query<ConsentsQuery>) -> Result<Json<Value>, Problem> {
    let days = days(query.days)?;
    let counted = app.censuses.get(&app, if query.fresh { FRESH_FOR } else { COUNTED_FOR }).await?;
    let trend: Vec<Value> = app
        .engine
        .shared()
        .chosen_days(days)?
        .into_iter()
        .map(|(day, chosen)| {
            let turns: Vec<Value> = chosen
                .turns
                .iter()
                .map(|((purpose, channel, source), turns)| {
                    json!({"purpose": purpose, "channel": channel, "source": source, "granted": turns.granted,
                        "denied": turns.denied, "withdrawn": turns.withdrawn})
                })
                .collect();
            json!({"day": day.to_string(), "turns": turns, "confirmed": chosen.confirmed})
        })
        .collect();
    let counting = app.censuses.0.lock().is_counting;
    Ok(Json(json!({
        "census": counted.as_ref().map(|(_, census)| json!(**census)), "took_s": counted.map(|(took, _)| took.as_secs_f64()),
        "counting": counting, "days": trend, "stocks": Stocks::of(&app).newest(days),
    })))
}

/// `?purpose=&channel=&age=&limit=&cursor=`
#[derive(Deserialize)]
pub struct AgedQuery {
    purpose: String,
    channel: Option<String>,
    age: String,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /v1/privacy/consents/people`: who is behind a number of weak or ageing grants.
pub async fn people(State(app): State<App>, Query(query): Query<AgedQuery>) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared().clone();
    let definitions = shared.definitions();
    let Some(purpose) = definitions.workspace.purpose(&query.purpose).cloned() else {
        return Err(Problem::bad_request(format!("there is no purpose {:?}", query.purpose)).with("field", "purpose"));
    };
    let wrong = |field: &'static str, what: String| Problem::bad_request(what).with("field", field);
    let age: Age = serde_json::from_value(json!(query.age))
        .map_err(|_| wrong("age", format!("{:?} is none of weak, old_text, expired, expiring, old", query.age)))?;
    let channel: Option<Channel> = match &query.channel {
        None => None,
        Some(name) => {
            let known = definitions.workspace.channel(name);
            Some(known.ok_or_else(|| wrong("channel", format!("there is no channel {name:?}")))?)
        }
    };
    let after = query.cursor.as_ref().map(|cursor| cursor.parse::<ProfileId>()).transpose();
    let after = after.map_err(|_| wrong("cursor", "no page begins there".into()))?;
    let limit = query.limit.unwrap_or(PEOPLE).clamp(1, PEOPLE_MAX);
    let read = move || shared.aged(&purpose, channel, age, after, limit);
    let (items, next) =
        tokio::task::spawn_blocking(read).await.map_err(|_| Problem::bad_request("the people could not be read"))??;
    Ok(Json(json!({"items": items, "next": next})))
}

pub(crate) fn days(asked: Option<usize>) -> Result<usize, Problem> {
    let days = asked.unwrap_or(DAYS);
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(Problem::bad_request(format!("{days} is not a number of days from 1 to {DAYS_MAX}")).with("field", "days"))
}

/// `?days=30&source=site&purpose=analytics`
#[derive(Deserialize)]
pub struct ReductionsQuery {
    days: Option<usize>,
    source: Option<String>,
    purpose: Option<String>,
}

/// `GET /v1/privacy/reductions`: how many events came to less than they were, each day, and the rules that did it.
pub async fn reductions(State(app): State<App>, Query(query): Query<ReductionsQuery>) -> Result<Json<Value>, Problem> {
    let definitions = app.engine.shared().definitions();
    let rules: Vec<Value> = definitions
        .workspace
        .sources
        .iter()
        .flat_map(|source| source.reduce.iter().map(|rule| json!({"source": source.key, "rule": rule})))
        .collect();
    let is_asked = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
    let days: Vec<Value> = app
        .engine
        .shared()
        .reduced_days(days(query.days)?)?
        .into_iter()
        .map(|(day, reduced)| {
            let counts: Vec<Value> = reduced
                .counts
                .iter()
                .filter(|((source, _, purpose, _), _)| is_asked(&query.source, source) && is_asked(&query.purpose, purpose))
                .map(|((source, event, purpose, to), events)| {
                    json!({"source": source, "event": event, "purpose": purpose, "to": to, "events": events})
                })
                .collect();
            json!({"day": day.to_string(), "counts": counts})
        })
        .collect();
    Ok(Json(json!({"rules": rules, "days": days})))
}

/// `?days=30`
#[derive(Deserialize)]
pub struct ToolsQuery {
    days: Option<usize>,
}

/// `GET /v1/privacy/tools`: removals per tool, what the gate held back and why, tools that cannot be told, drift.
pub async fn tools(State(app): State<App>, Query(query): Query<ToolsQuery>) -> Result<Json<Value>, Problem> {
    let days = days(query.days)?;
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let workspace = &definitions.workspace;
    let now = shared.now();
    let catalogue = app.engine.dispatcher().catalogue();
    let mut confirmed: Map<String, Value> = Map::new();
    for (destination, count) in shared.chosen_days(days)?.into_iter().flat_map(|(_, chosen)| chosen.confirmed) {
        let known = confirmed.get(&destination).and_then(Value::as_u64).unwrap_or_default();
        confirmed.insert(destination, json!(known + count));
    }
    let mut items = Vec::new();
    for destination in &workspace.destinations {
        let key = &destination.key;
        let none = removal_none(workspace, &catalogue, destination);
        let mut drift = tools::kept(&app, key)?;
        drift.truncate(DRIFT_MAX);
        items.push(json!({
            "destination": key, "connector": destination.connector, "country": destination.country, "transfer": destination.transfer,
            "confirm_within_s": destination.confirm_within().0 / 1_000_000, "removals": shared.removals(key, now)?, "confirmed": confirmed.get(key).cloned().unwrap_or(json!(0)),
            "cannot_be_told": none.map(|none| json!({"reason": none.reason, "contact": none.contact})), "drift": drift,
        }));
    }
    let rows = shared.days(days)?;
    Ok(Json(json!({"days": days, "items": items, "blocked": crate::overview::blocked(&app, rows.iter().map(|(_, day)| day))})))
}

/// `?limit=&cursor=`
#[derive(Deserialize)]
pub struct PoliciesQuery {
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// `GET /v1/privacy/policies`: each version of the definitions, who brought it and what it changed. Of purposes, policy, consent
/// strings and preferences with the values before and after; of everything else the fields, since values may be secrets.
pub async fn policies(State(app): State<App>, Query(query): Query<PoliciesQuery>) -> Result<Json<Value>, Problem> {
    let limit = query.limit.unwrap_or(20).clamp(1, APPLIED_MAX - 1);
    // One more than asked: the oldest is compared with what was before it.
    let versions = app.engine.shared().applied(query.cursor.map(Position), limit + 1)?;
    let mut items = Vec::new();
    for (n, version) in versions.iter().take(limit).enumerate() {
        let before = versions.get(n + 1).map_or_else(String::new, |before| before.text.clone());
        let (changes, others) = changes(&before, &version.text);
        items.push(json!({
            "position": version.position, "at": version.at, "by": version.by, "first": before.is_empty(),
            "changes": changes, "others": others,
        }));
    }
    let next = (versions.len() > limit).then(|| versions[limit - 1].position.0.to_string());
    Ok(Json(json!({"items": items, "next": next})))
}

/// What changed, and how many definitions of marketing (segments, traits) did beside it.
fn changes(before: &str, after: &str) -> (Vec<Value>, usize) {
    let parse = |text: &str| Workspace::parse(text).unwrap_or_else(|_| Workspace::empty());
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (old, new) = (read(before), read(after));
    let mut others = 0;
    let mut changes = Vec::new();
    for change in Difference::between(&parse(before), &parse(after)).changes {
        if matches!(change.collection.as_str(), "segments" | "traits") {
            others += 1;
            continue;
        }
        let part = |whole: &Value| match change.collection.as_str() {
            "policy" => whole["policy"].clone(),
            "consent" => whole["consent"]["strings"].clone(),
            "preferences" => whole["preferences"].clone(),
            "purposes" => whole["purposes"][&change.key].clone(),
            _ => Value::Null,
        };
        let mut values = Vec::new();
        differ(String::new(), &part(&old), &part(&new), &mut values);
        values.truncate(VALUES_MAX);
        let mut json = json!(change);
        json["values"] = json!(values);
        changes.push(json);
    }
    (changes, others)
}

/// The paths at which two values differ, with what stands there.
fn differ(path: String, before: &Value, after: &Value, found: &mut Vec<Value>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            differ(path, &before[key], &after[key], found);
        }
        return;
    }
    if let (Value::Array(old), Value::Array(new)) = (before, after) {
        for n in 0..old.len().max(new.len()) {
            differ(format!("{path}[{n}]"), &before[n], &after[n], found);
        }
        return;
    }
    let shown = |value: &Value| if value.is_null() { Value::Null } else { json!(text(value)) };
    found.push(json!({"path": path, "before": shown(before), "after": shown(after)}));
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_what_it_changed() {
        let text = |policy: &str| {
            let text = format!("workspace: {{key: w}}\npurposes:\n  marketing: {{basis: consent{policy}}}\n");
            Workspace::parse(&text).unwrap().to_text()
        };
        let (changes, others) = changes(&text(""), &text(", expires_after: 90d"));
        assert_eq!(others, 0);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0]["collection"], "purposes");
        assert_eq!(changes[0]["values"], json!([{"path": "expires_after", "before": null, "after": "90d"}]));
        let (first, _) = super::changes("", &text(""));
        assert!(first.iter().any(|change| change["kind"] == "added" && change["key"] == "marketing"), "{first:?}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = |secret: &str| {
            let text = format!(
                "workspace: {{key: w}}\ndestinations:\n  tool: {{connector: webhook, url: \"https://x.example/hook\", secret: \"{secret}\"}}\n"
            );
            Workspace::parse(&text).unwrap().to_text()
        };
        let (changes, _) =
            changes(&text("whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &text("whsec_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
        assert!(!json!(changes).to_string().contains("whsec"), "{changes:?}");
    }
}
