import { describe, expect, it } from "vitest";
import { definitionOf, draftOf, EMPTY, isWhole, suggested } from "./draft";

describe("an activation in the making", () => {
  const draft = { ...EMPTY, key: "mail", segment: "a", destination: "b", purpose: "c", channel: "email", map: [{ field: "email", from: "identifiers.email" }, { field: "", from: "x" }] };

  it("leaves out what is not finished", () => {
    expect(definitionOf(draft)).toEqual({ segment: "a", destination: "b", purpose: "c", channel: "email", map: { email: "identifiers.email" } });
    expect(isWhole(draft)).toBe(true);
    expect(isWhole({ ...draft, purpose: "" })).toBe(false);
  });

  it("reads back what it wrote", () => {
    const sent = { ...draft, initial: "send" as const, map: draft.map.slice(0, 1) };
    expect(draftOf("mail", definitionOf(sent))).toEqual(sent);
  });

  it("suggests what both sides call the same", () => expect(suggested(["email", "sms"], ["user_id", "email"])).toEqual([{ field: "email", from: "identifiers.email" }]));
});
