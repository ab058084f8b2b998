//! Purchases in the two stores: receipts with a card, with an e-mail, with nothing.

use crate::calendar::{sales, season};
use crate::catalogue::{PLACES, sizes};
use crate::consent::{For, marketing, write as write_consents};
use crate::context::{product as write_product, server, traits};
use crate::dice::Dice;
use crate::line::{Anonymous, Head, Source, money};
use crate::parameters::{DAY_MS, HOUR_MS, MINUTE_MS, MISTYPED, TILL_LATE};
use crate::person::{Persona, write_number};
use crate::reference::Fact;
use crate::shop::{Named, Ordered, Shop, Turn};
use crate::visit::order_id;

impl Shop {
    pub(crate) fn store_purchase(&mut self, who: &Persona, at: i64, turn: Turn, dice: &mut Dice) {
        // Lille for the north, Lyon for the others.
        let place: u8 = if matches!(who.city, 0 | 2 | 3) { 1 } else { 2 };
        let day = at.div_euclid(DAY_MS);
        let wanted = match turn {
            Turn::StoreAfterResearch { product, .. } => product as usize,
            _ => {
                let category = who.tastes[dice.weighted(&[60, 25, 15])];
                self.catalogue.choose(dice, day, category, who.brand)
            }
        };
        let category = self.catalogue.products[wanted].category;
        let mut index = wanted;
        for _ in 0..20 {
            if self.catalogue.take(index, who.size(category), usize::from(place)) {
                break;
            }
            index = self.catalogue.choose(dice, day, category, who.brand);
        }
        let arrival = if dice.chance(TILL_LATE) {
            // The till could not reach the head office: tonight.
            (day + 1) * DAY_MS + dice.between(HOUR_MS, 3 * HOUR_MS)
        } else {
            at + dice.between(900, 20_000)
        };
        if who.card.is_some() && !self.people[who.number as usize].card && dice.chance(700_000) {
            self.hand_out_card(who, at - 5 * MINUTE_MS, arrival, dice);
        }
        let named = match who.card.filter(|_| self.people[who.number as usize].card && dice.chance(800_000)) {
            Some(_) => Named::Card,
            None if dice.chance(350_000) => Named::StoreEmail,
            None => Named::Receipt,
        };
        self.orders += 1;
        let number = self.orders;
        let product = &self.catalogue.products[index];
        let cents = match sales(day) {
            Some(off) if product.season < season(day) => product.price_cents * i64::from(100 - off) / 100,
            _ => product.price_cents,
        };
        let head = Head {
            source: Source::Till,
            kind: "track",
            name: "Order Completed",
            person: Some(who.number),
            anonymous: (named == Named::Receipt).then(|| Anonymous::of(self.plan.seed, u64::MAX / 2, number)),
            user: None,
            at,
            arrival,
            clock_off_ms: 0,
        };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"order_id\":\"");
        order_id(&mut out, place, number);
        out.extend_from_slice(b"\",\"channel\":\"store\",\"store\":\"");
        out.extend_from_slice(PLACES[usize::from(place)].as_bytes());
        out.extend_from_slice(b"\",\"till\":");
        write_number(&mut out, 1 + number % 4);
        out.extend_from_slice(b",\"payment\":\"card\",\"total\":");
        money(&mut out, cents);
        out.extend_from_slice(b",\"currency\":\"EUR\",\"products\":[{");
        write_product(&mut out, product, sizes(category)[who.size(category)], cents);
        out.extend_from_slice(b"}]}");
        server(&mut out, "maison-till");
        let mistyped = if dice.chance(MISTYPED) { Some(dice.chance(200_000)) } else { None };
        self.name_buyer(who, named, mistyped, &head, &mut out);
        out.push(b'}');
        self.outbox.close(&head, out);
        self.fact(who, Fact::Order { order: number, cents, store: true }, &head);
        let (cause, researched) = match turn {
            Turn::StoreAfterResearch { researched_at, .. } => ("research", Some(researched_at.to_string())),
            _ => ("store", None),
        };
        let order = Ordered { number, place, cents, named, at, product: index as u32 };
        self.purchased(who, order, cause, researched.as_deref(), dice);
    }

    /// Appends what names the buyer to a context. `mistyped`: the e-mail is not hers; `Some(true)`: but somebody else's.
    pub(crate) fn name_buyer(&mut self, who: &Persona, named: Named, mistyped: Option<bool>, head: &Head, out: &mut Vec<u8>) {
        let mut email = Vec::new();
        match named {
            Named::Account | Named::Receipt => {}
            Named::GuestEmail => who.email(&mut email),
            Named::StoreEmail => match mistyped {
                None => who.store_email(&mut email),
                Some(true) => Persona::of(self.plan.seed, (who.number + 1) % self.plan.people).email(&mut email),
                Some(false) => {
                    who.store_email(&mut email);
                    email.truncate(email.len() - 3);
                    email.extend_from_slice(b"orf");
                }
            },
            Named::Card => {
                if let Some(card) = who.card {
                    out.extend_from_slice(b",\"externalIds\":[{\"type\":\"loyalty_card\",\"id\":\"");
                    write_number(out, card);
                    out.extend_from_slice(b"\",\"collection\":\"users\",\"encoding\":\"none\"}]");
                    if let Some(truth) = &mut self.outbox.truth {
                        truth.identifier(who.number, "loyalty_card", card.to_string().as_bytes(), head.at);
                    }
                }
            }
        }
        if !email.is_empty() {
            out.extend_from_slice(b",\"traits\":{\"email\":\"");
            out.extend_from_slice(&email);
            out.extend_from_slice(b"\"}");
            if let Some(truth) = &mut self.outbox.truth {
                truth.identifier(who.number, "email", &email, head.at);
            }
        }
    }

    /// A form at the till: the card, an e-mail, perhaps a telephone, and the boxes.
    fn hand_out_card(&mut self, who: &Persona, at: i64, arrival: i64, dice: &mut Dice) {
        let Some(card) = who.card else { return };
        self.people[who.number as usize].card = true;
        let head = Head {
            source: Source::Till,
            kind: "identify",
            name: "",
            person: Some(who.number),
            anonymous: None,
            user: None,
            at,
            arrival,
            clock_off_ms: 0,
        };
        let with_phone = dice.chance(600_000);
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"traits\":{");
        traits(&mut out, who);
        let mut email = Vec::new();
        who.store_email(&mut email);
        out.extend_from_slice(b",\"email\":\"");
        out.extend_from_slice(&email);
        out.push(b'"');
        if with_phone {
            out.extend_from_slice(b",\"phone\":\"");
            who.phone(&mut out);
            out.push(b'"');
        }
        out.push(b'}');
        server(&mut out, "maison-till");
        out.extend_from_slice(b",\"externalIds\":[{\"type\":\"loyalty_card\",\"id\":\"");
        write_number(&mut out, card);
        out.extend_from_slice(b"\",\"collection\":\"users\",\"encoding\":\"none\"}]");
        let mail = dice.weighted(&[45, 20, 35]);
        let mut choices = Vec::with_capacity(3);
        if mail < 2 {
            choices.push(marketing("email", mail == 0, For::StoreEmail));
        }
        if with_phone && dice.chance(500_000) {
            choices.push(marketing("sms", dice.chance(450_000), For::Phone));
        }
        if with_phone && dice.chance(300_000) {
            choices.push(marketing("call_center", dice.chance(500_000), For::Phone));
        }
        if !choices.is_empty() {
            write_consents(&mut self.outbox, &mut out, &head, who, "store", &choices);
        }
        out.push(b'}');
        if let Some(truth) = &mut self.outbox.truth {
            truth.identifier(who.number, "email", &email, at);
            truth.identifier(who.number, "loyalty_card", card.to_string().as_bytes(), at);
            if with_phone {
                truth.identifier(who.number, "phone", &crate::consent::phone(who), at);
            }
        }
        self.outbox.close(&head, out);
    }
}
