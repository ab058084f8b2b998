//! What a mapping may say, and what it makes.

use serde_json::{Value, json};

use super::super::Mapping;
use super::{all, outcomes};

#[test]
fn every_problem_has_its_path_and_what_would_be_right() {
    let event = "type: track, event: A, messageId: \"{id}\", timestamp: {column: t}";
    let cases: Vec<(String, &str)> = vec![
        (
            "events: [{type: identify, messageId: \"crm-{$row}\", userId: u}]".into(),
            "events[0].messageId: the rows of another file would have the same; make it of columns: \"order-{id}\"",
        ),
        ("events: []".into(), "events: at least one event is expected"),
        ("[1]".into(), "a map is expected here; its keys are file, group_by, timezone, events"),
        (
            format!("grup_by: [a]\nevents: [{{{event}}}]"),
            "grup_by: there is no \"grup_by\" here; there are file, group_by, timezone, events",
        ),
        (format!("timezone: Paris\nevents: [{{{event}}}]"), "timezone: \"Paris\" is not a time zone; write Europe/Paris"),
        (format!("file: {{encoding: ascii}}\nevents: [{{{event}}}]"), "file.encoding: the encoding is utf-8 or latin-1"),
        (
            format!("file: {{delimiter: \"::\"}}\nevents: [{{{event}}}]"),
            "file.delimiter: one ASCII character is expected here, or tab",
        ),
        (
            "events: [{event: A}]".into(),
            "events[0].type: an event has a type, one of track, identify, page, screen, group, alias",
        ),
        (
            "events: [{type: track, message_id: \"{id}\", event: A, timestamp: {column: t}}]".into(),
            "events[0].message_id: there is no \"message_id\" here; there are when, type, event, name, messageId, timestamp, userId, \
             anonymousId, previousId, groupId, properties, traits, context, consents, category; did you mean messageId?\n\
             events[0].messageId: missing; made of columns, it is what makes a second import change nothing: \"order-{id}\"",
        ),
        (
            "events: [{type: track, messageId: one}]".into(),
            "events[0].event: missing; a track call has a name: Order Completed\n\
             events[0].timestamp: missing; what happened has a time: {column: date}\n\
             events[0].messageId: every row would have the same; make it of columns: \"order-{id}\"",
        ),
        (
            format!("events: [{{{event}, when: {{a: {{begins: C}}}}}}]"),
            "events[0].when.a.begins: there is no \"begins\" here; there are eq, ne, in, not_in, starts_with, not_starts_with, contains, exists, gt, gte, lt, lte",
        ),
        (format!("events: [{{{event}, when: {{a: {{gte: many}}}}}}]"), "events[0].when.a.gte: a number is expected here"),
        (
            format!("events: [{{{event}, properties: {{a: {{column: b, as: money}}}}}}]"),
            "events[0].properties.a.as: \"money\" is not one of text, integer, decimal, bool, time",
        ),
        (
            format!("events: [{{{event}, properties: {{a: {{column: b, cast: time}}}}}}]"),
            "events[0].properties.a.cast: there is no \"cast\" here; there are column, as, trim, format, map",
        ),
        (
            format!("events: [{{{event}, properties: {{a: {{column: b, format: \"%!\"}}}}}}]"),
            "events[0].properties.a.format: \"%!\" is not a format of times; write iso, unix, unix_ms, or directives such as \"%d/%m/%Y %H:%M\"",
        ),
        (
            format!("events: [{{{event}, properties: {{a: {{sum: \"b * \"}}}}}}]"),
            "events[0].properties.a.sum: \"b * \" is not a product of one to 3 columns or numbers",
        ),
        (
            format!("events: [{{{event}, properties: {{a: {{sum: b, digits: 9}}}}}}]"),
            "events[0].properties.a.digits: a whole number from 0 to 6 is expected here",
        ),
        (format!("events: [{{{event}, properties: {{a: \"x-{{b\"}}}}]"), "events[0].properties.a: \"x-{b\" has a { without a }"),
        (
            format!("events: [{{{event}, consents: [{{state: yes}}]}}]"),
            "events[0].consents[0].purpose: a consent names its purpose\nevents[0].consents[0].state: \"yes\" is not granted or denied",
        ),
        (
            format!("events: [{{{event}, consents: [{{purpose: p, channel: Fax, state: granted}}]}}]"),
            "events[0].consents[0].channel: \"Fax\" is not one of email, sms, push, phone, postal, onsite, display, social, retargeting, call_center, personalization, partner_sharing, nor the name of a channel of the workspace's own",
        ),
    ];
    for (text, expected) in cases {
        match Mapping::parse(&text) {
            Ok(_) => panic!("taken: {text}"),
            Err(problems) => assert_eq!(problems.to_string(), expected, "{text}"),
        }
    }
    assert!(Mapping::parse("events: [").is_err_and(|problems| problems.to_string().contains("not YAML")));
    let deep = format!("events: [{{{event}, properties: {{a: {}1{}}}}}]", "[".repeat(20), "]".repeat(20));
    assert!(Mapping::parse(&deep).is_err_and(|problems| problems.to_string().contains("nested more than 16 levels")));
}

const ORDERS: &str = "group_by: [no]
events:
  - when: {no: {not_starts_with: [C, A]}}
    type: track
    event: Order Completed
    messageId: \"order-{no}\"
    timestamp: {column: date}
    userId: \"{customer}\"
    anonymousId: {any_of: [\"customer-{customer}\", \"order-{no}\"]}
    properties:
      order_id: \"{no}\"
      currency: GBP
      lines: {count: rows}
      total: {sum: \"quantity * price\"}
      products: {each: {product_id: {column: item}, name: {column: name, trim: true}, quantity: {column: quantity, as: integer}, price: {column: price, as: decimal}}}
  - {when: {no: {starts_with: C}}, type: track, event: Order Cancelled, messageId: \"order-{no}\", timestamp: {column: date}, userId: \"{customer}\", anonymousId: \"order-{no}\"}";

#[test]
fn rows_of_a_group_may_stand_anywhere_and_groups_come_in_the_order_of_time() {
    let rows = "no,item,name,quantity,price,date,customer
2,a, lamp ,3,1.10,2026-01-02 10:00:00,77
1,b,cup,2,0.5,2026-01-01 09:00:00,
A9,z,bad debt,1,-99,2026-01-01 00:00:00,
2,c,,1,0.10,2026-01-02 10:01:00,77
C1,b,cup,-2,0.5,2026-01-03 09:00:00,77
1,d,plate,1,10,2026-01-01 09:00:00,
";
    let read = all("orders.csv", rows.as_bytes(), ORDERS);
    let ids: Vec<&str> = read.iter().filter_map(|event| event["messageId"].as_str()).collect();
    assert_eq!(ids, ["order-1", "order-2", "order-C1"]);
    assert_eq!(
        read[1],
        json!({
            "type": "track", "event": "Order Completed", "messageId": "order-2", "timestamp": "2026-01-02T10:00:00.000Z", "userId": "77",
            "anonymousId": "customer-77",
            "properties": {"order_id": "2", "currency": "GBP", "lines": 2, "total": 3.4, "products": [
                {"product_id": "a", "name": "lamp", "quantity": 3, "price": 1.1},
                {"product_id": "c", "quantity": 1, "price": 0.1},
            ]},
        })
    );
    assert_eq!(read[0]["userId"], Value::Null);
    assert_eq!(read[0]["anonymousId"], "order-1");
    assert_eq!(read[0]["properties"]["total"], json!(11));
}

#[test]
fn two_columns_of_a_key_do_not_run_into_each_other() {
    let text = "group_by: [a, b]\nevents: [{type: identify, messageId: {any_of: [\"{a}-{$row}\", \"{b}-{$row}\"]}, userId: u, traits: {n: {count: rows}}}]";
    assert_eq!(all("x.csv", b"a,b\nx,yz\nxy,z\nx,yz\n,x\n", text).len(), 3);
}

/// Binary floats would give 0.30000000000000004, and 1.00 for the half penny.
#[test]
fn sums_are_exact_and_each_line_is_rounded_half_away_from_zero() {
    let cases = [
        ("1,0.1\n1,0.2\n", "0.3"),
        ("1,0.005\n1,0.005\n", "0.02"),
        ("1,-0.005\n", "-0.01"),
        ("3,1.005\n", "3.02"),
        ("12540,0.001\n", "12.54"),
        ("80995,2.08\n", "168469.6"),
        (",5\n2,5\n", "10"),
        (",5\n", "0"),
    ];
    for (rows, expected) in cases {
        let text =
            "group_by: []\nevents: [{type: identify, messageId: \"{g}-{$row}\", userId: u, traits: {total: {sum: \"q * p\"}}}]";
        let grouped = text.replace("[]", "[g]");
        let rows: String = rows.lines().map(|row| format!("g,{row}\n")).collect();
        let read = all("x.csv", format!("g,q,p\n{rows}").as_bytes(), &grouped);
        assert_eq!(read[0]["traits"]["total"].to_string(), expected, "{rows}");
    }
    let other =
        "events: [{type: identify, messageId: \"{q}-{$row}\", userId: u, traits: {yen: {sum: \"q * p * 1.1\", digits: 0}}}]";
    assert_eq!(all("x.csv", b"q,p\n3,100\n", other)[0]["traits"]["yen"], json!(330));
}

#[test]
fn a_bad_row_is_named_with_its_column_and_rule_and_the_others_are_events() {
    let text = "events:
  - type: track
    event: Order Completed
    messageId: \"order-{no}\"
    timestamp: {column: date, format: \"%d/%m/%Y %H:%M\"}
    userId: \"{customer}\"
    properties: {total: {sum: \"quantity * price\"}, quantity: {column: quantity, as: integer}, gift: {column: gift, as: bool}, paid: {column: paid, map: {c: card, b: bank}}}";
    let rows = "no,date,customer,quantity,price,gift,paid
1,31/12/2025 23:59,7,2,1.5,yes,c
2,2025-12-31,7,2,1.5,,
3,01/02/2026 8:05,7,two,1.5,,
4,01/02/2026 8:05,7,2.5,1.5,,
5,01/02/2026 8:05,7,2,1.5,perhaps,
,01/02/2026 8:05,7,2,1.5,,
7,,7,2,1.5,,
8,01/02/2026 8:05,7,2,1.5,,x
1,01/02/2026 8:05,7,2,1.5,,
10,01/02/2026 8:05,7,9000000000000,1000000,,
11,01/02/2026 8:05,7,2,1.5,non,b
";
    let (_directory, path) = super::file("orders.csv", rows.as_bytes());
    let mut found = Vec::new();
    let mut taken = Vec::new();
    for event in super::events(&path, Some(&super::mapping(text))).unwrap() {
        match event {
            Ok(event) => taken.push(event),
            Err(super::ReadError::Row(problem)) => {
                found.push((problem.row, problem.field.clone(), problem.column.clone().unwrap_or_default(), problem.rule));
            }
            Err(other) => panic!("{other}"),
        }
    }
    let expected = [
        (2, "events[0].timestamp", "date", "not_a_timestamp"),
        (3, "events[0].properties.total.sum", "quantity", "not_a_number"),
        (4, "events[0].properties.quantity", "quantity", "not_an_integer"),
        (5, "events[0].properties.gift", "gift", "not_a_bool"),
        (6, "events[0].messageId", "no", "missing"),
        (7, "events[0].timestamp", "date", "missing"),
        (8, "events[0].properties.paid", "paid", "not_in_map"),
        (9, "messageId", "", "duplicate_message_id"),
        (10, "events[0].properties.total.sum", "", "too_large"),
    ]
    .map(|(row, field, column, rule)| (row, field.to_owned(), column.to_owned(), rule));
    assert_eq!(found, expected);
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0]["timestamp"], "2025-12-31T23:59:00.000Z");
    assert_eq!(taken[0]["properties"], json!({"total": 3, "quantity": 2, "gift": true, "paid": "card"}));
    assert_eq!(taken[1]["properties"]["gift"], json!(false));
    let second = outcomes("orders.csv", rows.as_bytes(), text)[2].clone().unwrap_err();
    assert_eq!(second, "row 3, events[0].properties.total.sum: \"two\" is not a number (not_a_number)");
}

#[test]
fn a_bad_row_spoils_its_own_group_only() {
    let rows = "no,item,name,quantity,price,date,customer\n1,a,x,1,1,2026-01-01,5\n1,b,x,many,1,2026-01-01,5\n2,a,x,1,1,2026-01-02,5\nshort\n";
    let read = outcomes("orders.csv", rows.as_bytes(), ORDERS);
    assert_eq!(read[0].as_ref().unwrap_err(), "line 5: 1 fields, where the header has 7");
    assert!(read[1].as_ref().unwrap_err().starts_with("row 2, events[0].properties.total.sum: \"many\""));
    assert_eq!(read[2].as_ref().unwrap()["messageId"], "order-2");
}

#[test]
fn a_consent_file_becomes_consents() {
    let text = "timezone: Europe/Paris
events:
  - type: identify
    messageId: \"crm-{id}\"
    userId: \"{id}\"
    traits: {email: {column: mail}}
    context: {externalIds: [{type: loyalty_card, id: \"{card}\"}]}
    consents:
      - {purpose: marketing, channel: email, state: {column: optin, map: {Y: granted, N: denied}}, at: {column: date}, for: {email: \"{mail}\"}, proof: {form: \"{form}\"}}
      - {purpose: analytics, state: granted}";
    let rows = "id,mail,optin,date,form,card\n1,ana@example.org,Y,2026-06-05 10:00:00,F7,29\n2,eva@example.org,N,,,\n3,zoe@example.org,,,,\n";
    let read = all("crm.csv", rows.as_bytes(), text);
    assert_eq!(
        read[0]["context"],
        json!({
            "externalIds": [{"type": "loyalty_card", "id": "29"}],
            "consents": [
                {"purpose": "marketing", "channel": "email", "for": {"email": "ana@example.org"}, "proof": {"form": "F7"}, "state": "granted", "at": "2026-06-05T08:00:00.000Z"},
                {"purpose": "analytics", "state": "granted", "undated": true},
            ],
        })
    );
    assert_eq!(read[1]["context"]["consents"][0]["state"], "denied");
    assert_eq!(read[1]["context"]["consents"][0]["undated"], true, "a flag without a date is weak");
    assert_eq!(read[2]["context"]["consents"].as_array().unwrap().len(), 1, "no answer is no choice");
}

#[test]
fn conditions_on_columns() {
    let cases = [
        ("{a: x}", "x"),
        ("{a: [x, 5]}", "x5"),
        ("{a: {ne: x}}", "y5_"),
        ("{a: {not_in: [x, y]}}", "5_"),
        ("{a: {starts_with: x}}", "x"),
        ("{a: {not_starts_with: [x, y]}}", "5_"),
        ("{a: {contains: y}}", "y"),
        ("{a: {exists: true}}", "xy5"),
        ("{a: {exists: false}}", "_"),
        ("{a: {gte: 5, lt: 6}}", "5"),
        ("{a: {gt: 5}}", ""),
        ("{a: {exists: true}, b: {in: [1, 3]}}", "x5"),
    ];
    for (when, expected) in cases {
        let text = format!(
            "events: [{{when: {when}, type: identify, messageId: \"{{b}}-{{$row}}\", userId: {{any_of: [\"{{a}}\", \"_\"]}}}}]"
        );
        let read = all("x.csv", b"a,b\nx,1\ny,2\n5,3\n,4\n", &text);
        let found: String = read.iter().filter_map(|event| event["userId"].as_str()).collect();
        assert_eq!(found, expected, "{when}");
    }
}

#[test]
fn times_are_read_as_the_mapping_says() {
    let cases = [
        ("", "2026-07-01 10:00:00", "2026-07-01T08:00:00.000Z"),
        ("", "2026-07-01T10:00:00+05:00", "2026-07-01T05:00:00.000Z"),
        ("", "2026-07-01", "2026-06-30T22:00:00.000Z"),
        (", format: unix", "1782892800", "2026-07-01T08:00:00.000Z"),
        (", format: unix_ms", "1782892800125", "2026-07-01T08:00:00.125Z"),
        (", format: \"%m/%d/%Y %H:%M\"", "7/1/2026 8:26", "2026-07-01T06:26:00.000Z"),
        (", format: \"%d.%m.%Y\"", "01.07.2026", "2026-06-30T22:00:00.000Z"),
        (", format: \"%Y-%m-%d %H:%M %z\"", "2026-07-01 10:00 +0000", "2026-07-01T10:00:00.000Z"),
    ];
    for (format, text, expected) in cases {
        let mapping = format!(
            "timezone: Europe/Paris\nevents: [{{type: track, event: A, messageId: \"{{t}}-{{$row}}\", userId: u, timestamp: {{column: t{format}}}}}]"
        );
        let read = all("x.csv", format!("t\n{text}\n").as_bytes(), &mapping);
        assert_eq!(read[0]["timestamp"], expected, "{text}");
    }
}
