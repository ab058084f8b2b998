//! The loop: who comes today, in the order of the hours; and what is kept about each person.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;

use crate::catalogue::Catalogue;
use crate::context::DeviceChoice;
use crate::dice::Dice;
use crate::line::{Anonymous, Compression, Line, Outbox};
use crate::parameters::{CALLS_PER_DAY, DAY_MS, HOUR_MS, STORE_BUYS_PER_DAY, visits_per_day};
use crate::person::{Persona, activity};
use crate::truth::{Truth, TruthError};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many people; 10,000,000 at most.
    pub people: u32,
    /// First instant, milliseconds since 1970.
    pub from_ms: i64,
    /// Last instant, not included.
    pub to_ms: i64,
    /// Folder for the truth; kept in memory per event that a reference segment asks about.
    pub truth: Option<PathBuf>,
}

/// Most people that a plan may have: their telephone numbers are valid and different up to there.
pub const PEOPLE_MAX: u32 = 10_000_000;
/// Devices of a person: own browser, second browser, the household's tablet, the app.
pub(crate) const DEVICES: usize = 4;
pub(crate) const TABLET: usize = 2;
pub(crate) const APP: usize = 3;

/// What changes about a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// How often a device's cookies were deleted.
    pub life: [u16; DEVICES],
    /// What was chosen on a device, and on which day.
    pub choice: [Option<(DeviceChoice, u16)>; DEVICES],
    /// Logged in on a device.
    pub logged: [bool; DEVICES],
    /// Has an account.
    pub account: bool,
    /// The card was handed out.
    pub card: bool,
    /// Newsletters may be sent to the account's e-mail.
    pub mail: bool,
    /// Minutes since 1970 of the last looks at sneakers, the newest last.
    pub looks: [u32; 3],
}

/// Why somebody comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Turn {
    /// A visit on the web or in the app, by herself.
    Visit,
    /// A visit after a click in the newsletter of a week.
    Click(i64),
    /// A visit that ends in a purchase which the newsletter's experiment decided: it would have been made anyway, or not.
    Decided {
        week: i64,
        anyway: bool,
    },
    /// A purchase in a store.
    Store,
    /// The same, of something that was researched on the web.
    StoreAfterResearch {
        product: u32,
        researched_at: i64,
    },
    Call,
    /// What the CRM knew before the first day arrives with its first export.
    Exported,
    Newsletter {
        week: i64,
        shown: bool,
    },
    Return {
        order: Ordered,
    },
    ReportedAgain {
        order: Ordered,
    },
    Survey {
        order: Ordered,
    },
    Complaint {
        order: Ordered,
    },
    Bot,
}

/// By what an order's buyer is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Named {
    Account,
    GuestEmail,
    Card,
    StoreEmail,
    /// Nothing but the receipt.
    Receipt,
}

/// An order that something may still happen to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Ordered {
    pub number: u64,
    pub place: u8,
    pub cents: i64,
    pub named: Named,
    pub at: i64,
    pub product: u32,
}

/// The shop at work.
#[derive(Debug)]
pub struct Shop {
    pub(crate) plan: Plan,
    pub(crate) outbox: Outbox,
    pub(crate) catalogue: Catalogue,
    pub(crate) people: Vec<State>,
    pub(crate) orders: u64,
    pub(crate) turns: u64,
    today: BinaryHeap<Reverse<(i64, u64, u32, Turn)>>,
    later: BTreeMap<i64, Vec<(i64, u32, Turn)>>,
    queued: u64,
    day: i64,
}

/// So many days after its end the shop still has collections.
const FUTURE_DAYS: i64 = 10 * 365;

/// When people come, in percent of the day's visits by hour (UTC).
const HOURS: [u32; 24] = [1, 1, 0, 0, 0, 1, 2, 4, 5, 5, 5, 6, 6, 5, 5, 5, 5, 6, 8, 10, 9, 6, 3, 2];

impl Shop {
    /// Opens it.
    pub fn new(plan: Plan) -> Result<Shop, TruthError> {
        let plan = Plan { people: plan.people.clamp(1, PEOPLE_MAX), to_ms: plan.to_ms.max(plan.from_ms), ..plan };
        let truth = plan.truth.as_deref().map(Truth::create).transpose()?;
        let first = plan.from_ms.div_euclid(DAY_MS);
        // A living shop has no last day; collections of some years more are enough for it.
        let last = plan.to_ms.div_euclid(DAY_MS) + FUTURE_DAYS;
        let mut shop = Shop {
            outbox: Outbox::new(plan.seed, truth),
            catalogue: Catalogue::new(plan.seed, first, last),
            people: Vec::new(),
            orders: 0,
            turns: 0,
            today: BinaryHeap::new(),
            later: BTreeMap::new(),
            queued: 0,
            day: first - 1,
            plan,
        };
        shop.people = (0..shop.plan.people).map(|person| shop.before(person)).collect();
        Ok(shop)
    }

    /// How a person stands before the first day: some have accounts already.
    fn before(&self, person: u32) -> State {
        let mut dice = Dice::of(self.plan.seed, 61, u64::from(person));
        let account = dice.chance(300_000);
        State { account, mail: account && dice.chance(600_000), ..State::default() }
    }

    /// From the plan's end on, time is shown compressed; for the living shop. To be called before the first line after it.
    pub fn compress(&mut self, compression: Compression) {
        self.outbox.compression = Some(compression);
    }

    /// The plan's first instant.
    pub fn from_ms(&self) -> i64 {
        self.plan.from_ms
    }

    /// Moves the end, so that the shop lives on.
    pub fn extend(&mut self, to_ms: i64) {
        self.plan.to_ms = self.plan.to_ms.max(to_ms);
    }

    /// The next event to arrive; `None` when nothing more arrives before the plan's end. What is still on its way then never
    /// arrives, unless the end is moved.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        loop {
            let next_turn = self.today.peek().map(|Reverse((at, ..))| *at);
            // Nothing that is made from now on arrives before the next turn begins.
            let horizon = next_turn.unwrap_or((self.day + 1) * DAY_MS).min(self.plan.to_ms) - 1;
            if self.outbox.arrives_up_to(horizon) {
                return self.outbox.next(horizon);
            }
            match next_turn {
                Some(at) if at < self.plan.to_ms => {
                    if let Some(Reverse((at, _, person, turn))) = self.today.pop() {
                        self.turn(at, person, turn);
                    }
                }
                Some(_) => return None,
                None if (self.day + 1) * DAY_MS < self.plan.to_ms => self.begin_day(),
                None => return None,
            }
        }
    }

    /// Writes the truth. The shop is closed then.
    pub fn finish(self) -> Result<(), TruthError> {
        let Shop { plan, outbox, catalogue, .. } = self;
        match outbox.truth {
            Some(truth) => truth.finish(plan.seed, plan.people, (plan.from_ms, plan.to_ms), &catalogue.products),
            None => Ok(()),
        }
    }

    fn begin_day(&mut self) {
        self.day += 1;
        let day = self.day;
        if crate::calendar::weekday(day) == 0 {
            self.catalogue.fill_up(u64::from(self.plan.people));
        }
        let mut dice = Dice::of(self.plan.seed, 62, day as u64);
        for person in 0..self.plan.people {
            // One roll decides for most people that they do not come at all.
            let chance = dice.below(1_000_000) as u32;
            let mut from = visits_per_day(activity(self.plan.seed, person));
            if chance < from {
                self.plan_turn(hour(&mut dice, day, false), person, Turn::Visit);
                if dice.chance(120_000) {
                    self.plan_turn(hour(&mut dice, day, false), person, Turn::Visit);
                }
            } else if chance < from + STORE_BUYS_PER_DAY {
                self.plan_turn(hour(&mut dice, day, true), person, Turn::Store);
            } else {
                from += STORE_BUYS_PER_DAY;
                if chance < from + CALLS_PER_DAY {
                    self.plan_turn(hour(&mut dice, day, true), person, Turn::Call);
                }
            }
        }
        for _ in 0..=self.plan.people / 10_000 {
            self.plan_turn(day * DAY_MS + dice.below(DAY_MS as u64) as i64, 0, Turn::Bot);
        }
        if crate::calendar::weekday(day) == 1 {
            self.newsletter(day, &mut dice);
        }
        if day == self.plan.from_ms.div_euclid(DAY_MS) {
            for person in 0..self.plan.people {
                if self.people[person as usize].account {
                    let at = self.plan.from_ms + dice.below(HOUR_MS as u64) as i64;
                    self.plan_turn(at, person, Turn::Exported);
                }
            }
        }
        for (at, person, turn) in self.later.remove(&day).unwrap_or_default() {
            self.plan_turn(at, person, turn);
        }
    }

    /// Something is going to happen.
    pub(crate) fn plan_turn(&mut self, at: i64, person: u32, turn: Turn) {
        let day = at.div_euclid(DAY_MS);
        if day > self.day {
            self.later.entry(day).or_default().push((at, person, turn));
        } else if at >= self.plan.from_ms {
            self.queued += 1;
            self.today.push(Reverse((at, self.queued, person, turn)));
        }
    }

    fn turn(&mut self, at: i64, person: u32, turn: Turn) {
        self.turns += 1;
        let who = Persona::of(self.plan.seed, person);
        let mut dice = Dice::of(self.plan.seed, 63, self.turns);
        match turn {
            Turn::Visit | Turn::Click(_) | Turn::Decided { .. } => self.visit(&who, at, turn, &mut dice),
            Turn::Store | Turn::StoreAfterResearch { .. } => self.store_purchase(&who, at, turn, &mut dice),
            Turn::Exported => self.export(&who, at, &mut dice),
            Turn::Call => self.call(&who, at, &mut dice),
            Turn::Newsletter { week, shown } => self.read_newsletter(&who, at, week, shown, &mut dice),
            Turn::Return { order } => self.give_back(&who, at, order, &mut dice),
            Turn::ReportedAgain { order } => self.report_again(&who, at, order),
            Turn::Survey { order } => self.survey(&who, at, order, &mut dice),
            Turn::Complaint { order } => self.complain(&who, at, order, &mut dice),
            Turn::Bot => self.bot(at, &mut dice),
        }
    }

    /// Whose state a device is in: the tablet is the household's.
    pub(crate) fn holder(&self, who: &Persona, device: usize) -> usize {
        if device == TABLET { (who.household as usize).min(self.people.len() - 1) } else { who.number as usize }
    }

    /// A device's number and its id.
    pub(crate) fn device_id(&self, who: &Persona, device: usize) -> (u64, Anonymous) {
        let holder = self.holder(who, device);
        let number = (holder * DEVICES + device) as u64;
        (number, Anonymous::of(self.plan.seed, number, u64::from(self.people[holder].life[device])))
    }
}

fn hour(dice: &mut Dice, day: i64, shops_are_open: bool) -> i64 {
    let hour = if shops_are_open { dice.between(8, 17) } else { dice.weighted(&HOURS) as i64 };
    day * DAY_MS + hour * HOUR_MS + dice.below(HOUR_MS as u64) as i64
}
