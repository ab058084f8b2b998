import { describe, expect, it } from "vitest";
import { countedText, text } from "./catalogue";
import { chooseLanguage } from "./language";
import { en } from "./en";
import { fr } from "./fr";

const flat = (catalogue: object) =>
  new Map(Object.entries(catalogue).flatMap(([page, texts]) => Object.entries(texts as Record<string, string>).map(([name, words]) => [`${page}.${name}`, words])));
const gaps = (words: string) => [...words.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort();

describe("the two catalogues", () => {
  const english = flat(en);
  const french = flat(fr);

  it("have the same texts", () => expect([...french.keys()].sort()).toEqual([...english.keys()].sort()));

  it.each([...english.entries()])("%s is written in both, with the same gaps", (key, words) => {
    const other = french.get(key) ?? "";
    expect(words.trim()).not.toBe("");
    expect(other.trim()).not.toBe("");
    expect(gaps(other)).toEqual(gaps(words));
  });

  it("keep French punctuation on the line of its word", () => {
    for (const [key, words] of french) expect(words, key).not.toMatch(/ [:;?!»]|« /);
  });

  it("say counted texts in both forms", () => {
    for (const key of english.keys()) if (key.endsWith("_one")) expect(english.has(key.replace(/_one$/, "_other")), key).toBe(true);
  });
});

describe("a text", () => {
  it("fills its gaps and leaves an unknown one visible", () => {
    expect(text(en, "gate.unknown_fix", { purpose: "marketing", channel: "e-mail" })).toBe("It opens when a grant for marketing by e-mail arrives.");
    expect(text(en, "app.version")).toBe("Jumelle {version}");
    expect(text(en, "app.version", {})).toBe("Jumelle {version}");
  });

  it("counts as each language does: zero is singular in French alone", () => {
    const count = (catalogue: typeof fr, language: string, n: number) => countedText(catalogue, new Intl.PluralRules(language), "live.paused", n, String(n));
    expect(count(en, "en", 0)).toBe("Paused. 0 events wait");
    expect(count(en, "en", 1)).toBe("Paused. 1 event waits");
    expect(count(fr, "fr", 0)).toBe("En pause. 0 événement attend");
    expect(count(fr, "fr", 2)).toBe("En pause. 2 événements attendent");
  });
});

describe("the language", () => {
  it("is the chosen one, else the browser's first that there is, else English", () => {
    expect(chooseLanguage("fr", ["en-GB"])).toBe("fr");
    expect(chooseLanguage(null, ["de-DE", "fr-CA", "en"])).toBe("fr");
    expect(chooseLanguage("xx", ["pt-BR"])).toBe("en");
    expect(chooseLanguage(null, [])).toBe("en");
  });
});
