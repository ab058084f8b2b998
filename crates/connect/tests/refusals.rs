//! What does not load, with the field and the rule.

use jumelle_connect::{Connector, built_in_files};

/// The faults of Brevo's folder after one change.
fn faults(change: impl Fn(&mut String), file: &str) -> String {
    faults_of("brevo", change, file)
}

fn faults_of(key: &str, change: impl Fn(&mut String), file: &str) -> String {
    let mut files = built_in_files().remove(key).unwrap();
    change(files.get_mut(file).unwrap());
    Connector::load(key, &files).err().map(|faults| faults.to_string()).unwrap_or_default()
}

/// A manifest with a text in the place of another says what is expected.
fn assert_refused(key: &str, old: &str, new: &str, expected: &str) {
    let change = |text: &mut String| {
        assert!(text.contains(old), "{old}");
        *text = text.replacen(old, new, 1);
    };
    let found = faults_of(key, change, "connector.yaml");
    assert!(found.contains(expected), "{new}: {found:?}");
}

#[test]
fn a_manifest_that_does_not_hold_is_refused_with_its_field() {
    for (old, new, expected) in [
        ("kind: email", "kind: email\nspeed: high", "unknown field `speed`"),
        ("normalize: email}", "normalize: emial}", "unknown variant `emial`"),
        ("emailBlacklisted: {$: consent.blocklisted}", "emailBlacklisted: false", "a consent field is never a literal"),
        ("emailBlacklisted: {$: consent.blocklisted}", "emailBlacklisted: {$: settings.list}", "only the gate knows"),
        ("emailBlacklisted: {$: consent.blocklisted}", "emailBlacklisted: {$: row.email}", "only the gate knows"),
        ("emailBlacklisted: {$: consent.blocklisted}", "emailBlacklisted: {$: op.state}", "only the gate knows"),
        ("    blocklisted: {gate: state, withdrawn: true, erased: true}", "    {}", "consent"),
        ("https://api.brevo.com/v3/contacts/import", "https://${settings.api_key}/import", "a setting in a host has one_of"),
        ("https://api.brevo.com/v3/contacts/import", "http://api.brevo.com/import", "begins with https://"),
        ("{$: row.email}", "{$: row.mail}", "row.mail is nothing that is known"),
        ("status in 200..299", "status is fine", "is not a condition"),
        ("  remove:\n", "  update:\n", "there is an operation that removes"),
        ("removal: {mode: row, longest_delay: 1h}", "removal: {mode: none}", "says why"),
        ("require: email", "require: mail", "not one of the fields"),
        ("connector: brevo", "connector: bravo", "they are the same"),
        ("{SMS: {$: row.sms}}", "{$entry: \"email${row.sms}\", $is: true}", "a text that no consent field begins with"),
        ("{SMS: {$: row.sms}}", "{$entry: \"${row.sms}\", $is: true}", "a text that no consent field begins with"),
        (
            "    rows: 150\n    request:",
            "    rows: 150\n    steps: [{when: nothing, request: {method: GET, url: https://api.brevo.com/}}]\n    request:",
            "a field or what a lookup found",
        ),
    ] {
        assert_refused("brevo", old, new, expected);
    }
}

#[test]
fn consent_is_the_gate_s_wherever_it_stands() {
    for (key, old, new, expected) in [
        (
            "brevo",
            "/v3/contacts/import",
            "/v3/contacts/import?a=1&gdpr_consent=1",
            "gdpr_consent: a consent field is never a literal",
        ),
        ("brevo", "/v3/contacts/import", "/v3/contacts/import?us_privacy=${settings.list}", "only the gate knows"),
        (
            "brevo",
            "/v3/contacts/import\n",
            "/v3/contacts/import\n      query: [{name: ad_storage, value: granted}]\n",
            "ad_storage: a consent field is never a literal",
        ),
        (
            "brevo",
            "/v3/contacts/import\n",
            "/v3/contacts/import\n      headers: {gpp: \"${row.email}\"}\n",
            "only the gate knows",
        ),
        ("mailjet", "group_by: [consent.action]", "group_by: [message.segment]", "consent.action would be the first one's"),
    ] {
        assert_refused(key, old, new, expected);
    }
}

#[test]
fn a_token_for_a_key_is_asked_for_in_a_known_way() {
    for (old, new, expected) in [
        ("method: POST\n  body", "method: PUT\n  body", "auth.method: \"PUT\": a token is asked for with GET or POST"),
        ("token: $.token", "token: \"$.token[0\"", "a bracket is open"),
        ("holds: 24h", "holds: long", "auth.holds: \"long\" is not a duration"),
        ("api_key: \"${settings.api_key}\"}", "api_key: \"${row.email}\"}", "auth.body.api_key: a key is nobody's"),
    ] {
        assert_refused("splio", old, new, expected);
    }
}

#[test]
fn another_wire_has_its_own_words() {
    for (key, old, new, expected) in [
        ("smtp", "method: MAIL", "method: POST", "\"POST\" is not one of MAIL, NOOP"),
        ("smtp", "schemes: [smtps, smtp]", "schemes: [smtps, postgresql]", "of one wire"),
        ("smtp", "schemes: [smtps, smtp]", "schemes: [gopher]", "of one wire"),
        ("smtp", "{$fill: settings.subject}", "{$fill: settings.from}", "settings.from is not of type template"),
        ("smtp", "{$fill: settings.subject}", "{$fill: row.email}", "$fill names a setting of type template"),
        ("smtp", "{$fill: settings.html, $as: html}", "{$fill: settings.html, $as: xml}", "neither text nor html"),
        ("smtp", "setting: rate}", "setting: speed}", "\"speed\" is not one of the settings"),
        ("smtp", "${settings.user}", "${settings.user|or a|lower}", "is said at the end"),
        ("postgresql", "method: UPSERT", "method: DROP", "\"DROP\" is not one of UPSERT, LEAVE, DELETE, NOOP"),
        ("postgresql", "consent_at: {$: consent.since}", "consent_at: {$: message.at}", "only the gate knows"),
    ] {
        assert_refused(key, old, new, expected);
    }
}

#[test]
fn cases_are_asked_for() {
    let found = faults(|text| *text = text.replace("shows: erase", "shows: other"), "cases/cases.yaml");
    assert!(found.contains("no case shows erase"), "{found}");
    let found = faults(|text| text.clear(), "README.md");
    assert!(found.contains("## English"), "{found}");
}
