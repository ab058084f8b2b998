//! What came of messages, counted.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use jiff::civil::Date;
use jumelle_engine::{Funnel, Reported, Tally};
use jumelle_model::outcome::Outcome;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{App, Problem};

/// Days that are looked at, the newest: three years.
const DAYS_MAX: usize = 1_096;
/// Days that are counted where none are named.
const DAYS: i32 = 30;

/// `?destination=&activation=&from=&to=`
#[derive(Deserialize)]
pub struct ResultsQuery {
    destination: Option<String>,
    activation: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

fn date(field: &str, text: Option<&str>) -> Result<Option<Date>, Problem> {
    text.map(|text| {
        text.parse().map_err(|_| Problem::bad_request(format!("{text:?} is not a day; write 2026-11-28")).with("field", field))
    })
    .transpose()
}

/// `GET /v1/results`: from queued to converted, by destination and activation, and by day.
pub async fn results(State(app): State<App>, Query(query): Query<ResultsQuery>) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared();
    let to = date("to", query.to.as_deref())?.unwrap_or_else(|| shared.day_of(shared.now()));
    let from = match date("from", query.from.as_deref())? {
        Some(from) => from,
        None => to.checked_sub(jiff::Span::new().days(DAYS - 1)).unwrap_or(to),
    };
    if from > to {
        return Err(Problem::bad_request(format!("{from} is after {to}")).with("field", "from"));
    }
    let mut sums: BTreeMap<(String, String), Funnel> = BTreeMap::new();
    let mut days = Vec::new();
    for (day, row) in shared.results_days(DAYS_MAX)?.into_iter().filter(|(day, _)| (from..=to).contains(day)) {
        let mut sum = Funnel::default();
        for ((destination, activation), funnel) in row.by {
            let is_asked = query.destination.as_ref().is_none_or(|asked| *asked == destination)
                && query.activation.as_ref().is_none_or(|asked| *asked == activation);
            if is_asked {
                sum.add(&funnel);
                sums.entry((destination, activation)).or_default().add(&funnel);
            }
        }
        let mut one = funnel_json(&sum);
        one["day"] = day.to_string().into();
        days.push(one);
    }
    let items: Vec<Value> = sums
        .into_iter()
        .map(|((destination, activation), funnel)| {
            let mut item = funnel_json(&funnel);
            item["destination"] = destination.into();
            // Reports that no message of ours was found for.
            item["activation"] = Some(activation).filter(|activation| !activation.is_empty()).into();
            item
        })
        .collect();
    Ok(Json(json!({"from": from.to_string(), "to": to.to_string(), "items": items, "days": days})))
}

fn funnel_json(funnel: &Funnel) -> Value {
    let outcomes: Map<String, Value> = Outcome::ALL
        .iter()
        .map(|(name, outcome)| {
            let Tally { people, total } = funnel.outcomes.get(outcome).copied().unwrap_or_default();
            ((*name).to_owned(), json!({"people": people, "total": total}))
        })
        .collect();
    let answered = funnel.sent + funnel.refused;
    json!({
        "queued": funnel.queued, "sent": funnel.sent, "refused": funnel.refused,
        "blocked": funnel.blocked.values().sum::<u64>(), "reasons": funnel.blocked,
        "match_rate": (answered > 0).then(|| funnel.sent as f64 / answered as f64), "outcomes": outcomes,
    })
}

/// What was reported of one delivery, in the order of a funnel.
pub(crate) fn reported_json(reported: Option<&Reported>) -> Value {
    let Some(reported) = reported else { return json!([]) };
    let one = |(outcome, times): (&Outcome, &jumelle_engine::Times)| json!({"outcome": outcome, "count": times.count, "first": times.first, "last": times.last});
    reported.outcomes.iter().map(one).collect()
}
