//! A visit on the web or in the app: the banner, the way through the pages, the account, the purchase.

use crate::calendar::sales;
use crate::catalogue::{CATEGORIES, Product, SNEAKERS, sizes};
use crate::consent::{For, marketing, of_device, write as write_consents};
use crate::context::{Browser, DeviceChoice, Place, product as write_product, traits};
use crate::dice::{Dice, MILLION};
use crate::line::{Anonymous, Head, Source, money};
use crate::parameters::{
    DAY_MS, HOUR_MS, LATE_BY_DAYS, LATE_BY_MINUTES, LOOKS_FACTOR, LOOKS_NEEDED, LOOKS_WITHIN_MS, MINUTE_MS,
    RESEARCH_LEADS_TO_STORE, SALES_PERCENT, SECOND_MS, VISIT_BUYS,
};
use crate::person::{Cookies, Persona, clock_off_ms, write_number};
use crate::reference::Fact;
use crate::shop::{APP, Named, Ordered, Shop, TABLET, Turn};

/// A visit under way.
struct Visit<'a> {
    who: &'a Persona,
    device: usize,
    browser: Browser<'a>,
    anonymous: Anonymous,
    clock_off_ms: i64,
    held_back_ms: i64,
    user: Option<u32>,
    at: i64,
}

impl Visit<'_> {
    fn head(&self, dice: &mut Dice, kind: &'static str, name: &'static str) -> Head {
        let late = if self.device != APP && dice.chance(LATE_BY_MINUTES) { dice.between(MINUTE_MS, 30 * MINUTE_MS) } else { 0 };
        Head {
            source: if self.device == APP { Source::App } else { Source::Site },
            kind,
            name,
            person: Some(self.who.number),
            anonymous: Some(self.anonymous),
            user: self.user,
            at: self.at,
            arrival: self.at + self.held_back_ms + late + dice.between(60, 2_400),
            clock_off_ms: self.clock_off_ms,
        }
    }
}

/// The newsletters' campaigns, one a week in turn.
pub(crate) const CAMPAIGNS: [&str; 6] =
    ["sneakers-de-la-semaine", "nouvelle-collection", "ventes-privees", "conseils-running", "en-magasin", "derniers-jours"];

/// The campaign of a week.
pub(crate) fn campaign(week: i64) -> &'static str {
    CAMPAIGNS[week.rem_euclid(CAMPAIGNS.len() as i64) as usize]
}

impl Shop {
    pub(crate) fn visit(&mut self, who: &Persona, at: i64, turn: Turn, dice: &mut Dice) {
        let me = who.number as usize;
        let clicked = matches!(turn, Turn::Click(_));
        let device = if who.app && self.people[me].account && !clicked && dice.chance(450_000) {
            APP
        } else if who.shared_tablet && dice.chance(250_000) {
            TABLET
        } else {
            usize::from(who.second_browser && dice.chance(300_000))
        };
        let holder = self.holder(who, device);
        if device != APP && (who.cookies == Cookies::Refuses || dice.chance(15_000)) {
            // Refused, or deleted since: a new browser for all that one can see.
            let state = &mut self.people[holder];
            state.life[device] = state.life[device].wrapping_add(1);
            state.choice[device] = None;
            state.logged[device] = false;
        }
        let (number, anonymous) = self.device_id(who, device);
        let mut visit = Visit {
            who,
            device,
            browser: Browser {
                who: Some(who),
                device: number,
                app: device == APP,
                campaign: if let Turn::Click(week) = turn { Some(campaign(week)) } else { None },
                choice: self.people[holder].choice[device].map(|(choice, day)| (choice, i64::from(day) * DAY_MS)),
                session: self.turns,
            },
            anonymous,
            clock_off_ms: clock_off_ms(self.plan.seed, number),
            held_back_ms: if device == APP && dice.chance(LATE_BY_DAYS) { dice.between(HOUR_MS, 72 * HOUR_MS) } else { 0 },
            user: (self.people[me].account && self.people[holder].logged[device] && (device != TABLET || dice.chance(300_000)))
                .then_some(who.number),
            at,
        };
        let must_buy = matches!(turn, Turn::Decided { .. });
        let choice = self.banner(&mut visit, holder, dice);
        if device == APP || (self.people[me].account && visit.user.is_none() && (must_buy || dice.chance(300_000))) {
            self.log_in(&mut visit, holder, dice);
        }
        // Who refused is not followed; what she buys is known all the same.
        if !choice.analytics && !must_buy {
            return;
        }
        self.browse(&mut visit, turn, choice, dice);
    }

    /// The cookie banner of a device that has not answered, or a change of mind.
    fn banner(&mut self, visit: &mut Visit<'_>, holder: usize, dice: &mut Dice) -> DeviceChoice {
        let known = self.people[holder].choice[visit.device];
        if let Some((choice, _)) = known
            && !dice.chance(12_000)
        {
            return choice;
        }
        let all = DeviceChoice { analytics: true, personalisation: true, advertising: true };
        let choice = match (visit.who.cookies, known) {
            // The preference centre: advertising off, or on again.
            (_, Some((choice, _))) => DeviceChoice { advertising: !choice.advertising, ..choice },
            (_, None) if visit.device == APP => DeviceChoice { advertising: dice.chance(400_000), ..all },
            (Cookies::Accepts, None) => all,
            (Cookies::AnalyticsOnly, None) => DeviceChoice { analytics: true, ..DeviceChoice::default() },
            (Cookies::Refuses, None) => DeviceChoice::default(),
        };
        self.people[holder].choice[visit.device] = Some((choice, visit.at.div_euclid(DAY_MS) as u16));
        visit.browser.choice = Some((choice, visit.at));
        let head = visit.head(dice, "track", "Consent Updated");
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"banner\":\"v4\"}");
        visit.browser.write(&self.outbox, &mut out, &Place::Home);
        write_consents(&mut self.outbox, &mut out, &head, visit.who, "banner", &of_device(choice));
        out.push(b'}');
        self.outbox.close(&head, out);
        visit.at += dice.between(2 * SECOND_MS, 20 * SECOND_MS);
        choice
    }

    fn log_in(&mut self, visit: &mut Visit<'_>, holder: usize, dice: &mut Dice) {
        // The app stays logged in.
        if visit.user.is_none() {
            visit.user = Some(visit.who.number);
            self.people[holder].logged[visit.device] = true;
            self.identify(visit, &[], dice);
        }
    }

    /// An `identify` call with the account's traits, and what was chosen in its form.
    fn identify(&mut self, visit: &mut Visit<'_>, choices: &[crate::consent::Choice], dice: &mut Dice) {
        let who = visit.who;
        let head = visit.head(dice, "identify", "");
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"traits\":{");
        traits(&mut out, who);
        let mut email = Vec::new();
        who.email(&mut email);
        out.extend_from_slice(b",\"email\":\"");
        out.extend_from_slice(&email);
        out.push(b'"');
        let with_phone = who.number % 10 < 7;
        if with_phone {
            out.extend_from_slice(b",\"phone\":\"");
            who.phone(&mut out);
            out.push(b'"');
        }
        out.push(b'}');
        visit.browser.write(&self.outbox, &mut out, &Place::Other("compte"));
        let card = who.card.filter(|card| self.people[who.number as usize].card && !card.is_multiple_of(3));
        if let Some(card) = card {
            out.extend_from_slice(b",\"externalIds\":[{\"type\":\"loyalty_card\",\"id\":\"");
            write_number(&mut out, card);
            out.extend_from_slice(b"\",\"collection\":\"users\",\"encoding\":\"none\"}]");
        }
        if !choices.is_empty() {
            write_consents(&mut self.outbox, &mut out, &head, who, "account", choices);
        }
        out.push(b'}');
        if let Some(truth) = &mut self.outbox.truth {
            truth.identifier(who.number, "email", &email, head.at);
            if with_phone {
                truth.identifier(who.number, "phone", &crate::consent::phone(who), head.at);
            }
            if let Some(card) = card {
                truth.identifier(who.number, "loyalty_card", card.to_string().as_bytes(), head.at);
            }
        }
        self.outbox.close(&head, out);
        self.bad_events(&head, dice);
        visit.at += dice.between(3 * SECOND_MS, 40 * SECOND_MS);
    }

    /// A new account, and the boxes that were ticked.
    fn sign_up(&mut self, visit: &mut Visit<'_>, holder: usize, dice: &mut Dice) {
        let mut choices = Vec::with_capacity(4);
        let mail = dice.weighted(&[60, 30, 10]);
        if mail < 2 {
            choices.push(marketing("email", mail == 0, For::Email));
        }
        let text = dice.weighted(&[30, 40, 30]);
        if text < 2 {
            choices.push(marketing("sms", text == 0, For::Phone));
        }
        if dice.chance(150_000) {
            choices.push(marketing("call_center", dice.chance(500_000), For::Phone));
        }
        if dice.chance(150_000) {
            choices.push(marketing("postal", true, For::Person));
        }
        let me = visit.who.number as usize;
        self.people[me].account = true;
        self.people[me].mail = mail == 0;
        self.people[holder].logged[visit.device] = true;
        visit.user = Some(visit.who.number);
        self.identify(visit, &choices, dice);
    }

    fn browse(&mut self, visit: &mut Visit<'_>, turn: Turn, choice: DeviceChoice, dice: &mut Dice) {
        let who = visit.who;
        let me = who.number as usize;
        let day = visit.at.div_euclid(DAY_MS);
        let category = match turn {
            Turn::Click(week) if campaign(week).starts_with("sneakers") => SNEAKERS,
            _ => who.tastes[dice.weighted(&[65, 25, 10])],
        };
        let must_buy = matches!(turn, Turn::Decided { .. });
        if choice.analytics {
            let entrance = dice.weighted(&[45, 35, 20]);
            if entrance == 0 {
                self.page(visit, "Home", &Place::Home, dice);
            }
            if entrance < 2 {
                self.page(visit, "Category", &Place::List(CATEGORIES[category].0), dice);
            }
            if dice.chance(120_000) {
                self.search(visit, category, dice);
            }
        }
        let views = 1 + dice.weighted(&[40, 30, 15, 9, 6]);
        let mut seen = 0;
        for _ in 0..views {
            seen = self.catalogue.choose(dice, day, category, who.brand);
            if choice.analytics {
                self.look(visit, seen, dice);
            }
        }
        let recent = self.people[me].looks.iter().filter(|minute| i64::from(**minute) * MINUTE_MS > visit.at - LOOKS_WITHIN_MS);
        let looked = category == SNEAKERS && recent.count() >= LOOKS_NEEDED;
        let base = VISIT_BUYS * if sales(day).is_some() { SALES_PERCENT } else { 100 } / 100;
        let roll = dice.below(u64::from(MILLION)) as u32;
        let cause = match turn {
            Turn::Decided { anyway: true, .. } => Some("habit"),
            Turn::Decided { anyway: false, .. } => Some("mail"),
            _ if roll < base => Some("habit"),
            _ if looked && roll < base * LOOKS_FACTOR => Some("looks"),
            _ => None,
        };
        match cause {
            Some(cause) => {
                let week = if let Turn::Decided { week, .. } = turn { Some(week) } else { None };
                self.buy(visit, seen, cause, week, choice, dice);
            }
            None => {
                if dice.chance(90_000) {
                    self.add(visit, seen, dice);
                }
                if dice.chance(RESEARCH_LEADS_TO_STORE) && !must_buy {
                    let then = (day + dice.between(1, 6)) * DAY_MS + dice.between(9 * HOUR_MS, 18 * HOUR_MS);
                    let turn = Turn::StoreAfterResearch { product: seen as u32, researched_at: visit.at };
                    self.plan_turn(then, who.number, turn);
                }
            }
        }
    }

    fn page(&mut self, visit: &mut Visit<'_>, name: &'static str, place: &Place<'_>, dice: &mut Dice) {
        let head = visit.head(dice, if visit.device == APP { "screen" } else { "page" }, name);
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"site\":\"fr\",\"template\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\"}");
        visit.browser.write(&self.outbox, &mut out, place);
        out.push(b'}');
        self.outbox.close(&head, out);
        visit.at += dice.between(4 * SECOND_MS, 60 * SECOND_MS);
    }

    fn search(&mut self, visit: &mut Visit<'_>, category: usize, dice: &mut Dice) {
        let head = visit.head(dice, "track", "Products Searched");
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"query\":\"");
        out.extend_from_slice(CATEGORIES[category].1.to_lowercase().as_bytes());
        out.extend_from_slice(b"\",\"results\":");
        write_number(&mut out, dice.below(40));
        out.push(b'}');
        visit.browser.write(&self.outbox, &mut out, &Place::Other("recherche"));
        out.push(b'}');
        self.outbox.close(&head, out);
        visit.at += dice.between(4 * SECOND_MS, 60 * SECOND_MS);
    }

    fn price(&self, product: &Product, day: i64) -> i64 {
        // The last collection is on sale, the new one is not.
        match sales(day) {
            Some(off) if product.season < crate::calendar::season(day) => product.price_cents * i64::from(100 - off) / 100,
            _ => product.price_cents,
        }
    }

    /// `Product Viewed` or `Product Added`
    fn about_product(&mut self, visit: &mut Visit<'_>, index: usize, name: &'static str, dice: &mut Dice) -> Head {
        let head = visit.head(dice, "track", name);
        let mut out = self.outbox.open(&head);
        let product = &self.catalogue.products[index];
        let price = self.price(product, visit.at.div_euclid(DAY_MS));
        let all = sizes(product.category);
        out.extend_from_slice(b",\"properties\":{");
        write_product(&mut out, product, all[visit.who.size(product.category)], price);
        out.extend_from_slice(b",\"on_sale\":");
        out.extend_from_slice(if price < product.price_cents { b"true" } else { b"false" });
        out.extend_from_slice(b",\"sizes_in_stock\":[");
        let mut first = true;
        for (size, name) in all.iter().enumerate() {
            if self.catalogue.stock(index, size, 0) > 0 {
                out.extend_from_slice(if first { b"\"" } else { b",\"" });
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
                first = false;
            }
        }
        out.extend_from_slice(b"]}");
        visit.browser.write(&self.outbox, &mut out, &Place::Product(product));
        out.push(b'}');
        self.outbox.close(&head, out);
        self.bad_events(&head, dice);
        visit.at += dice.between(8 * SECOND_MS, 120 * SECOND_MS);
        head
    }

    fn look(&mut self, visit: &mut Visit<'_>, index: usize, dice: &mut Dice) {
        let sneakers = self.catalogue.products[index].category == SNEAKERS;
        if sneakers {
            let looks = &mut self.people[visit.who.number as usize].looks;
            *looks = [looks[1], looks[2], (visit.at / MINUTE_MS) as u32];
        }
        let head = self.about_product(visit, index, "Product Viewed", dice);
        self.fact(visit.who, Fact::Look { sneakers }, &head);
    }

    fn add(&mut self, visit: &mut Visit<'_>, index: usize, dice: &mut Dice) {
        let head = self.about_product(visit, index, "Product Added", dice);
        self.fact(visit.who, Fact::Added, &head);
    }

    pub(crate) fn fact(&mut self, who: &Persona, fact: Fact, head: &Head) {
        if let Some(truth) = &mut self.outbox.truth {
            truth.fact(who.number, fact, head.at, head.arrival);
        }
    }

    /// A purchase on the web, if there is a piece in her size.
    fn buy(
        &mut self,
        visit: &mut Visit<'_>,
        wanted: usize,
        cause: &'static str,
        week: Option<i64>,
        choice: DeviceChoice,
        dice: &mut Dice,
    ) {
        let who = visit.who;
        let me = who.number as usize;
        let day = visit.at.div_euclid(DAY_MS);
        let category = self.catalogue.products[wanted].category;
        let mut index = wanted;
        for _ in 0..20 {
            if self.catalogue.take(index, who.size(category), 0) {
                break;
            }
            index = self.catalogue.choose(dice, day, category, who.brand);
        }
        if choice.analytics {
            self.add(visit, index, dice);
            self.page(visit, "Checkout", &Place::Other("commande"), dice);
        }
        if !self.people[me].account && dice.chance(550_000) {
            let holder = self.holder(who, visit.device);
            self.sign_up(visit, holder, dice);
        }
        self.orders += 1;
        let (number, cents) = (self.orders, self.price(&self.catalogue.products[index], day));
        let shipping = if cents >= 8_000 { 0 } else { 490 };
        let total = cents + shipping;
        let named = if visit.user.is_some() { Named::Account } else { Named::GuestEmail };
        let head = visit.head(dice, "track", "Order Completed");
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"order_id\":\"");
        order_id(&mut out, 0, number);
        out.extend_from_slice(b"\",\"channel\":\"web\",\"total\":");
        money(&mut out, total);
        out.extend_from_slice(b",\"shipping\":");
        money(&mut out, shipping);
        out.extend_from_slice(b",\"currency\":\"EUR\",\"products\":[{");
        let product = &self.catalogue.products[index];
        write_product(&mut out, product, sizes(category)[who.size(category)], cents);
        out.extend_from_slice(b"}]}");
        visit.browser.write(&self.outbox, &mut out, &Place::Other("merci"));
        if named == Named::GuestEmail {
            out.extend_from_slice(b",\"traits\":{\"email\":\"");
            let mut email = Vec::new();
            who.email(&mut email);
            out.extend_from_slice(&email);
            out.extend_from_slice(b"\"}");
            if let Some(truth) = &mut self.outbox.truth {
                truth.identifier(who.number, "email", &email, head.at);
            }
        }
        out.push(b'}');
        self.outbox.close(&head, out);
        self.fact(who, Fact::Order { order: number, cents: total, store: false }, &head);
        let because = week.map(campaign);
        let order = Ordered { number, place: 0, cents: total, named, at: head.at, product: index as u32 };
        self.purchased(who, order, cause, because, dice);
    }
}

/// Appends an order's id.
pub(crate) fn order_id(out: &mut Vec<u8>, place: u8, number: u64) {
    out.extend_from_slice([b"W-", b"L-", b"Y-"][usize::from(place).min(2)]);
    write_number(out, number + 10_000_000);
}
