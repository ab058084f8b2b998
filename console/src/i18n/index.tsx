import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { countedText, text, type Catalogue, type CountKey, type Gaps, type TextKey } from "./catalogue";
import { en } from "./en";
import { fr } from "./fr";
import { chooseLanguage, regionalTag, type Language } from "./language";

export type { CountKey, TextKey } from "./catalogue";
export { LANGUAGES, type Language } from "./language";

const CATALOGUES: Record<Language, Catalogue> = { en, fr };
const STORED = "jumelle.language";

interface I18n {
  language: Language;
  /** BCP 47 tag for `Intl`. */
  tag: string;
  setLanguage: (language: Language) => void;
  /** A text of the catalogue. */
  t: (key: TextKey, gaps?: Gaps) => string;
  /** A text for a count, in the language's plural form. */
  tn: (key: CountKey, count: number, gaps?: Gaps) => string;
}

const Context = createContext<I18n | null>(null);

/** Gives the pages their language: the chosen one, else the browser's. */
export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, choose] = useState(() => chooseLanguage(localStorage.getItem(STORED), navigator.languages));
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const value = useMemo<I18n>(() => {
    const catalogue = CATALOGUES[language];
    const tag = regionalTag(language, navigator.languages);
    const rules = new Intl.PluralRules(language);
    const number = new Intl.NumberFormat(tag);
    return {
      language,
      tag,
      setLanguage: (chosen) => {
        localStorage.setItem(STORED, chosen);
        choose(chosen);
      },
      t: (key, gaps) => text(catalogue, key, gaps),
      tn: (key, count, gaps) => countedText(catalogue, rules, key, count, number.format(count), gaps),
    };
  }, [language]);
  return <Context value={value}>{children}</Context>;
}

/** The texts and the language of the page. */
export function useI18n(): I18n {
  const found = useContext(Context);
  if (!found) throw new Error("useI18n outside of I18nProvider");
  return found;
}
