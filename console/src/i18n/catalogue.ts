import type { en } from "./en";

type Texts<T> = { [K in keyof T]: T[K] extends string ? string : Texts<T[K]> };
/** Every text of the console in one language. */
export type Catalogue = Texts<typeof en>;

type Keys<T> = { [K in keyof T & string]: T[K] extends string ? K : `${K}.${Keys<T[K]>}` }[keyof T & string];
/** A text's address, such as `home.title`. */
export type TextKey = Keys<Catalogue>;
/** The address of a text that depends on a count: it stands in the catalogue with `_one` and `_other`. */
export type CountKey = TextKey extends infer K ? (K extends `${infer Base}_one` ? Base : never) : never;

/** What fills the `{gaps}` of a text. */
export type Gaps = Record<string, string | number>;

/** The text at a key with its gaps filled. A gap without a value stays visible, so that it is seen and mended. */
export function text(catalogue: Catalogue, key: string, gaps?: Gaps): string {
  const [page, name] = key.split(".") as [keyof Catalogue, string];
  const found = (catalogue[page] as Record<string, string> | undefined)?.[name] ?? key;
  return gaps ? found.replaceAll(/\{(\w+)\}/g, (gap, word: string) => String(gaps[word] ?? gap)) : found;
}

/** The text for a count, by the language's plural rule; `{count}` is filled with `shown`. */
export function countedText(catalogue: Catalogue, rules: Intl.PluralRules, key: CountKey, count: number, shown: string, gaps?: Gaps): string {
  const form = rules.select(count) === "one" ? "one" : "other";
  return text(catalogue, `${key}_${form}`, { ...gaps, count: shown });
}
