import { describe, expect, it } from "vitest";
import { jsonLines, markedLines } from "./json";

const event = { type: "track", properties: { products: [{ price: "x" }, { price: 2 }] }, empty: {} };
const shown = () => jsonLines(event).map((line) => `${"  ".repeat(line.indent)}${line.key === null ? "" : `"${line.key}": `}${line.text}`);
const marked = (mark: string) => [...markedLines(jsonLines(event), mark)].map((n) => shown()[n]?.trim());

describe("JSON by line", () => {
  it("is what JSON.stringify writes", () => expect(shown().join("\n")).toBe(JSON.stringify(event, null, 2)));
  it("marks a field", () => expect(marked("properties.products[1].price")).toEqual(['"price": 2']));
  it("marks a whole object", () => expect(marked("properties.products[0]")).toEqual(["{", '"price": "x"', "},"]));
  it("marks the parent of what is missing", () => expect(marked("properties.order_id")).toEqual(['"properties": {']));
  it("marks nothing when a field of the event itself is missing", () => expect(marked("event")).toEqual([]));
  it("does not take a longer name for the field", () => expect(marked("prop")).toEqual([]));
});
