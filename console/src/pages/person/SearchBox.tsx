import { Button, TextInput } from "@mantine/core";
import { useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";

/** Asks for a person by any identifier. The shell has the same for every page, reached by `/`. */
export function SearchBox() {
  const { t } = useI18n();
  const [, navigate] = useLocation();
  const [parameters] = useSearchParams();
  const asked = parameters.get("query") ?? "";
  const [words, setWords] = useState(asked);
  const [followed, follow] = useState(asked);
  if (followed !== asked) {
    follow(asked);
    setWords(asked);
  }
  return (
    <form
      className={css.search}
      role="search"
      aria-label={t("person.search")}
      onSubmit={(event) => {
        event.preventDefault();
        if (words.trim()) navigate(`/people?query=${encodeURIComponent(words.trim())}`);
      }}
    >
      <TextInput type="search" aria-label={t("person.search")} placeholder={t("app.find_hint")} value={words} onChange={(event) => setWords(event.currentTarget.value)} />
      <Button type="submit">{t("person.search_go")}</Button>
    </form>
  );
}
