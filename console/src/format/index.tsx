import { useMemo } from "react";
import { useI18n } from "../i18n";
import { useSession } from "../shell/session";
import { formatBytes, formatMoney, formatShare, span, writtenSpan, type Money } from "./format";

export { isMoney, type Money } from "./format";

/** Numbers, money and instants as the reader's locale writes them, in the workspace's time zone. */
export function useFormat() {
  const { tag, t } = useI18n();
  const { workspace } = useSession();
  return useMemo(() => {
    const zone = { timeZone: workspace.timezone };
    const number = new Intl.NumberFormat(tag);
    const compact = new Intl.NumberFormat(tag, { notation: "compact", maximumFractionDigits: 1 });
    const time = new Intl.DateTimeFormat(tag, { ...zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const minute = new Intl.DateTimeFormat(tag, { ...zone, hour: "2-digit", minute: "2-digit" });
    const day = new Intl.DateTimeFormat(tag, { ...zone, day: "numeric", month: "short" });
    // A calendar day ("2026-11-25") is no instant: it is written as it stands, whatever the zone.
    const calendarDay = new Intl.DateTimeFormat(tag, { timeZone: "UTC", day: "numeric", month: "short" });
    const date = new Intl.DateTimeFormat(tag, { ...zone, dateStyle: "medium" });
    const instant = new Intl.DateTimeFormat(tag, { ...zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const full = new Intl.DateTimeFormat(tag, { ...zone, dateStyle: "full", timeStyle: "long" });
    const duration = (seconds: number) => {
      const { n, unit } = span(seconds);
      return t(`common.unit_${unit}`, { n: number.format(n) });
    };
    const at = (format: Intl.DateTimeFormat) => (value: string | number | Date) => {
      const read = new Date(value);
      return Number.isNaN(read.getTime()) ? String(value) : format.format(read);
    };
    return {
      number: (value: number) => number.format(value),
      compact: (value: number) => compact.format(value),
      share: (part: number, whole: number) => formatShare(tag, part, whole) ?? "–",
      money: (value: Money) => formatMoney(tag, value),
      bytes: (value: number) => formatBytes(tag, value),
      /** 14:05:09 */
      time: at(time),
      /** 14:05 */
      minute: at(minute),
      /** 25 Nov, of an instant */
      day: at(day),
      /** 25 Nov, of a calendar day (`YYYY-MM-DD`) */
      calendarDay: at(calendarDay),
      /** 25 Nov 2026 */
      date: at(date),
      /** 25 Nov 2026, 14:05:09 */
      instant: at(instant),
      /** With weekday and zone, for tooltips. */
      full: at(full),
      /** A span as definitions write it, in words: 1,095 days. */
      written: (text: string) => writtenSpan(tag, text),
      /** A span in its largest unit: 3 min. */
      duration,
      /** "3 min ago"; an instant ahead of this clock is "now". */
      ago: (value: string, now: number = Date.now()) => {
        const seconds = (now - new Date(value).getTime()) / 1000;
        return seconds < 1 ? t("common.now") : t("common.ago", { span: duration(seconds) });
      },
    };
  }, [tag, t, workspace.timezone]);
}
