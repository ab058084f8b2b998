/** The languages that the console speaks. */
export const LANGUAGES = ["fr", "en"] as const;
/** One of them. */
export type Language = (typeof LANGUAGES)[number];

const isLanguage = (word: string | null | undefined): word is Language => LANGUAGES.some((language) => language === word);

/** The language that was chosen before, else the browser's first that we speak, else English. */
export function chooseLanguage(stored: string | null, preferred: readonly string[]): Language {
  if (isLanguage(stored)) return stored;
  return preferred.map((tag) => tag.slice(0, 2).toLowerCase()).find(isLanguage) ?? "en";
}

/** The browser's own tag of a language (`fr-CA`), so that numbers and dates follow the region as well. */
export function regionalTag(language: Language, preferred: readonly string[]): string {
  return preferred.find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;
}
