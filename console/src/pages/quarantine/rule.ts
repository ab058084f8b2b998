import type { TextKey } from "../../i18n";

/** The rules that the console can say in words, by the server's names for them. */
const RULES = [
  "missing",
  "wrong_type",
  "invalid_json",
  "too_deep",
  "too_large",
  "too_long",
  "too_old",
  "in_the_future",
  "control_character",
  "duplicate_field",
  "consent_state",
  "unknown_channel",
  "unknown_purpose",
  "not_a_timestamp",
  "number_as_text",
  "unknown_type",
  "too_many_events",
] as const;

/** Where a rule's sentence stands in the catalogue, and what would be right. A rule we do not know is named as it is. */
export function ruleTexts(rule: string): { why: TextKey; fix: TextKey } {
  const known = RULES.find((name) => name === rule) ?? "other";
  return { why: `quarantine.rule_${known}`, fix: `quarantine.rule_${known}_fix` };
}

/** The body as JSON, or why it is none. */
export function readJson(text: string): { value: unknown } | { invalid: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { invalid: error instanceof Error ? error.message : String(error) };
  }
}

/** The body as one edits it: indented if it is JSON, as it is otherwise. */
export function editable(text: string): string {
  const read = readJson(text);
  return "value" in read ? JSON.stringify(read.value, null, 2) : text;
}
