//! What causes what at Maison Lumière, and by how much. A method that estimates an effect can be held to these numbers.
//!
//! Probabilities are parts per million.

use crate::person::Customer;

/// A visit to the shop on the web or in the app ends in a purchase, without any other reason.
pub const VISIT_BUYS: u32 = 22_000;
/// Three looks at sneakers within [`LOOKS_WITHIN_MS`] (this visit included) make a purchase of sneakers this many times likelier.
pub const LOOKS_FACTOR: u32 = 4;
/// How many looks it takes.
pub const LOOKS_NEEDED: usize = 3;
/// And within how many milliseconds: 30 days.
pub const LOOKS_WITHIN_MS: i64 = 30 * DAY_MS;
/// During sales, a purchase is this many percent as likely as otherwise.
pub const SALES_PERCENT: u32 = 150;

/// A visit on the web without a purchase leads to a purchase of what was looked at in a store, one to six days later (ROPO).
pub const RESEARCH_LEADS_TO_STORE: u32 = 45_000;

/// A newsletter's reader is in the control group and is shown nothing.
pub const MAIL_HELD_OUT: u32 = 200_000;
/// Somebody with an open gate would read this week's newsletter.
pub const MAIL_READ: u32 = 300_000;
/// A shown newsletter is clicked.
pub const MAIL_CLICKED: u32 = 180_000;
/// A shown newsletter ends in an unsubscription.
pub const MAIL_UNSUBSCRIBED: u32 = 12_000;

/// A reader buys within three days of the newsletter's hour, shown or not.
pub fn buys_anyway(customer: Customer) -> u32 {
    match customer {
        Customer::Loyal => 30_000,
        Customer::Occasional => 12_000,
        Customer::Dormant => 4_000,
        Customer::Bargain => 15_000,
    }
}

/// What the shown newsletter adds to [`buys_anyway`]: the lift, which depends on the kind of customer. Loyal customers would have
/// come by themselves.
pub fn buys_because_shown(customer: Customer) -> u32 {
    match customer {
        Customer::Loyal => 1_500,
        Customer::Occasional => 12_000,
        Customer::Dormant => 8_000,
        Customer::Bargain => 22_500,
    }
}

/// Visits on the web or in the app, per day.
pub fn visits_per_day(activity: usize) -> u32 {
    [220_000, 55_000, 14_000][activity.min(2)]
}

/// How many of a hundred people are heavy, medium and light visitors.
pub const ACTIVITY_WEIGHTS: [u32; 3] = [10, 30, 60];
/// Purchases in a store without any research before, per day.
pub const STORE_BUYS_PER_DAY: u32 = 3_000;
/// Calls to the call centre, per day.
pub const CALLS_PER_DAY: u32 = 900;
/// An order is returned, at least in part.
pub const RETURNED: u32 = 80_000;
/// A buyer answers the satisfaction survey.
pub const ANSWERS_SURVEY: u32 = 140_000;
/// A buyer complains.
pub const COMPLAINS: u32 = 20_000;

/// An event arrives twice, with the same message id.
pub const DUPLICATED: u32 = 10_000;
/// A web event is held back for minutes (a train, a tunnel).
pub const LATE_BY_MINUTES: u32 = 12_000;
/// An app session is offline, and its events arrive hours or days later.
pub const LATE_BY_DAYS: u32 = 40_000;
/// A till sends its receipts only at the end of the day.
pub const TILL_LATE: u32 = 50_000;
/// A device's clock is wrong by minutes or hours; its events say when they were sent by the same clock.
pub const CLOCK_OFF: u32 = 30_000;
/// For each good event, so many that collection must refuse.
pub const BAD: u32 = 2_000;
/// An e-mail is mistyped at the till.
pub const MISTYPED: u32 = 40_000;
/// The shop's ERP reports an order again, under another message id.
pub const REPORTED_AGAIN: u32 = 15_000;

/// Milliseconds of a second.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds of a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
