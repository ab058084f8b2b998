//! Who comes to the shop: what stays the same about a person, computed from her number whenever it is needed, so that a million
//! of them need no memory for it.

use crate::catalogue::{BRANDS, CATEGORIES, COLOURS, sizes};
use crate::dice::{Dice, MILLION};
use crate::parameters::{ACTIVITY_WEIGHTS, CLOCK_OFF, HOUR_MS, MINUTE_MS};

/// Kinds of customers: what a newsletter does depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Customer {
    /// Comes anyway.
    Loyal,
    /// Now and then.
    Occasional,
    /// Has not come for long.
    Dormant,
    /// Waits for a good price.
    Bargain,
}

impl Customer {
    /// As the truth names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Customer::Loyal => "loyal",
            Customer::Occasional => "occasional",
            Customer::Dormant => "dormant",
            Customer::Bargain => "bargain",
        }
    }
}

/// What a visitor does about cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cookies {
    /// Accepts all.
    Accepts,
    /// Audience measurement, no advertising.
    AnalyticsOnly,
    /// Refuses all: every visit is a new browser.
    Refuses,
}

/// What stays the same about a person.
#[derive(Clone, Debug)]
pub struct Persona {
    /// Her number.
    pub number: u32,
    /// Her household's number.
    pub household: u32,
    /// Categories, the dearest first.
    pub tastes: [usize; 3],
    /// Index in [`BRANDS`].
    pub brand: usize,
    /// Index in [`COLOURS`].
    pub colour: usize,
    /// Index in the sizes of shoes.
    pub shoe_size: usize,
    /// Index in the sizes of clothes.
    pub clothes_size: usize,
    /// 0 small, 1 medium, 2 large.
    pub budget: usize,
    /// 0 heavy, 1 medium, 2 light.
    pub activity: usize,
    /// Kind of customer.
    pub customer: Customer,
    /// Her habit with cookies.
    pub cookies: Cookies,
    /// Has a second browser.
    pub second_browser: bool,
    /// Uses the household's tablet.
    pub shared_tablet: bool,
    /// Uses the app, once she has an account.
    pub app: bool,
    /// Her loyalty card, if she has one.
    pub card: Option<u64>,
    /// Uses the household's e-mail instead of one of her own.
    pub household_email: bool,
    /// Has a second e-mail, for shopping in stores.
    pub second_email: bool,
    /// Index of her city.
    pub city: usize,
}

/// Cities and their post codes; the first two have a store.
pub const CITIES: [(&str, &str); 8] = [
    ("Lille", "59000"),
    ("Lyon", "69002"),
    ("Paris", "75011"),
    ("Roubaix", "59100"),
    ("Villeurbanne", "69100"),
    ("Nantes", "44000"),
    ("Toulouse", "31000"),
    ("Bordeaux", "33000"),
];
const FIRST: [&str; 24] = [
    "Ana", "Louis", "Jade", "Gabriel", "Louise", "Raphaël", "Emma", "Arthur", "Alice", "Jules", "Chloé", "Adam", "Lina", "Lucas",
    "Mila", "Hugo", "Rose", "Nathan", "Inès", "Théo", "Léa", "Malo", "Zoé", "Samir",
];
const LAST: [&str; 24] = [
    "Martin", "Bernard", "Thomas", "Petit", "Robert", "Richard", "Durand", "Dubois", "Moreau", "Laurent", "Simon", "Michel",
    "Lefebvre", "Leroy", "Roux", "David", "Bertrand", "Morel", "Fournier", "Girard", "Bonnet", "Dupont", "Lambert", "Fontaine",
];

impl Persona {
    /// The person of a number.
    pub fn of(seed: u64, number: u32) -> Persona {
        let mut home = Dice::of(seed, 21, u64::from(number / 2));
        let together = home.chance(350_000);
        let tablet = together && home.chance(400_000);
        let one_email = together && home.chance(150_000);
        let mut dice = Dice::of(seed, 22, u64::from(number));
        let first = dice.weighted(&[28, 10, 12, 12, 10, 12, 8, 8]);
        let second = (first + 1 + dice.below(CATEGORIES.len() as u64 - 1) as usize) % CATEGORIES.len();
        let third = (0..CATEGORIES.len()).map(|step| (second + 1 + step) % CATEGORIES.len()).find(|taste| *taste != first);
        Persona {
            number,
            // The second of two who live apart has a household of her own.
            household: if together { number / 2 * 2 } else { number },
            tastes: [first, second, third.unwrap_or(second)],
            brand: dice.below(BRANDS.len() as u64) as usize,
            colour: dice.below(COLOURS.len() as u64) as usize,
            shoe_size: dice.weighted(&[4, 8, 13, 14, 12, 11, 12, 11, 8, 5, 2]).min(sizes(0).len() - 1),
            clothes_size: dice.weighted(&[8, 22, 30, 24, 11, 5]),
            budget: dice.weighted(&[40, 42, 18]),
            activity: activity(seed, number),
            customer: [Customer::Loyal, Customer::Occasional, Customer::Dormant, Customer::Bargain]
                [dice.weighted(&[20, 40, 20, 20])],
            cookies: [Cookies::Accepts, Cookies::AnalyticsOnly, Cookies::Refuses][dice.weighted(&[62, 13, 25])],
            second_browser: dice.chance(350_000),
            shared_tablet: tablet,
            app: dice.chance(350_000),
            card: dice.chance(450_000).then(|| 2_900_000_000_000 + u64::from(number) * 10 + u64::from(number) % 7),
            household_email: one_email,
            second_email: dice.chance(100_000),
            city: dice.weighted(&[24, 22, 20, 8, 8, 6, 6, 6]),
        }
    }

    /// Her first name.
    pub fn first_name(&self) -> &'static str {
        FIRST[(self.number as usize * 7 + self.number as usize / 24) % FIRST.len()]
    }

    /// Her household's name.
    pub fn last_name(&self) -> &'static str {
        LAST[(self.household as usize / 2 * 5 + self.household as usize / 48) % LAST.len()]
    }

    /// The e-mail of her account.
    pub fn email(&self, out: &mut Vec<u8>) {
        let number = if self.household_email {
            out.extend_from_slice(b"famille");
            self.household
        } else {
            ascii_lower(out, self.first_name());
            self.number
        };
        out.push(b'.');
        ascii_lower(out, self.last_name());
        write_number(out, u64::from(number));
        out.extend_from_slice(b"@example.org");
    }

    /// The e-mail that she gives in a store.
    pub fn store_email(&self, out: &mut Vec<u8>) {
        if !self.second_email {
            return self.email(out);
        }
        ascii_lower(out, self.first_name());
        write_number(out, u64::from(self.number));
        out.extend_from_slice(b"@example.net");
    }

    /// Her telephone, in one of the forms that people write.
    pub fn phone(&self, out: &mut Vec<u8>) {
        // 06 1x xx xx xx: ten million valid French mobile numbers.
        let digits = format!("61{:07}", self.number % 10_000_000);
        match self.number % 3 {
            0 => {
                out.extend_from_slice(b"+33");
                out.extend_from_slice(digits.as_bytes());
            }
            1 => {
                out.push(b'0');
                out.extend_from_slice(digits.as_bytes());
            }
            _ => {
                out.push(b'0');
                for (n, digit) in digits.bytes().enumerate() {
                    if n % 2 == 1 {
                        out.push(b' ');
                    }
                    out.push(digit);
                }
            }
        }
    }

    /// Her size in a category, as an index.
    pub fn size(&self, category: usize) -> usize {
        match category {
            0 | 1 => self.shoe_size,
            6 => 0,
            _ => self.clothes_size,
        }
    }
}

/// How often a person comes: 0 heavy, 1 medium, 2 light. Apart from the rest, as it is asked for everyone on every day.
pub fn activity(seed: u64, number: u32) -> usize {
    Dice::of(seed, 24, u64::from(number)).weighted(&ACTIVITY_WEIGHTS)
}

/// How far the clock of a device is off, in milliseconds; 0 for most.
pub fn clock_off_ms(seed: u64, device: u64) -> i64 {
    let mut dice = Dice::of(seed, 23, device);
    if !dice.chance(CLOCK_OFF.min(MILLION)) {
        return 0;
    }
    let off = dice.between(2 * MINUTE_MS, 5 * HOUR_MS);
    if dice.chance(500_000) { off } else { -off }
}

/// Appends a number.
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn ascii_lower(out: &mut Vec<u8>, name: &str) {
    for letter in name.chars() {
        let plain = match letter {
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'ï' | 'î' => 'i',
            'ô' => 'o',
            other => other.to_ascii_lowercase(),
        };
        if plain.is_ascii_lowercase() {
            out.push(plain as u8);
        }
    }
}
