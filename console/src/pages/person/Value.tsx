import type { Schemas } from "../../api/client";
import { isMoney, useFormat } from "../../format";
import { useI18n } from "../../i18n";

type Traits = Schemas["Profile"]["traits"];
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** A value of a profile in words: money, numbers and instants by the reader's locale, anything else as JSON. */
export function useValueWords(): (value: Traits[string]) => string {
  const format = useFormat();
  const { t } = useI18n();
  return (value) => {
    if (isMoney(value)) return format.money(value);
    if (typeof value === "number") return format.number(value);
    if (typeof value === "boolean") return t(value ? "person.yes" : "person.no");
    if (typeof value === "string") return INSTANT.test(value) ? format.instant(value) : value;
    return value === null || value === undefined ? "–" : JSON.stringify(value);
  };
}
