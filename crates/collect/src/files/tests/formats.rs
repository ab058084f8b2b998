//! CSV, JSON lines and Parquet, as they come.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::{all, events, file, mapping, outcomes, refused};

const NAMES: &str = "events:\n  - {type: identify, messageId: \"{id}\", userId: \"{id}\", traits: {name: {column: name}}}";

#[test]
fn a_csv_is_read_as_it_is_written() {
    let plain = "id,name\n1,Ana\n2,\"Léa, \"\"la\"\" grande\"\n3,\n";
    let semicolons = "id;name\n1;Ana\n2;\"Léa, \"\"la\"\" grande\"\n3;\n";
    let bom = format!("\u{feff}{plain}");
    let crlf = plain.replace('\n', "\r\n");
    for content in [plain, semicolons, &bom, &crlf] {
        let names: Vec<_> =
            all("people.csv", content.as_bytes(), NAMES).iter().map(|event| event["traits"]["name"].clone()).collect();
        assert_eq!(names, [json!("Ana"), json!("Léa, \"la\" grande"), json!(null)], "{content:?}");
    }
}

#[test]
fn latin_1_has_its_accents_and_the_euro() {
    let text = format!("file: {{encoding: latin-1, delimiter: \";\", quote: \"'\"}}\n{NAMES}");
    let events = all("people.csv", b"id;name\n1;'L\xe9a; 5 \x80'\n", &text);
    assert_eq!(events[0]["traits"]["name"], "Léa; 5 €");
    let refused = outcomes("people.csv", b"id,name\n1,L\xe9a\n2,Ana\n", NAMES);
    assert_eq!(
        refused[0].as_ref().unwrap_err(),
        "line 2: column \"name\": not UTF-8; if the file is of western European Windows, write file: {encoding: latin-1}"
    );
    assert!(refused[1].is_ok());
}

#[test]
fn words_for_nothing_and_the_decimal_comma_are_options() {
    let text = "file: {empty: [\"NULL\", \"-\"], decimal: \",\"}
events:
  - {type: identify, messageId: \"{id}\", userId: \"{id}\", traits: {spent: {column: spent, as: decimal}}}";
    let events = all("people.csv", b"id;spent\n1;12,50\n2;NULL\n3;-\n", text);
    let spent: Vec<_> = events.iter().map(|event| event["traits"]["spent"].clone()).collect();
    assert_eq!(spent, [json!(12.5), json!(null), json!(null)]);
}

#[test]
fn a_row_of_another_length_is_left_out_and_the_next_ones_are_not() {
    let outcomes = outcomes("people.csv", b"id,name\n1,Ana\n2\n3,Eva,x\n4,Zoe\n", NAMES);
    let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(errors, ["line 3: 1 fields, where the header has 2", "line 4: 3 fields, where the header has 2"]);
    assert_eq!(outcomes.last().unwrap().as_ref().unwrap()["userId"], "4");
}

#[test]
fn a_quote_that_is_never_closed_is_an_end_with_a_reason() {
    let mut content = b"id,name\n1,\"Ana\n".to_vec();
    content.resize(content.len() + 20 * (1 << 20), b'x');
    let outcomes = outcomes("people.csv", &content, NAMES);
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].as_ref().unwrap_err(), "a row has more than 16777216 bytes; is there a quote that is not closed?");
}

#[test]
fn gzip_is_seen_by_its_first_bytes() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"id,name\n1,Ana\n").unwrap();
    let packed = gzip.finish().unwrap();
    assert_eq!(all("people.csv.gz", &packed, NAMES)[0]["traits"]["name"], "Ana");
    assert_eq!(all("people.csv", &packed, NAMES)[0]["traits"]["name"], "Ana");
    // Damaged in the middle: one error, then the end, and not for ever.
    let cut = outcomes("people.csv.gz", &packed[..packed.len() - 9], NAMES);
    assert_eq!(cut.iter().filter(|outcome| outcome.is_err()).count(), 1);
}

#[test]
fn what_does_not_fit_the_file_is_said_with_what_it_has() {
    let missing = refused("people.csv", b"id,nom\n1,Ana\n", Some(NAMES)).to_string();
    assert_eq!(missing, "the file has no column \"name\"; it has id, nom");
    let delimiter = refused("people.csv", b"id#name\n1#Ana\n", Some(NAMES)).to_string();
    assert_eq!(delimiter, "the file has no column \"id\"; it has id#name");
    let twice = refused("people.csv", b"id,name,name\n1,Ana,Eva\n", Some(NAMES)).to_string();
    assert_eq!(twice, "the file has two columns \"name\"; give one another name");
    assert!(refused("people.parquet", b"PAR1 and no more", Some(NAMES)).is_fatal());
    assert!(refused("people.csv", b"", Some(NAMES)).to_string().contains("empty"));
}

#[test]
fn json_lines_need_not_be_alike() {
    let text = "events:\n  - {type: identify, messageId: \"{id}\", userId: \"{id}\", traits: {city: {column: address.city}, name: \"{name}\"}}";
    let content = b"{\"id\":1,\"name\":\"Ana\"}\n\n{\"id\":2,\"address\":{\"city\":\"Lille\"}}\n[1]\nnot json\n{\"id\":3}";
    let outcomes = outcomes("people.jsonl", content, text);
    assert_eq!(outcomes[0].as_ref().unwrap()["traits"], json!({"name": "Ana"}));
    assert_eq!(outcomes[1].as_ref().unwrap()["traits"], json!({"city": "Lille"}));
    assert_eq!(outcomes[2].as_ref().unwrap_err(), "line 4: not a JSON object");
    assert!(outcomes[3].as_ref().unwrap_err().starts_with("line 5: not JSON"));
    assert_eq!(outcomes[4].as_ref().unwrap()["userId"], "3");
}

#[test]
fn a_line_that_is_too_long_is_passed_over_whole() {
    let mut content = b"{\"id\":1}\n{\"id\":\"".to_vec();
    content.resize(content.len() + 17 * (1 << 20), b'x');
    content.extend_from_slice(b"\"}\n{\"id\":3}\n");
    let outcomes = outcomes("people.jsonl", &content, "events: [{type: identify, messageId: \"{id}\", userId: \"{id}\"}]");
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().map(|event| event["userId"].clone())).collect();
    assert_eq!(ids, [Ok(json!("1")), Err(&"line 2: more than 16777216 bytes".to_owned()), Ok(json!("3"))]);
}

#[test]
fn events_in_json_lines_need_no_mapping() {
    let line = r#"{"type":"track","event":"A","messageId":"m1","userId":"u"}"#;
    let (_directory, path) =
        file("events.jsonl", format!("{line}\n{{\"type\":\"page\",\"userId\":\"u\"}}\n\nnonsense\n").as_bytes());
    let read = || events(&path, None).unwrap().map(|event| event.map_err(|error| error.to_string())).collect::<Vec<_>>();
    let first = read();
    assert_eq!(first[0].as_ref().unwrap().to_string(), line);
    // Made of the content and the line: the same the next time.
    assert!(first[1].as_ref().unwrap()["messageId"].as_str().unwrap().starts_with("line-"));
    assert!(first[2].as_ref().unwrap_err().starts_with("line 4: not JSON"));
    assert_eq!(first, read());
}

#[test]
fn another_file_without_a_mapping_is_refused_with_one_that_fits() {
    let message = refused("orders.csv", b"Order No;Date;Amount\n1;2026-01-01;5\n", None).to_string();
    assert!(message.contains("Its columns are Order No, Date, Amount."), "{message}");
    let example = &message[message.find("events:").unwrap()..];
    let events = all("orders.csv", b"Order No;Date;Amount\n1;2026-01-01;5\n", example);
    assert_eq!(events[0]["timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(events[0]["messageId"], "order-1");
}

/// Two row groups of three rows: every second value missing.
fn parquet_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let schema = "message rows {
        required int64 id; optional binary name (UTF8); optional double price; optional int64 wall (TIMESTAMP(NANOS,false));
        optional int64 instant (TIMESTAMP(MICROS,true)); optional int32 day (DATE); optional boolean member;
        optional int32 cents (DECIMAL(9,2)); optional fixed_len_byte_array(5) exact (DECIMAL(10,3)); optional int32 count (INTEGER(32,false));
        optional binary raw;
    }";
    let (directory, path) = file("rows.parquet", b"");
    let properties = Arc::new(WriterProperties::builder().build());
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, properties).unwrap();
    for group in 0..2_i64 {
        let mut rows = writer.next_row_group().unwrap();
        let present = Some(&[1_i16, 0, 1][..]);
        macro_rules! column {
            ($kind:ty, $values:expr, $levels:expr) => {
                let mut column = rows.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch($values, $levels, None).unwrap();
                column.close().unwrap();
            };
        }
        column!(Int64Type, &[group * 3, group * 3 + 1, group * 3 + 2], None);
        column!(ByteArrayType, &[ByteArray::from("Léa"), ByteArray::from("Ana")], present);
        column!(DoubleType, &[2.55, f64::NAN], present);
        let nanos = 1_291_191_960_000_000_000;
        column!(Int64Type, &[nanos, nanos + 1_999], present);
        column!(Int64Type, &[nanos / 1_000, nanos / 1_000 + 1], present);
        column!(Int32Type, &[14_944, 0], present);
        column!(BoolType, &[true, false], present);
        column!(Int32Type, &[1_050, -1], present);
        column!(FixedLenByteArrayType, &[vec![0, 0, 0, 4, 210].into(), vec![255, 255, 255, 255, 255].into()], present);
        column!(Int32Type, &[-1, 7], present);
        column!(ByteArrayType, &[ByteArray::from(vec![0xff, 0x01]), ByteArray::from("x")], present);
        rows.close().unwrap();
    }
    writer.close().unwrap();
    (directory, path)
}

#[test]
fn parquet_has_its_types_and_its_nulls() {
    let (_directory, path) = parquet_file();
    let text = "timezone: Europe/Paris
events:
  - type: identify
    messageId: \"{id}\"
    userId: {column: id}
    traits: {name: {column: name}, price: {column: price}, wall: {column: wall}, instant: {column: instant}, day: {column: day},
             member: {column: member}, cents: {column: cents}, exact: {column: exact}, count: {column: count}, raw: {column: raw},
             text: \"{price} {wall}\"}";
    let read: Vec<_> = events(&path, Some(&mapping(text))).unwrap().map(|event| event.unwrap()).collect();
    assert_eq!(read.len(), 6);
    assert_eq!(read[4], json!({"type": "identify", "messageId": "4", "userId": "4", "traits": {}}));
    assert_eq!(
        read[3]["traits"],
        json!({
            // Without a zone: Paris in winter is an hour ahead. With one: as it is.
            "wall": "2010-12-01T07:26:00.000Z", "instant": "2010-12-01T08:26:00.000Z", "day": "2010-11-30T23:00:00.000Z",
            "name": "Léa", "price": 2.55, "member": true, "cents": 10.5, "exact": 1.234, "count": 4_294_967_295_i64, "raw": "ff01",
            "text": "2.55 2010-12-01T08:26:00.000",
        })
    );
    assert_eq!(read[5]["traits"]["price"], json!(null), "NaN is how data frames write a missing number");
    assert_eq!(read[5]["traits"]["cents"], json!(-0.01));
    assert_eq!(read[5]["traits"]["exact"], json!(-0.001));
}
