//! How choices are stored. A consent string says a dozen things of one device at one time, with one proof: what choices share
//! stands once, and they refer to it.

use std::sync::Arc;

use jumelle_model::Proof;
use jumelle_model::consent::{Channel, Scope};
use jumelle_model::ids::Stamp;
use litemap::LiteMap;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::choices::{Choices, Kept, Key, Newest};

/// Stands where the form before this one has its number of choices, which was never this.
const SHARED: u32 = u32::MAX;

/// Texts and stamps that the choices refer to by their place, and the choices.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    texts: Vec<&'a str>,
    stamps: Vec<Stamp>,
    choices: Vec<StoredChoice>,
}

#[derive(Serialize, Deserialize)]
struct StoredChoice {
    purpose: u32,
    channel: Option<Channel>,
    /// Namespace and value; `None`: the person.
    address: Option<(u32, u32)>,
    grant: Option<StoredKept>,
    denial: Option<StoredKept>,
}

#[derive(Serialize, Deserialize)]
struct StoredKept {
    dated: bool,
    stamp: u32,
    source: u32,
    /// The text, and what decided.
    proof: Option<(u32, Option<u32>)>,
}

impl<'a> Stored<'a> {
    fn of(choices: &'a Choices) -> Stored<'a> {
        let mut stored = Stored { texts: Vec::new(), stamps: Vec::new(), choices: Vec::with_capacity(choices.0.len()) };
        for (key, newest) in &choices.0 {
            let purpose = place(&mut stored.texts, key.purpose.as_str());
            let address = match &key.scope {
                Scope::Person => None,
                Scope::Address(namespace, value) => {
                    Some((place(&mut stored.texts, namespace.as_str()), place(&mut stored.texts, value.as_str())))
                }
            };
            let grant = newest.grant.as_ref().map(|kept| stored.kept(kept));
            let denial = newest.denial.as_ref().map(|kept| stored.kept(kept));
            stored.choices.push(StoredChoice { purpose, channel: key.channel, address, grant, denial });
        }
        stored
    }

    fn kept(&mut self, kept: &'a Kept) -> StoredKept {
        StoredKept {
            dated: kept.dated,
            stamp: place(&mut self.stamps, kept.stamp),
            source: place(&mut self.texts, &kept.source),
            proof: kept.proof.as_ref().map(|proof| {
                let (text, because) = proof.parts();
                (place(&mut self.texts, text), because.map(|because| place(&mut self.texts, because)))
            }),
        }
    }

    /// `None`: it refers to what is not there.
    fn read(self) -> Option<Choices> {
        let texts: Vec<Arc<str>> = self.texts.iter().map(|text| Arc::from(*text)).collect();
        let text = |place: u32| texts.get(place as usize);
        let owned = |place: u32| Some(self.texts.get(place as usize)?.to_string());
        let kept = |stored: Option<StoredKept>| -> Option<Option<Kept>> {
            let Some(stored) = stored else { return Some(None) };
            let proof = match stored.proof {
                None => None,
                Some((shared, None)) => Some(Proof::of_parts(text(shared)?.clone(), None)),
                Some((shared, Some(because))) => Some(Proof::shared(text(shared)?.clone(), text(because)?.clone())),
            };
            let stamp = *self.stamps.get(stored.stamp as usize)?;
            Some(Some(Kept { dated: stored.dated, stamp, source: text(stored.source)?.clone(), proof }))
        };
        let mut choices = LiteMap::with_capacity(self.choices.len());
        for stored in self.choices {
            let scope = match stored.address {
                None => Scope::Person,
                Some((namespace, value)) => Scope::Address(owned(namespace)?, owned(value)?),
            };
            let key = Key { purpose: owned(stored.purpose)?, channel: stored.channel, scope };
            // A refusal without a date was weak once.
            let denial = kept(stored.denial)?.map(|denial| Kept { dated: true, ..denial });
            choices.insert(key, Newest { grant: kept(stored.grant)?, denial });
        }
        Some(Choices(choices))
    }
}

/// The place of a value in a short list, where it is put if it is not there.
fn place<T: PartialEq>(list: &mut Vec<T>, value: T) -> u32 {
    // The last ones are the likeliest.
    let found = list.iter().rposition(|known| *known == value);
    found.unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    }) as u32
}

impl Serialize for Choices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_empty() {
            return 0u32.serialize(serializer);
        }
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&SHARED)?;
        tuple.serialize_element(&Stored::of(self))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choices, D::Error> {
        // As many elements as there may be: how many there are, the first one says.
        deserializer.deserialize_tuple(usize::MAX, Form)
    }
}

struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = Choices;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Choices, A::Error> {
        let short = || A::Error::custom("choices end early");
        let first: u32 = elements.next_element()?.ok_or_else(short)?;
        if first == SHARED {
            let stored: Stored<'de> = elements.next_element()?.ok_or_else(short)?;
            return stored.read().ok_or_else(|| A::Error::custom("a choice refers to what is not there"));
        }
        let mut choices = LiteMap::new();
        for _ in 0..first {
            let key: before::Key = elements.next_element()?.ok_or_else(short)?;
            let newest: before::Newest = elements.next_element()?.ok_or_else(short)?;
            choices.insert(key.into(), newest.into());
        }
        Ok(Choices(choices))
    }
}

/// The form until format 2 of a directory: each choice whole.
mod before {
    use jumelle_model::Proof;
    use jumelle_model::consent::{Channel, Scope};
    use jumelle_model::ids::Stamp;
    use serde::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct Key {
        purpose: String,
        channel: Option<Channel>,
        scope: Scope,
    }

    #[derive(Deserialize)]
    pub(super) struct Newest {
        grant: Option<Kept>,
        denial: Option<Kept>,
    }

    #[derive(Deserialize)]
    struct Kept {
        dated: bool,
        stamp: Stamp,
        source: String,
        proof: Option<String>,
    }

    impl From<Key> for crate::choices::Key {
        fn from(key: Key) -> Self {
            Self { purpose: key.purpose, channel: key.channel, scope: key.scope }
        }
    }

    impl From<Newest> for crate::choices::Newest {
        fn from(newest: Newest) -> Self {
            Self { grant: newest.grant.map(Into::into), denial: newest.denial.map(Into::into) }
        }
    }

    impl From<Kept> for crate::choices::Kept {
        fn from(kept: Kept) -> Self {
            let proof = kept.proof.as_deref().map(Proof::from_json);
            Self { dated: kept.dated, stamp: kept.stamp, source: kept.source.into(), proof }
        }
    }
}

#[cfg(test)]
mod tests {
    use jumelle_model::Timestamp;
    use jumelle_model::ids::Fingerprint;

    use super::*;

    #[derive(Serialize)]
    struct OldKept {
        dated: bool,
        stamp: Stamp,
        source: String,
        proof: Option<String>,
    }

    type OldKey = (String, Option<Channel>, Scope);
    type OldNewest = (Option<OldKept>, Option<OldKept>);

    fn stamp(time: i64) -> Stamp {
        Stamp { time: Timestamp(time), received: Timestamp(time + 1), message: Fingerprint(9) }
    }

    /// Three choices of one signal and one of a form.
    fn old() -> Vec<(OldKey, OldNewest)> {
        let device = Scope::Address("anonymous_id".into(), "5f0e".into());
        let of_signal = |n: u8| OldKept {
            dated: true,
            stamp: stamp(7),
            source: "site".into(),
            proof: Some(format!("{{\"method\":\"tcf\",\"cmpId\":10,\"because\":\"purposeConsents {n}\"}}")),
        };
        let of_form =
            OldKept { dated: false, stamp: stamp(9), source: "crm".into(), proof: Some("{\"text_version\":\"2026-08\"}".into()) };
        vec![
            (("advertising".into(), None, device.clone()), (Some(of_signal(1)), None)),
            (("analytics".into(), None, device.clone()), (None, Some(of_signal(8)))),
            (("marketing".into(), Some(Channel::Email), Scope::Person), (Some(of_form), None)),
            (("personalisation".into(), None, device), (Some(of_signal(5)), None)),
        ]
    }

    #[test]
    fn the_form_before_is_read_and_written_as_todays() {
        // A map is its length and its pairs.
        let mut bytes = postcard::to_allocvec(&(old().len() as u32)).unwrap();
        for pair in old() {
            bytes.extend(postcard::to_allocvec(&pair).unwrap());
        }
        // Something follows it: a reader must not take more than there is.
        let (mine, rest): (Choices, u64) = postcard::from_bytes(&[bytes.as_slice(), &[42]].concat()).unwrap();
        assert_eq!(rest, 42);
        let proofs: Vec<String> = mine.list().iter().map(|standing| standing.proof.as_ref().unwrap().to_json()).collect();
        let before = old().into_iter().flat_map(|(_, (grant, denial))| [grant, denial]);
        assert_eq!(proofs, before.flatten().filter_map(|kept| kept.proof).collect::<Vec<_>>());

        let fresh = postcard::to_allocvec(&(&mine, 42u64)).unwrap();
        assert!(fresh.len() * 4 < bytes.len() * 3, "{} bytes where there were {}", fresh.len(), bytes.len());
        let again: (Choices, u64) = postcard::from_bytes(&fresh).unwrap();
        assert_eq!(again, (mine, 42));
    }

    #[test]
    fn nobody_who_chose_nothing_has_more_than_a_byte() {
        assert_eq!(postcard::to_allocvec(&Choices::default()).unwrap(), [0]);
        assert_eq!(postcard::from_bytes::<Choices>(&[0]).unwrap(), Choices::default());
    }

    #[test]
    fn a_row_that_refers_to_nothing_is_damage() {
        let mut row = postcard::to_allocvec(&SHARED).unwrap();
        let choice = StoredChoice { purpose: 3, channel: None, address: None, grant: None, denial: None };
        row.extend(postcard::to_allocvec(&Stored { texts: vec!["a"], stamps: vec![], choices: vec![choice] }).unwrap());
        assert!(postcard::from_bytes::<Choices>(&row).is_err());
    }
}
