//! What is said of wrong definitions: `data/wrong.txt` is the table; adding a case needs no code.

use jumelle_model::Workspace;
use jumelle_model::workspace::PROBLEMS_MAX;

const TABLE: &str = include_str!("data/wrong.txt");

struct Case<'t> {
    name: &'t str,
    text: &'t str,
    said: &'t str,
}

fn cases() -> Vec<Case<'static>> {
    let cases = TABLE.split("\n=== ").skip(1).map(|case| {
        let (name, rest) = case.split_once('\n').expect("a case has a name");
        let (text, said) = rest.rsplit_once("\n---\n").expect("a case has --- before what is said");
        Case { name, text, said: said.trim_end() }
    });
    cases.collect()
}

fn said_of(text: &str) -> String {
    Workspace::parse(text).map(|_| "nothing".to_owned()).unwrap_or_else(|problems| problems.to_string())
}

#[test]
fn every_wrong_definition_is_told_where_and_what_would_be_right() {
    let cases = cases();
    assert!(cases.len() >= 50, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for Case { name, text, said } in cases {
        let found = said_of(text);
        if found != said {
            wrong.push(format!("=== {name}\n{text}\n---\n{found}\n\nand not\n{said}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bounds_are_met_with_an_answer() {
    let deep = |levels: usize| format!("segments: {{a: {{rule: {}{{did: X}}{}}}}}", "{not: ".repeat(levels), "}".repeat(levels));
    let wide = |conditions: usize| format!("segments: {{a: {{rule: {{any: [{}]}}}}}}", "{did: X}, ".repeat(conditions));
    // `s0` names `s1` … ; the last one does something.
    let chain = |length: usize, backwards: bool| {
        let mut lines: Vec<String> = (0..length).map(|n| format!("  s{n}: {{rule: {{in_segment: s{}}}}}\n", n + 1)).collect();
        lines.push(format!("  s{length}: {{rule: {{did: X}}}}\n"));
        if backwards {
            lines.reverse();
        }
        format!("segments:\n{}", lines.concat())
    };
    let levels = "a rule has 16 levels at most, those of the segments that it names included";
    let conditions = "a rule has 200 conditions at most, those of the segments that it names included";
    let others = "segments name each other through 16 others at most";
    for (text, said) in [
        (deep(15), "nothing".to_owned()),
        (deep(16), format!("1:118: segments.a.rule{}: {levels}", ".not".repeat(16))),
        (wide(199), "nothing".to_owned()),
        // Once, however many there are.
        (wide(500), format!("1:{}: segments.a.rule.any[199]: {conditions}", 29 + 199 * 10)),
        (chain(16, false), "nothing".to_owned()),
        (chain(16, true), "nothing".to_owned()),
        (
            format!("segments:\n  a: {{rule: {{in_segment: b}}}}\n  b: {{rule: {{all: [{}]}}}}", "{did: X}, ".repeat(199)),
            "nothing".to_owned(),
        ),
        (
            format!(
                "segments:\n  a: {{rule: {{any: [{{did: X}}, {{in_segment: b}}]}}}}\n  b: {{rule: {{all: [{}]}}}}",
                "{did: X}, ".repeat(199)
            ),
            format!("2:43: segments.a.rule.any[1].in_segment: {conditions}"),
        ),
        ("[".repeat(65), "1:65: nested more than 64 levels".to_owned()),
        (format!("{}{}", "[".repeat(65), "]".repeat(65)), "1:65: nested more than 64 levels".to_owned()),
        (format!("# {}", "x".repeat(1 << 20)), "1:1: the text has 1048578 bytes; definitions have 1048576 at most".to_owned()),
    ] {
        assert_eq!(said_of(&text), said, "{}", text.chars().take(200).collect::<String>());
    }
    for backwards in [false, true] {
        assert!(said_of(&chain(17, backwards)).contains(others), "17 others, backwards: {backwards}");
        assert!(said_of(&chain(1_900, backwards)).contains(others), "1,900 others, backwards: {backwards}");
    }
    assert_eq!(said_of(&chain(2_000, false)), "2:3: segments: a workspace has 2000 segments at most, not 2001");
    let many: String = (0..1_000).map(|n| format!("  s{n}: {{}}\n")).collect();
    let problems = Workspace::parse(&format!("sources:\n{many}")).unwrap_err();
    assert_eq!(problems.0.len(), PROBLEMS_MAX);
}

#[test]
fn a_problem_is_data_for_the_interface() {
    let problems = Workspace::parse("sources:\n  till: {kind: server}").unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!([{
            "line": 2, "column": 9, "path": "sources.till", "message": "a source that is not a file has a write_key",
        }])
    );
}

/// Nothing here takes time that grows faster than the text: a quadratic step would be minutes.
#[test]
fn a_full_megabyte_is_answered() {
    let many =
        |line: &dyn Fn(usize) -> String| -> String { (0..40_000).map(line).collect::<String>().chars().take(1 << 20).collect() };
    let rules = many(&|n| format!("  s{n}: {{rule: {{did: X}}}}\n"));
    let named =
        (0..1_900).map(|n| format!("  a{n}: {{rule: {{any: [{}]}}}}\n", "{in_segment: b}, ".repeat(3))).collect::<String>();
    let wide = format!("  b: {{rule: {{any: [{}]}}}}\n", "{trait: x, matches: '\\w{20}'}, ".repeat(60));
    for text in [
        format!("segments:\n{rules}"),
        format!("segments:\n{named}{wide}"),
        format!("sources:\n{}", many(&|n| format!("  s{n}: {{kind: file}}\n"))),
        many(&|n| format!("k{n}: x\n")),
        many(&|_| "same: x\n".to_owned()),
        format!("{{{}\"z\": 1}}", many(&|n| format!("\"k{n}\": [1, \"x\"],"))),
        "? ".repeat(1 << 19),
        "&a ".repeat(1 << 18),
        "'".repeat(1 << 20),
        "\n".repeat(1 << 20),
    ] {
        let text: String = text.chars().take(1 << 20).collect();
        let _ = Workspace::parse(&text);
    }
}
