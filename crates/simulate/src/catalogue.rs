//! What the shop sells: two collections a year over several years, sizes, and the stock per size and place.

use crate::calendar::season;
use crate::dice::Dice;

/// The categories, as events name them, with the French word for names of products.
pub const CATEGORIES: [(&str, &str); 8] = [
    ("sneakers", "Baskets"),
    ("running", "Chaussures de running"),
    ("dresses", "Robe"),
    ("shirts", "Chemise"),
    ("coats", "Manteau"),
    ("jeans", "Jean"),
    ("bags", "Sac"),
    ("outdoor", "Veste de randonnée"),
];
/// Index of sneakers in [`CATEGORIES`].
pub const SNEAKERS: usize = 0;
/// The brands.
pub const BRANDS: [&str; 10] =
    ["Lumière", "Aubrac", "Kestrel", "Rivage", "Nordling", "Faubourg", "Volt", "Cadence", "Mistral", "Atelier Neuf"];
/// The colours.
pub const COLOURS: [&str; 8] = ["noir", "blanc", "bleu marine", "écru", "rouge", "vert sapin", "gris", "camel"];
/// Where stock lies.
pub const PLACES: [&str; 3] = ["web", "lille", "lyon"];
/// New products of a category in a season.
const PER_SEASON: usize = 14;
/// Seasons a product stays.
const SEASONS_SOLD: i64 = 2;
/// Pieces that a place starts with and is filled up to each week, per size.
const STOCK: [u16; 3] = [60, 4, 4];

const SHOE_SIZES: [&str; 11] = ["36", "37", "38", "39", "40", "41", "42", "43", "44", "45", "46"];
const CLOTHES_SIZES: [&str; 6] = ["XS", "S", "M", "L", "XL", "XXL"];
const ONE_SIZE: [&str; 1] = ["TU"];
const MODELS: [&str; 14] = [
    "Opéra",
    "Vauban",
    "Canebière",
    "Bellecour",
    "Saint-Malo",
    "Wazemmes",
    "Garonne",
    "Ventoux",
    "Marais",
    "Capitole",
    "Presqu'île",
    "Calanque",
    "Belleville",
    "Jura",
];

/// A product in one colour.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its key in events: `SNE-52-03`.
    pub id: String,
    /// Index in [`CATEGORIES`].
    pub category: usize,
    /// Index in [`BRANDS`].
    pub brand: usize,
    /// Index in [`COLOURS`].
    pub colour: usize,
    /// For people.
    pub name: String,
    /// Price outside of sales, in cents.
    pub price_cents: i64,
    /// The season it appeared in.
    pub season: i64,
}

/// Sizes of a category.
pub fn sizes(category: usize) -> &'static [&'static str] {
    match category {
        0 | 1 => &SHOE_SIZES,
        6 => &ONE_SIZE,
        _ => &CLOTHES_SIZES,
    }
}

/// Every product that is sold at some time of the simulation, and its stock.
#[derive(Debug)]
pub struct Catalogue {
    /// By season, category and number.
    pub products: Vec<Product>,
    first_season: i64,
    stock: Vec<[u16; PLACES.len()]>,
    offsets: Vec<usize>,
}

impl Catalogue {
    /// The catalogue for days `from` to `to` (since 1970).
    pub fn new(seed: u64, from: i64, to: i64) -> Catalogue {
        let first_season = season(from) - SEASONS_SOLD + 1;
        let mut products = Vec::new();
        for season in first_season..=season(to) {
            for category in 0..CATEGORIES.len() {
                for number in 0..PER_SEASON {
                    products.push(product(seed, season, category, number));
                }
            }
        }
        let mut offsets = Vec::with_capacity(products.len());
        let mut cells = 0;
        for product in &products {
            offsets.push(cells);
            cells += sizes(product.category).len();
        }
        Catalogue { products, first_season, stock: vec![STOCK; cells], offsets }
    }

    /// A product of a category that is sold on a day; of the brand in a good half of the cases.
    pub fn choose(&self, dice: &mut Dice, day: i64, category: usize, brand: usize) -> usize {
        let seasons = SEASONS_SOLD as u64;
        let newest = season(day);
        let mut chosen = 0;
        for _ in 0..4 {
            let season = newest - dice.below(seasons) as i64;
            let row = (season - self.first_season).max(0) as usize * CATEGORIES.len() + category;
            chosen = (row * PER_SEASON + dice.below(PER_SEASON as u64) as usize).min(self.products.len() - 1);
            if self.products[chosen].brand == brand {
                break;
            }
        }
        chosen
    }

    /// Pieces of a product in a size at a place.
    pub fn stock(&self, product: usize, size: usize, place: usize) -> u16 {
        self.stock[self.offsets[product] + size][place]
    }

    /// Takes one piece; `false` if there is none.
    pub fn take(&mut self, product: usize, size: usize, place: usize) -> bool {
        let pieces = &mut self.stock[self.offsets[product] + size][place];
        let there = *pieces > 0;
        *pieces = pieces.saturating_sub(1);
        there
    }

    /// The weekly delivery. With more people the shop orders more, or everything would be sold out.
    pub fn fill_up(&mut self, people: u64) {
        let times = (people / 20_000).clamp(1, 1_000) as u16;
        for cell in &mut self.stock {
            for (pieces, full) in cell.iter_mut().zip(STOCK) {
                *pieces = (*pieces).max(full.saturating_mul(times));
            }
        }
    }
}

fn product(seed: u64, season: i64, category: usize, number: usize) -> Product {
    let mut dice = Dice::of(seed, 11, (season as u64) << 16 | (category as u64) << 8 | number as u64);
    let brand = dice.below(BRANDS.len() as u64) as usize;
    let colour = dice.below(COLOURS.len() as u64) as usize;
    let (low, high) = [(59, 149), (79, 189), (39, 139), (29, 89), (99, 289), (49, 129), (45, 249), (89, 259)][category];
    let (key, word) = CATEGORIES[category];
    Product {
        id: format!("{}-{season}-{number:02}", key[..3].to_uppercase()),
        category,
        brand,
        colour,
        name: format!("{word} {} {}", MODELS[number], COLOURS[colour]),
        price_cents: dice.between(low, high) * 100 + 90,
        season,
    }
}
