//! Bits in base64url, the highest first: what all consent strings are written in.

use super::Malformed;
use super::ids::Ids;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Reads fields one after the other out of one segment.
pub struct Reader {
    part: &'static str,
    sextets: Vec<u8>,
    at: usize,
}

impl Reader {
    /// A segment's text. `part` names it in messages.
    pub fn new(part: &'static str, text: &str) -> Result<Reader, Malformed> {
        if text.is_empty() {
            return Err(Malformed::new(part, "is empty"));
        }
        let mut sextets = Vec::with_capacity(text.len());
        for (n, byte) in text.bytes().enumerate() {
            match sextet(byte) {
                Some(sextet) => sextets.push(sextet),
                None => {
                    // The byte may be a part of a character: the character is shown.
                    let shown = text.char_indices().take_while(|(at, _)| *at <= n).last().map_or('?', |(_, shown)| shown);
                    return Err(Malformed::new(part, format!("character {} is {shown:?}, which base64url does not have", n + 1)));
                }
            }
        }
        Ok(Reader { part, sextets, at: 0 })
    }

    /// Bits that are left.
    pub fn left(&self) -> usize {
        self.sextets.len() * 6 - self.at
    }

    /// An error about a field of this segment.
    pub fn malformed(&self, field: &str, problem: impl std::fmt::Display) -> Malformed {
        Malformed::new(self.part, format!("{field} {problem}"))
    }

    /// The next `width` bits (64 at most) as a number.
    pub fn number(&mut self, field: &str, width: usize) -> Result<u64, Malformed> {
        if self.left() < width {
            return Err(self.malformed(field, format!("is cut off: {width} bits were expected, {} are left", self.left())));
        }
        let mut number = 0;
        let end = self.at + width;
        while self.at < end {
            let (sextet, first) = (u64::from(self.sextets[self.at / 6]), self.at % 6);
            let count = (6 - first).min(end - self.at);
            let bits = sextet >> (6 - first - count) & ((1 << count) - 1);
            number = number << count | bits;
            self.at += count;
        }
        Ok(number)
    }

    /// A number of at most 16 bits.
    pub fn short(&mut self, field: &str, width: usize) -> Result<u16, Malformed> {
        debug_assert!(width <= 16);
        self.number(field, width).map(|number| number as u16)
    }

    /// One bit: 1 is true.
    pub fn flag(&mut self, field: &str) -> Result<bool, Malformed> {
        Ok(self.number(field, 1)? == 1)
    }

    /// `width` bits (64 at most), the first of which stands for id 1.
    pub fn few(&mut self, field: &str, width: usize) -> Result<super::ids::Few, Malformed> {
        let number = self.number(field, width)?;
        Ok(super::ids::Few::from_bits(number, width))
    }

    /// Two letters of 6 bits each, `A` is 0.
    pub fn letters(&mut self, field: &str) -> Result<[u8; 2], Malformed> {
        let mut letters = [0; 2];
        for letter in &mut letters {
            let number = self.number(field, 6)? as u8;
            if number > 25 {
                return Err(self.malformed(field, format!("is no pair of letters: {number} is past Z")));
            }
            *letter = b'A' + number;
        }
        Ok(letters)
    }

    /// MaxVendorId, then a bit field or ranges.
    pub fn vendors(&mut self, field: &str) -> Result<Ids, Malformed> {
        let id_max = self.short(field, 16)?;
        if self.flag(field)? {
            return self.ranges(field, id_max);
        }
        if self.left() < usize::from(id_max) {
            return Err(self.malformed(field, format!("is cut off: a bit for each of {id_max} ids was expected")));
        }
        let mut ids = Ids::default();
        for id in 1..=id_max {
            if self.flag(field)? {
                ids.push(id, id);
            }
        }
        Ok(ids)
    }

    /// NumEntries, then single ids and ranges; none may lie beyond `id_max`.
    pub fn ranges(&mut self, field: &str, id_max: u16) -> Result<Ids, Malformed> {
        let entries = self.short(field, 12)?;
        let mut ranges = Vec::with_capacity(usize::from(entries).min(self.left() / 17 + 1));
        for _ in 0..entries {
            let is_range = self.flag(field)?;
            let start = self.short(field, 16)?;
            let end = if is_range { self.short(field, 16)? } else { start };
            if start == 0 {
                return Err(self.malformed(field, "names the id 0; ids begin at 1"));
            }
            if end < start {
                return Err(self.malformed(field, format!("has a range that ends at {end}, before its start at {start}")));
            }
            if end > id_max {
                return Err(self.malformed(field, format!("names the id {end}, but says that {id_max} is the last one")));
            }
            ranges.push((start, end));
        }
        Ok(Ids::of(ranges))
    }

    /// A number in Fibonacci code: each bit a Fibonacci number, the lowest first, until two ones in a row. Below 2¹⁶.
    pub fn fibonacci(&mut self, field: &str) -> Result<u16, Malformed> {
        let (mut number, mut value, mut next) = (0_u32, 1_u32, 2_u32);
        let mut was_one = false;
        loop {
            let one = self.flag(field)?;
            if one && was_one {
                return u16::try_from(number).map_err(|_| self.malformed(field, "is too large a number"));
            }
            if one {
                number += value;
            }
            if number > u32::from(u16::MAX) || value > u32::from(u16::MAX) {
                return Err(self.malformed(field, "is too large a number"));
            }
            was_one = one;
            (value, next) = (next, value + next);
        }
    }

    /// What is left may only be padding.
    pub fn end(&mut self) -> Result<(), Malformed> {
        while self.left() > 0 {
            let width = self.left().min(64);
            if self.number("the end", width)? != 0 {
                return Err(Malformed::new(self.part, "goes on after its last field"));
            }
        }
        Ok(())
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// Writes what [`Reader`] reads.
#[derive(Default)]
pub struct Writer {
    bits: Vec<bool>,
}

impl Writer {
    /// The lowest `width` bits of a number, the highest of them first.
    pub fn number(&mut self, number: u64, width: usize) {
        self.bits.extend((0..width).rev().map(|bit| number >> bit & 1 == 1));
    }

    /// Two letters.
    pub fn letters(&mut self, letters: [u8; 2]) {
        for letter in letters {
            self.number(u64::from(letter.saturating_sub(b'A')), 6);
        }
    }

    /// MaxVendorId and the shorter of the two forms. More than 4,095 ranges do not fit into entries: a bit field then.
    pub fn vendors(&mut self, ids: &Ids) {
        let id_max = ids.last().unwrap_or(0);
        self.number(u64::from(id_max), 16);
        let in_ranges = 12 + ids.ranges().iter().map(|(start, end)| if start == end { 17 } else { 33 }).sum::<usize>();
        let as_ranges = in_ranges < usize::from(id_max) && ids.ranges().len() < 1 << 12;
        self.number(u64::from(as_ranges), 1);
        if as_ranges {
            return self.ranges(ids);
        }
        let mut next = 1;
        for &(start, end) in ids.ranges() {
            self.bits.extend((next..start).map(|_| false));
            self.bits.extend((start..=end).map(|_| true));
            next = end.saturating_add(1);
        }
    }

    /// NumEntries and ranges, 4,095 at most.
    pub fn ranges(&mut self, ids: &Ids) {
        self.number(ids.ranges().len() as u64, 12);
        for &(start, end) in ids.ranges() {
            self.number(u64::from(start != end), 1);
            self.number(u64::from(start), 16);
            if start != end {
                self.number(u64::from(end), 16);
            }
        }
    }

    /// Whole bytes in base64url without `=`.
    pub fn text(mut self) -> String {
        self.bits.resize(self.bits.len().next_multiple_of(8), false);
        self.bits
            .chunks(6)
            .map(|chunk| {
                let sextet = (0..6).fold(0, |sextet, n| sextet << 1 | usize::from(chunk.get(n).copied().unwrap_or(false)));
                char::from(LETTERS[sextet])
            })
            .collect()
    }
}
