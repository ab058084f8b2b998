//! What a collector has to live with: robots, and events that cannot be understood. (Late and repeated events and wrong clocks are
//! made where events are written.)

use crate::catalogue::CATEGORIES;
use crate::context::{Browser, Place, product as write_product};
use crate::dice::Dice;
use crate::line::{Anonymous, Head, Source};
use crate::parameters::{BAD, DAY_MS};
use crate::shop::Shop;

impl Shop {
    /// A price robot walks through the catalogue at four pages a second.
    pub(crate) fn bot(&mut self, at: i64, dice: &mut Dice) {
        let device = u64::MAX / 5 + dice.below(7);
        let anonymous = Anonymous::of(self.plan.seed, device, self.turns);
        let browser = Browser { who: None, device, app: false, campaign: None, choice: None, session: self.turns };
        let pages = dice.between(15, 50);
        for page in 0..pages {
            let time = at + page * 250;
            let category = dice.below(CATEGORIES.len() as u64) as usize;
            let index = self.catalogue.choose(dice, at.div_euclid(DAY_MS), category, 0);
            let head = Head {
                source: Source::Site,
                kind: "track",
                name: "Product Viewed",
                person: None,
                anonymous: Some(anonymous),
                user: None,
                at: time,
                arrival: time + dice.between(20, 90),
                clock_off_ms: 0,
            };
            let mut out = self.outbox.open(&head);
            let product = &self.catalogue.products[index];
            out.extend_from_slice(b",\"properties\":{");
            write_product(&mut out, product, "", product.price_cents);
            out.push(b'}');
            browser.write(&self.outbox, &mut out, &Place::Product(product));
            out.push(b'}');
            self.outbox.close(&head, out);
        }
    }

    /// Now and then, something that collection must refuse follows a good event.
    pub(crate) fn bad_events(&mut self, after: &Head, dice: &mut Dice) {
        if !dice.chance(BAD) {
            return;
        }
        let mut head: Vec<u8> = Vec::with_capacity(256);
        head.extend_from_slice(b"{\"receivedAt\":\"");
        self.outbox.instant(&mut head, after.arrival);
        head.extend_from_slice(b"\",\"timestamp\":\"");
        self.outbox.instant(&mut head, after.at);
        head.extend_from_slice(b"\",\"writeKey\":\"");
        head.extend_from_slice(after.source.write_key().as_bytes());
        let rest = *dice.pick(&[
            // Nobody is named.
            "\",\"type\":\"track\",\"event\":\"Product Viewed\",\"properties\":{\"product_id\":\"SNE-0\"}}",
            // An amount in quotes.
            "\",\"type\":\"track\",\"event\":\"Order Completed\",\"anonymousId\":\"old-app\",\"properties\":{\"order_id\":\"X\",\"total\":\"89.90\"}}",
            // A list where an object belongs.
            "\",\"type\":\"track\",\"event\":\"Product Viewed\",\"anonymousId\":\"old-app\",\"properties\":[\"SNE-0\"]}",
            // A call that does not exist.
            "\",\"type\":\"trak\",\"event\":\"Product Viewed\",\"anonymousId\":\"old-app\"}",
            // A consent for a purpose that nobody declared.
            "\",\"type\":\"track\",\"event\":\"Consent Updated\",\"anonymousId\":\"old-app\",\"context\":{\"consents\":[{\"purpose\":\"everything\",\"state\":\"granted\"}]}}",
            // No name.
            "\",\"type\":\"track\",\"anonymousId\":\"old-app\",\"properties\":{}}",
        ]);
        head.extend_from_slice(rest.as_bytes());
        self.outbox.bad(after.arrival + 1, after.source, head);
    }
}
