import { useSegmentName } from "../../components/SegmentName";
import { useI18n, type CountKey, type TextKey } from "../../i18n";
import type { Mark } from "./effect";
import css from "./Live.module.css";

/** The name of a type of entry. */
export function typeName(t: (key: TextKey) => string, type: string): string {
  switch (type) {
    case "quarantined":
    case "result":
    case "timer":
    case "erased":
    case "apply":
      return t(`live.kind_${type}`);
    default:
      return type;
  }
}

/** What an entry did, as a row of short words. */
export function Marks({ found }: { found: Mark[] }) {
  const { t, tn } = useI18n();
  const segmentName = useSegmentName();
  if (found.length === 0) return <span className={css.nothing}>{t("live.nothing")}</span>;
  return (
    <span className={css.marks}>
      {found.map((mark, n) => {
        const gaps = {
          ...(mark.segment && { segment: segmentName(mark.segment) }),
          ...(mark.purpose && { purpose: mark.purpose }),
          ...(mark.state && { state: t(`consent.${mark.state}`) }),
          ...(mark.field !== undefined && { field: mark.field || t("quarantine.whole") }),
        };
        return (
          <span key={n} className={css.mark} data-tone={mark.tone}>
            {mark.count === undefined ? t(mark.text as TextKey, gaps) : tn(mark.text as CountKey, mark.count, gaps)}
          </span>
        );
      })}
    </span>
  );
}
