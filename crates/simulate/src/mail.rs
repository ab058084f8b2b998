//! The weekly newsletter: an experiment with a control group, whose effect is known.

use crate::consent::{For, marketing, write as write_consents};
use crate::context::server;
use crate::dice::{Dice, MILLION};
use crate::line::{Head, Source};
use crate::parameters::{
    DAY_MS, HOUR_MS, MAIL_CLICKED, MAIL_HELD_OUT, MAIL_READ, MAIL_UNSUBSCRIBED, MINUTE_MS, buys_anyway, buys_because_shown,
};
use crate::person::Persona;
use crate::reference::Fact;
use crate::shop::{Shop, Turn};
use crate::visit::campaign;

impl Shop {
    /// Tuesday at eight: who may be written to and would read it is shown it or held out.
    pub(crate) fn newsletter(&mut self, day: i64, dice: &mut Dice) {
        let week = day.div_euclid(7);
        for person in 0..self.plan.people {
            if self.people[person as usize].mail && dice.chance(MAIL_READ) {
                let shown = !dice.chance(MAIL_HELD_OUT);
                let at = day * DAY_MS + 8 * HOUR_MS + dice.below(12 * HOUR_MS as u64) as i64;
                self.plan_turn(at, person, Turn::Newsletter { week, shown });
            }
        }
    }

    pub(crate) fn read_newsletter(&mut self, who: &Persona, at: i64, week: i64, shown: bool, dice: &mut Dice) {
        // An unsubscription of this week may have come before.
        if !self.people[who.number as usize].mail {
            return;
        }
        // One roll for both worlds: what she does anyway she does when it is shown, too.
        let roll = dice.below(u64::from(MILLION)) as u32;
        let (anyway, added) = (buys_anyway(who.customer), buys_because_shown(who.customer));
        let buys_anyway = roll < anyway;
        let buys_if_shown = roll < anyway + added;
        if let Some(truth) = &mut self.outbox.truth {
            truth.exposures.push([
                campaign(week).into(),
                who.number.into(),
                who.customer.as_str().into(),
                if shown { "shown" } else { "held_out" }.into(),
                at.into(),
                anyway.into(),
                added.into(),
                i64::from(buys_anyway).into(),
                i64::from(buys_if_shown).into(),
            ]);
        }
        if buys_anyway || (shown && buys_if_shown) {
            let then = at + dice.between(HOUR_MS, 3 * DAY_MS - HOUR_MS);
            self.plan_turn(then, who.number, Turn::Decided { week, anyway: buys_anyway });
        }
        if !shown {
            return;
        }
        self.mail_event(who, "Email Opened", at, week, false, dice);
        if dice.chance(MAIL_CLICKED) {
            self.mail_event(who, "Email Link Clicked", at + MINUTE_MS, week, false, dice);
            self.plan_turn(at + MINUTE_MS + 2_000, who.number, Turn::Click(week));
        } else if dice.chance(MAIL_UNSUBSCRIBED) {
            self.people[who.number as usize].mail = false;
            self.mail_event(who, "Unsubscribed", at + 2 * MINUTE_MS, week, true, dice);
        }
    }

    fn mail_event(&mut self, who: &Persona, name: &'static str, at: i64, week: i64, unsubscribes: bool, dice: &mut Dice) {
        let head = Head {
            source: Source::Mail,
            kind: "track",
            name,
            person: Some(who.number),
            anonymous: None,
            user: None,
            at,
            arrival: at + dice.between(1_000, 120_000),
            clock_off_ms: 0,
        };
        let mut out = self.outbox.open(&head);
        out.extend_from_slice(b",\"properties\":{\"campaign_id\":\"");
        out.extend_from_slice(campaign(week).as_bytes());
        out.extend_from_slice(
            b"\",\"email_subject\":\"Maison Lumi\xc3\xa8re: les nouveaut\xc3\xa9s de la semaine\",\"client\":\"",
        );
        out.extend_from_slice(dice.pick(&["Apple Mail", "Gmail", "Outlook", "Orange"]).as_bytes());
        out.extend_from_slice(b"\"}");
        server(&mut out, "maison-mail");
        let mut email = Vec::new();
        who.email(&mut email);
        out.extend_from_slice(b",\"traits\":{\"email\":\"");
        out.extend_from_slice(&email);
        out.extend_from_slice(b"\"}");
        if unsubscribes {
            write_consents(&mut self.outbox, &mut out, &head, who, "unsubscribe link", &[marketing("email", false, For::Email)]);
        }
        out.push(b'}');
        if let Some(truth) = &mut self.outbox.truth {
            truth.identifier(who.number, "email", &email, at);
        }
        self.outbox.close(&head, out);
        if name == "Email Opened" {
            self.fact(who, Fact::Opened, &head);
        }
    }
}
