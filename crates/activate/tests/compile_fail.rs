//! A path around the gate does not compile (DESIGN, rule 4).

#[test]
fn nothing_but_a_cleared_message_can_be_sent() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
