import { expect, it } from "vitest";
import { editable, readJson, ruleTexts } from "./rule";

it("a known rule has its own words, another one is named", () => {
  expect(ruleTexts("missing")).toEqual({ why: "quarantine.rule_missing", fix: "quarantine.rule_missing_fix" });
  expect(ruleTexts("brand_new")).toEqual({ why: "quarantine.rule_other", fix: "quarantine.rule_other_fix" });
});

it("a body is laid out for editing when it is JSON, and left alone when it is not", () => {
  expect(editable('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(editable('{"a":')).toBe('{"a":');
  expect("invalid" in readJson("{")).toBe(true);
});
