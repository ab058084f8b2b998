//! Normalisers against vectors of the partners' own rules; French numbers are French before they are anything else.

use jumelle_connect::normalize::{Hash, Normalizer};

#[test]
fn normalisers_write_what_the_partners_ask_for() {
    use Normalizer::*;
    for (normalizer, raw, expected) in [
        (Email, "  Ana@Example.ORG ", Some("ana@example.org")),
        (Email, "not an address", None),
        (Email, "a@b@c.org", None),
        // Google's library: dots out for gmail and googlemail, a tag kept.
        (EmailGoogle, "Jean.Paul.Dupont+news@Gmail.com", Some("jeanpauldupont+news@gmail.com")),
        (EmailGoogle, "j.doe@googlemail.com", Some("jdoe@googlemail.com")),
        (EmailGoogle, "marie.curie@free.fr", Some("marie.curie@free.fr")),
        (EmailGoogle, "a.b@gmail.company.org", Some("a.b@gmail.company.org")),
        // UID2: dots and tags out for gmail alone.
        (EmailUid2, "Jane.Doe+home@gmail.com", Some("janedoe@gmail.com")),
        (EmailUid2, "user+home@example.com", Some("user+home@example.com")),
        (E164, "06 12 34 56 78", Some("+33612345678")),
        (E164, "+33612345678", Some("+33612345678")),
        (E164, "0033 6 12 34 56 78", Some("+33612345678")),
        (E164, "+44 7911 123456", Some("+447911123456")),
        (E164, "12", None),
        (E164Digits, "06.12.34.56.78", Some("33612345678")),
        (NationalDigits, "+33 6 12 34 56 78", Some("612345678")),
        (GivenNameGoogle, " Mrs. Zoé ", Some("zoé")),
        (FamilyNameGoogle, "Dupont, Jr.", Some("dupont")),
        (NameMeta, "O'Brien-Smith", Some("obriensmith")),
        (NameMeta, "Zoé", Some("zoé")),
        (CityMeta, "Saint-Étienne 42", Some("saintétienne")),
        (PostcodeMeta, "SW1A 1AA", Some("sw1a1aa")),
        (CountryLower, "FR", Some("fr")),
        (CountryUpper, "France", None),
        (DateIso, "31/12/2001", Some("2001-12-31")),
        (DateCompact, "2001-12-31T10:00:00Z", Some("20011231")),
        (DateIso, "2001-02-29", None),
        (GenderMeta, "Femme", Some("f")),
        (Trim, "   ", None),
    ] {
        assert_eq!(normalizer.apply(raw, "FR").as_deref(), expected, "{normalizer:?} {raw:?}");
    }
    // The workspace's country comes first.
    assert_eq!(E164.apply("0470 12 34 56", "BE").as_deref(), Some("+32470123456"));
}

#[test]
fn hashes_are_those_of_the_standards() {
    // FIPS 180 and RFC 1321, of "abc".
    for (hash, expected) in [
        (Hash::Sha256Hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Hash::Sha256Base64, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        (Hash::Sha1Hex, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Md5Hex, "900150983cd24fb0d6963f7d28e17f72"),
    ] {
        assert_eq!(hash.of("abc"), expected);
    }
    let hashed = Hash::Sha256Hex.of("abc");
    assert_eq!(Hash::Sha256Hex.read(&hashed.to_uppercase()), Some(hashed.clone()));
    assert_eq!(Hash::Sha256Base64.read(&hashed), Some(Hash::Sha256Base64.of("abc")));
    assert_eq!(Hash::Sha256Hex.read("abc"), None, "an address is no hash");
}
