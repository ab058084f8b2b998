//! What comes after a purchase, and who calls: returns, surveys, complaints, the ERP, the call centre.

use crate::catalogue::CATEGORIES;
use crate::consent::{Choice, For, marketing, write as write_consents};
use crate::context::{server, traits};
use crate::dice::Dice;
use crate::line::{Anonymous, Head, Source, money};
use crate::parameters::{ANSWERS_SURVEY, COMPLAINS, DAY_MS, HOUR_MS, REPORTED_AGAIN, RETURNED};
use crate::person::{Persona, write_number};
use crate::reference::Fact;
use crate::shop::{Named, Ordered, Shop, Turn};
use crate::visit::order_id;

impl Shop {
    /// Writes down an order and its cause, and what will follow from it.
    pub(crate) fn purchased(&mut self, who: &Persona, order: Ordered, cause: &str, caused_by: Option<&str>, dice: &mut Dice) {
        if let Some(truth) = &mut self.outbox.truth {
            let mut id = Vec::new();
            order_id(&mut id, order.place, order.number);
            let place = crate::catalogue::PLACES[usize::from(order.place)];
            truth.purchases.push([
                id.as_slice().into(),
                who.number.into(),
                place.into(),
                order.at.into(),
                order.cents.into(),
                cause.into(),
                caused_by.into(),
            ]);
        }
        let mut follow = |shop: &mut Shop, ppm: u32, days: (i64, i64), turn: Turn| {
            if dice.chance(ppm) {
                let then = order.at + dice.between(days.0, days.1) * DAY_MS + dice.between(0, 9 * HOUR_MS);
                shop.plan_turn(then, who.number, turn);
            }
        };
        if order.named != Named::Receipt {
            follow(self, RETURNED, (4, 20), Turn::Return { order });
            follow(self, ANSWERS_SURVEY, (2, 6), Turn::Survey { order });
            follow(self, COMPLAINS, (2, 12), Turn::Complaint { order });
        }
        if order.named == Named::Account {
            follow(self, REPORTED_AGAIN, (1, 1), Turn::ReportedAgain { order });
        }
    }

    /// A row of the CRM's first export: an account of long ago, and the choices made then.
    pub(crate) fn export(&mut self, who: &Persona, at: i64, dice: &mut Dice) {
        let head = Head {
            source: Source::Crm,
            kind: "identify",
            name: "",
            person: Some(who.number),
            anonymous: None,
            user: Some(who.number),
            at: at - dice.between(1, 300) * DAY_MS,
            arrival: at + 500,
            clock_off_ms: 0,
        };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"traits\":{");
        traits(&mut out, who);
        out.extend_from_slice(b",\"email\":\"");
        let mut email = Vec::new();
        who.email(&mut email);
        out.extend_from_slice(&email);
        out.extend_from_slice(b"\",\"phone\":\"");
        who.phone(&mut out);
        out.extend_from_slice(b"\"}");
        server(&mut out, "maison-crm");
        let mut choices = vec![marketing("email", self.people[who.number as usize].mail, For::Email)];
        if dice.chance(400_000) {
            choices.push(marketing("sms", dice.chance(500_000), For::Phone));
        }
        if dice.chance(300_000) {
            choices.push(marketing("call_center", dice.chance(500_000), For::Phone));
        }
        if dice.chance(300_000) {
            choices.push(marketing("postal", dice.chance(700_000), For::Person));
        }
        write_consents(&mut self.outbox, &mut out, &head, who, "crm", &choices);
        out.push(b'}');
        if let Some(truth) = &mut self.outbox.truth {
            truth.identifier(who.number, "email", &email, head.at);
            truth.identifier(who.number, "phone", &crate::consent::phone(who), head.at);
        }
        self.outbox.close(&head, out);
    }

    fn service_head(&self, who: &Persona, name: &'static str, at: i64, named: Named, dice: &mut Dice) -> Head {
        Head {
            source: Source::Crm,
            kind: "track",
            name,
            person: Some(who.number),
            anonymous: None,
            user: (named == Named::Account).then_some(who.number),
            at,
            arrival: at + dice.between(400, 90_000),
            clock_off_ms: 0,
        }
    }

    pub(crate) fn give_back(&mut self, who: &Persona, at: i64, order: Ordered, dice: &mut Dice) {
        let head = self.service_head(who, "Order Refunded", at, order.named, dice);
        let whole = dice.chance(700_000);
        let cents = if whole { None } else { Some(order.cents / 2) };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"order_id\":\"");
        order_id(&mut out, order.place, order.number);
        out.extend_from_slice(b"\",\"reason\":\"");
        let reason = *dice.pick(&["too small", "too large", "not as in the picture", "changed my mind", "defect"]);
        out.extend_from_slice(reason.as_bytes());
        out.push(b'"');
        if let Some(cents) = cents {
            out.extend_from_slice(b",\"total\":");
            money(&mut out, cents);
        }
        out.extend_from_slice(b",\"currency\":\"EUR\",\"product_id\":\"");
        out.extend_from_slice(self.catalogue.products[order.product as usize].id.as_bytes());
        out.extend_from_slice(b"\"}");
        server(&mut out, "maison-service");
        self.name_buyer(who, order.named, None, &head, &mut out);
        out.push(b'}');
        self.outbox.close(&head, out);
        self.fact(who, Fact::Refund { order: order.number, cents }, &head);
    }

    /// The ERP's nightly export: the same order, another message.
    pub(crate) fn report_again(&mut self, who: &Persona, at: i64, order: Ordered) {
        let head = Head {
            source: Source::Crm,
            kind: "track",
            name: "Order Completed",
            person: Some(who.number),
            anonymous: None,
            user: Some(who.number),
            at: order.at,
            arrival: at,
            clock_off_ms: 0,
        };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"order_id\":\"");
        order_id(&mut out, order.place, order.number);
        out.extend_from_slice(b"\",\"channel\":\"web\",\"total\":");
        money(&mut out, order.cents);
        out.extend_from_slice(b",\"currency\":\"EUR\",\"reported_by\":\"erp\"}");
        server(&mut out, "maison-erp");
        out.push(b'}');
        self.outbox.close(&head, out);
        self.fact(who, Fact::Order { order: order.number, cents: order.cents, store: false }, &head);
    }

    pub(crate) fn survey(&mut self, who: &Persona, at: i64, order: Ordered, dice: &mut Dice) {
        let head = self.service_head(who, "Survey Answered", at, order.named, dice);
        let kind = dice.weighted(&[45, 35, 20]);
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"kind\":\"");
        out.extend_from_slice(["nps", "csat", "preferences"][kind].as_bytes());
        out.extend_from_slice(b"\",\"order_id\":\"");
        order_id(&mut out, order.place, order.number);
        out.push(b'"');
        let score = match kind {
            0 => dice.weighted(&[2, 1, 1, 2, 2, 5, 7, 12, 22, 24, 22]) as i64,
            _ => 1 + dice.weighted(&[5, 8, 17, 35, 35]) as i64,
        };
        if kind < 2 {
            out.extend_from_slice(b",\"score\":");
            write_number(&mut out, score as u64);
        } else {
            out.extend_from_slice(b",\"favourite_category\":\"");
            out.extend_from_slice(CATEGORIES[who.tastes[0]].0.as_bytes());
            out.extend_from_slice(b"\",\"shoe_size\":\"");
            out.extend_from_slice(crate::catalogue::sizes(0)[who.shoe_size].as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
        server(&mut out, "maison-survey");
        self.name_buyer(who, order.named, None, &head, &mut out);
        out.push(b'}');
        self.outbox.close(&head, out);
        if kind == 0 {
            self.fact(who, Fact::Recommends(score), &head);
        }
    }

    pub(crate) fn complain(&mut self, who: &Persona, at: i64, order: Ordered, dice: &mut Dice) {
        let head = self.service_head(who, "Complaint Filed", at, order.named, dice);
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"order_id\":\"");
        order_id(&mut out, order.place, order.number);
        out.extend_from_slice(b"\",\"about\":\"");
        out.extend_from_slice(dice.pick(&["delivery", "quality", "size", "refund"]).as_bytes());
        out.extend_from_slice(b"\",\"severity\":");
        write_number(&mut out, 1 + dice.below(3));
        out.push(b'}');
        server(&mut out, "maison-service");
        self.name_buyer(who, order.named, None, &head, &mut out);
        out.push(b'}');
        self.outbox.close(&head, out);
    }

    /// A call: what it was about, how it ended, and sometimes that she wants no more of them.
    pub(crate) fn call(&mut self, who: &Persona, at: i64, dice: &mut Dice) {
        let found = self.people[who.number as usize].account && dice.chance(600_000);
        let hidden = !found && dice.chance(150_000);
        let head = Head {
            source: Source::Call,
            kind: "track",
            name: "Call Ended",
            person: Some(who.number),
            anonymous: hidden.then(|| Anonymous::of(self.plan.seed, u64::MAX / 3, self.turns)),
            user: found.then_some(who.number),
            at,
            arrival: at + dice.between(1_000, 240_000),
            clock_off_ms: 0,
        };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"direction\":\"inbound\",\"reason\":\"");
        out.extend_from_slice(dice.pick(&["delivery", "return", "advice", "stock in store", "complaint"]).as_bytes());
        out.extend_from_slice(b"\",\"outcome\":\"");
        out.extend_from_slice(dice.pick(&["solved", "solved", "solved", "called back", "passed on"]).as_bytes());
        out.extend_from_slice(b"\",\"duration_s\":");
        write_number(&mut out, dice.below(900) + 30);
        out.extend_from_slice(b",\"waited_s\":");
        write_number(&mut out, dice.below(300));
        out.push(b'}');
        server(&mut out, "maison-call-centre");
        if !hidden {
            out.extend_from_slice(b",\"traits\":{\"phone\":\"");
            who.phone(&mut out);
            out.extend_from_slice(b"\"}");
            if let Some(truth) = &mut self.outbox.truth {
                truth.identifier(who.number, "phone", &crate::consent::phone(who), at);
            }
            let choice = match dice.weighted(&[76, 10, 10, 4]) {
                1 => Some(marketing("call_center", false, For::Phone)),
                2 => Some(marketing("call_center", true, For::Phone)),
                // She objects to all advertising, by whatever way.
                3 if found => Some(Choice { purpose: "marketing", channel: None, granted: false, target: For::Person }),
                _ => None,
            };
            if let Some(choice) = choice {
                if choice.channel.is_none() {
                    self.people[who.number as usize].mail = false;
                }
                write_consents(&mut self.outbox, &mut out, &head, who, "call", &[choice]);
            }
        }
        out.push(b'}');
        self.outbox.close(&head, out);
    }
}
