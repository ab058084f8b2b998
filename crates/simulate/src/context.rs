//! `context` as SDKs send it, with consents and TC strings.

use crate::catalogue::Product;
use crate::dice::Dice;
use crate::line::{Outbox, money};
use crate::person::{CITIES, Persona, write_number};

/// The domain of the shop.
const SHOP: &str = "https://www.maison-lumiere.example";
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
];
/// What the only honest bot says of itself.
pub const BOT_AGENT: &str = "Mozilla/5.0 (compatible; PrixBot/2.1; +https://prixbot.example/bot.html)";
const SCREENS: [(u64, u64, u64); 6] =
    [(393, 852, 3), (412, 915, 2), (1920, 1080, 1), (1512, 982, 2), (1920, 1080, 1), (820, 1180, 2)];
const REFERRERS: [&str; 5] =
    ["", "https://www.google.com/", "https://www.google.com/", "https://www.instagram.com/", "https://www.bing.com/"];

/// Which of the device's purposes are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceChoice {
    /// Audience measurement.
    pub analytics: bool,
    /// Content chosen for the person.
    pub personalisation: bool,
    /// Advertising here and elsewhere.
    pub advertising: bool,
}

/// What a page call is about.
#[derive(Clone, Debug)]
pub enum Place<'a> {
    /// The entrance.
    Home,
    /// A category.
    List(&'static str),
    /// A product.
    Product(&'a Product),
    /// Basket, checkout, account.
    Other(&'static str),
}

/// A device on the web: what its events say about it.
#[derive(Clone, Debug)]
pub struct Browser<'a> {
    /// Whose (a bot has none).
    pub who: Option<&'a Persona>,
    /// A number that stays with the device.
    pub device: u64,
    /// The person's app, not a browser.
    pub app: bool,
    /// The campaign that led here.
    pub campaign: Option<&'static str>,
    /// The choice made on the banner, and when.
    pub choice: Option<(DeviceChoice, i64)>,
    /// Number of the visit.
    pub session: u64,
}

impl Browser<'_> {
    /// Appends `,"context":{…` without the closing brace.
    pub fn write(&self, outbox: &Outbox, out: &mut Vec<u8>, place: &Place<'_>) {
        let mut dice = Dice::of(17, 51, self.device);
        let model = if self.app { dice.below(2) as usize } else { dice.weighted(&[30, 25, 22, 10, 5, 8]) };
        let (width, height, density) = SCREENS[model];
        if self.app {
            out.extend_from_slice(b",\"context\":{\"library\":{\"name\":\"analytics-kotlin\",\"version\":\"1.22.0\"},\"app\":{\"name\":\"Maison Lumi\xc3\xa8re\",\"version\":\"7.14.2\",\"build\":\"71402\",\"namespace\":\"example.maison.lumiere\"},\"device\":{\"manufacturer\":\"Google\",\"model\":\"Pixel 8\",\"type\":\"android\",\"adTrackingEnabled\":");
            out.extend_from_slice(if self.choice.is_some_and(|(choice, _)| choice.advertising) { b"true" } else { b"false" });
            out.extend_from_slice(b"},\"os\":{\"name\":\"Android\",\"version\":\"15\"},\"network\":{\"cellular\":true,\"wifi\":false,\"carrier\":\"Orange F\"},");
        } else {
            out.extend_from_slice(
                b",\"context\":{\"library\":{\"name\":\"analytics.js\",\"version\":\"npm:next-1.81.0\"},\"page\":{\"path\":\"",
            );
            path(out, place);
            out.extend_from_slice(b"\",\"url\":\"");
            out.extend_from_slice(SHOP.as_bytes());
            path(out, place);
            if let Some(campaign) = self.campaign {
                out.extend_from_slice(b"?utm_source=newsletter&utm_medium=email&utm_campaign=");
                out.extend_from_slice(campaign.as_bytes());
            }
            out.extend_from_slice(b"\",\"title\":\"");
            match place {
                Place::Home => out.extend_from_slice("Maison Lumière : mode et sport".as_bytes()),
                Place::List(category) => out.extend_from_slice(category.as_bytes()),
                Place::Product(product) => out.extend_from_slice(product.name.as_bytes()),
                Place::Other(what) => out.extend_from_slice(what.as_bytes()),
            }
            out.extend_from_slice(" | Maison Lumière\",\"referrer\":\"".as_bytes());
            out.extend_from_slice(REFERRERS[(self.session % 5) as usize].as_bytes());
            out.extend_from_slice(b"\",\"search\":\"\"},");
        }
        out.extend_from_slice(b"\"userAgent\":\"");
        let agent = match (self.who, self.app) {
            (None, _) => BOT_AGENT,
            (_, true) => "MaisonLumiere/7.14.2 (Linux; U; Android 15; Pixel 8; Build/AP4A.250605.002) okhttp/5.1.0",
            (_, false) => AGENTS[model],
        };
        out.extend_from_slice(agent.as_bytes());
        out.extend_from_slice(b"\",\"locale\":\"fr-FR\",\"timezone\":\"Europe/Paris\",\"ip\":\"2001:db8:");
        write_number(out, self.device % 9_000 + 1_000);
        out.extend_from_slice(b"::");
        write_number(out, self.device / 9_000 % 9_000 + 1);
        out.extend_from_slice(b"\",\"screen\":{\"width\":");
        write_number(out, width);
        out.extend_from_slice(b",\"height\":");
        write_number(out, height);
        out.extend_from_slice(b",\"density\":");
        write_number(out, density);
        out.extend_from_slice(b"},\"session\":\"s-");
        write_number(out, self.session);
        out.push(b'"');
        if let Some(campaign) = self.campaign {
            out.extend_from_slice(b",\"campaign\":{\"source\":\"newsletter\",\"medium\":\"email\",\"name\":\"");
            out.extend_from_slice(campaign.as_bytes());
            out.extend_from_slice(b"\"}");
        }
        if let Some((choice, at)) = self.choice {
            out.extend_from_slice(b",\"consent\":{\"tcf\":\"");
            tc_string(out, choice, outbox.compression.map_or(at, |compression| compression.show(at)));
            out.extend_from_slice(b"\"}");
        }
    }
}

/// Appends `,"context":{"library":…` of a server, without the closing brace.
pub fn server(out: &mut Vec<u8>, library: &str) {
    out.extend_from_slice(b",\"context\":{\"library\":{\"name\":\"");
    out.extend_from_slice(library.as_bytes());
    out.extend_from_slice(b"\",\"version\":\"3.2.0\"},\"locale\":\"fr-FR\",\"timezone\":\"Europe/Paris\"");
}

fn path(out: &mut Vec<u8>, place: &Place<'_>) {
    match place {
        Place::Home => out.push(b'/'),
        Place::List(category) => {
            out.extend_from_slice(b"/fr/c/");
            out.extend_from_slice(category.as_bytes());
        }
        Place::Product(product) => {
            out.extend_from_slice(b"/fr/p/");
            out.extend_from_slice(product.id.as_bytes());
        }
        Place::Other(what) => {
            out.extend_from_slice(b"/fr/");
            out.extend_from_slice(what.as_bytes());
        }
    }
}

/// Appends the members of a product, without braces.
pub fn product(out: &mut Vec<u8>, product: &Product, size: &str, price_cents: i64) {
    use crate::catalogue::{BRANDS, CATEGORIES, COLOURS};
    out.extend_from_slice(b"\"product_id\":\"");
    out.extend_from_slice(product.id.as_bytes());
    out.extend_from_slice(b"\",\"sku\":\"");
    out.extend_from_slice(product.id.as_bytes());
    out.push(b'-');
    out.extend_from_slice(size.as_bytes());
    out.extend_from_slice(b"\",\"category\":\"");
    out.extend_from_slice(CATEGORIES[product.category].0.as_bytes());
    out.extend_from_slice(b"\",\"name\":\"");
    out.extend_from_slice(product.name.as_bytes());
    out.extend_from_slice(b"\",\"brand\":\"");
    out.extend_from_slice(BRANDS[product.brand].as_bytes());
    out.extend_from_slice(b"\",\"variant\":\"");
    out.extend_from_slice(COLOURS[product.colour].as_bytes());
    out.extend_from_slice(b"\",\"size\":\"");
    out.extend_from_slice(size.as_bytes());
    out.extend_from_slice(b"\",\"price\":");
    money(out, price_cents);
    out.extend_from_slice(b",\"quantity\":1,\"currency\":\"EUR\",\"url\":\"");
    out.extend_from_slice(SHOP.as_bytes());
    out.extend_from_slice(b"/fr/p/");
    out.extend_from_slice(product.id.as_bytes());
    out.extend_from_slice(b"\",\"image_url\":\"https://img.maison-lumiere.example/p/");
    out.extend_from_slice(product.id.as_bytes());
    out.extend_from_slice(b"-1.avif?w=1200\"");
}

/// Appends a person's traits as an account has them, without braces.
pub fn traits(out: &mut Vec<u8>, who: &Persona) {
    out.extend_from_slice(b"\"first_name\":\"");
    out.extend_from_slice(who.first_name().as_bytes());
    out.extend_from_slice(b"\",\"last_name\":\"");
    out.extend_from_slice(who.last_name().as_bytes());
    let (city, code) = CITIES[who.city];
    out.extend_from_slice(b"\",\"city\":\"");
    out.extend_from_slice(city.as_bytes());
    out.extend_from_slice(b"\",\"address\":{\"city\":\"");
    out.extend_from_slice(city.as_bytes());
    out.extend_from_slice(b"\",\"postalCode\":\"");
    out.extend_from_slice(code.as_bytes());
    out.extend_from_slice(b"\",\"country\":\"FR\"},\"shoe_size\":\"");
    out.extend_from_slice(crate::catalogue::sizes(0)[who.shoe_size].as_bytes());
    out.extend_from_slice(b"\",\"clothes_size\":\"");
    out.extend_from_slice(crate::catalogue::sizes(2)[who.clothes_size].as_bytes());
    out.push(b'"');
}

/// Bits, the highest first, as base64url.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    filled: usize,
}

impl Bits {
    fn put(&mut self, value: u64, width: u32) {
        for bit in (0..width).rev() {
            if self.filled.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> bit & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 0x80 >> (self.filled % 8);
            }
            self.filled += 1;
        }
    }

    fn letters(&mut self, pair: [u8; 2]) {
        for letter in pair {
            self.put(u64::from(letter - b'A'), 6);
        }
    }
}

/// A TC string of TCF 2.3 of an imaginary consent platform (IAB TCF "Consent string and vendor list formats"): core and disclosed
/// vendors. The purposes follow the choice; vendors 1 to 10 are shown, and allowed or not, as advertising is.
fn tc_string(out: &mut Vec<u8>, choice: DeviceChoice, at_ms: i64) {
    let mut bits = Bits::default();
    // Since the policy of 2021, times are whole days.
    let deciseconds = (at_ms.div_euclid(86_400_000) * 864_000) as u64;
    bits.put(2, 6);
    bits.put(deciseconds, 36);
    bits.put(deciseconds, 36);
    bits.put(300, 12); // CMP
    bits.put(1, 12);
    bits.put(1, 6); // screen
    bits.letters(*b"FR");
    bits.put(120, 12); // vendor list
    bits.put(5, 6); // policy version
    bits.put(1, 1); // service-specific
    bits.put(0, 1);
    bits.put(0, 12); // special features
    for purpose in 1..=24 {
        let granted = match purpose {
            1 => choice.analytics || choice.personalisation || choice.advertising,
            2 | 3 | 4 | 7 => choice.advertising,
            5 | 6 | 11 => choice.personalisation,
            8..=10 => choice.analytics,
            _ => false,
        };
        bits.put(u64::from(granted), 1);
    }
    bits.put(0, 24); // legitimate interests
    bits.put(0, 1);
    bits.letters(*b"FR");
    bits.put(10, 16);
    bits.put(0, 1); // a bit field
    bits.put(if choice.advertising { 0x3ff } else { 0 }, 10);
    bits.put(0, 16);
    bits.put(0, 1);
    bits.put(0, 12); // publisher restrictions
    base64url(out, &bits);
    let mut disclosed = Bits::default();
    disclosed.put(1, 3);
    disclosed.put(10, 16);
    disclosed.put(0, 1);
    disclosed.put(0x3ff, 10);
    out.push(b'.');
    base64url(out, &disclosed);
}

fn base64url(out: &mut Vec<u8>, bits: &Bits) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for chunk in bits.bytes.chunks(3) {
        let group = u32::from(chunk[0]) << 16
            | u32::from(chunk.get(1).copied().unwrap_or(0)) << 8
            | u32::from(chunk.get(2).copied().unwrap_or(0));
        for letter in 0..=chunk.len() {
            out.push(LETTERS[(group >> (18 - 6 * letter)) as usize & 63]);
        }
    }
}
