import { describe, expect, it } from "vitest";
import { blocks, inLanguage, inline } from "./markdown";

describe("a README", () => {
  it("says its lines as they are written", () => {
    expect(inline("In *Settings → API* make a `v3` key, see [the guide](https://example.org/x).")).toEqual([
      { kind: "text", text: "In " },
      { kind: "em", text: "Settings → API" },
      { kind: "text", text: " make a " },
      { kind: "code", text: "v3" },
      { kind: "text", text: " key, see " },
      { kind: "link", text: "the guide", href: "https://example.org/x" },
      { kind: "text", text: "." },
    ]);
  });

  it("makes no link of anything but https, and no HTML of anything", () => {
    expect(inline("[x](javascript:alert(1)) <img src=x onerror=alert(1)>")).toEqual([{ kind: "text", text: "[x](javascript:alert(1)) <img src=x onerror=alert(1)>" }]);
  });

  it("has paragraphs, lists and code", () => {
    expect(blocks("## A\n\none\ntwo\n\n- x\n- y\n\n```\n# no heading\n```\n").map(({ kind }) => kind)).toEqual(["heading", "paragraph", "list", "code"]);
  });

  it("speaks the reader's language", () => {
    const readme = "# T\n\n## Français\n\nBonjour.\n\n## English\n\nHello.\n";
    expect(inLanguage(readme, "fr").trim()).toBe("Bonjour.");
    expect(inLanguage(readme, "en").trim()).toBe("Hello.");
    expect(inLanguage("Own words.", "fr")).toBe("Own words.");
  });
});
