import { describe, expect, it } from "vitest";
import { fragment } from "./fragment";

describe("a fragment of workspace.yaml", () => {
  it("is what a person would have written", () => {
    expect(fragment("destinations", "crm_mail", { connector: "brevo", api_key: { env: "BREVO_KEY" }, list: "7", allow_private: true, channels: ["email", "sms"] })).toBe(
      'destinations:\n  crm_mail:\n    connector: brevo\n    api_key: {env: BREVO_KEY}\n    list: "7"\n    allow_private: true\n    channels: [email, sms]\n',
    );
  });

  it("keeps a text a text", () => {
    for (const text of ["no", "12", "a: b", "#x", "{x", "null", "", "é", "- x", "it's"]) expect(fragment("a", "b", { c: text })).toBe(`a:\n  b: {c: ${JSON.stringify(text)}}\n`);
  });
});
