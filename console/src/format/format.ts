/** Money as the API gives it: minor units (cents), never a float. */
export interface Money {
  /** Minor units of the currency. */
  amount: number;
  /** ISO 4217. */
  currency: string;
}

/** Whether a value of a profile is money. */
export const isMoney = (value: unknown): value is Money =>
  typeof value === "object" && value !== null && "amount" in value && Number.isSafeInteger(value.amount) && "currency" in value && typeof value.currency === "string";

/** Writes minor units as the locale does. The decimal text is made from integers, so that no amount passes through a float. */
export function formatMoney(tag: string, { amount, currency }: Money): string {
  const style = new Intl.NumberFormat(tag, { style: "currency", currency });
  const digits = style.resolvedOptions().maximumFractionDigits ?? 2;
  const minor = String(Math.abs(amount)).padStart(digits + 1, "0");
  const major = digits === 0 ? minor : `${minor.slice(0, -digits)}.${minor.slice(-digits)}`;
  return style.format(`${amount < 0 ? "-" : ""}${major}` as `${number}`);
}

const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** A size with one decimal at most, in powers of 1,000 as the units say. */
export function formatBytes(tag: string, bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), BYTE_UNITS.length - 1);
  return new Intl.NumberFormat(tag, { style: "unit", unit: BYTE_UNITS[step], unitDisplay: "short", maximumFractionDigits: 1 }).format(bytes / 1000 ** step);
}

const UNITS = { d: "day", h: "hour", m: "minute", s: "second" } as const;

/** A span as definitions write it (`1095d`), in words: 1,095 days. What is none stays as it is. */
export function writtenSpan(tag: string, text: string): string {
  const [, n, unit] = /^(\d+)([dhms])$/.exec(text) ?? [];
  if (!n) return text;
  return new Intl.NumberFormat(tag, { style: "unit", unit: UNITS[unit as keyof typeof UNITS], unitDisplay: "long" }).format(Number(n));
}

/** A span in its largest unit, rounded down: 59 s, 3 min, 26 h, 4 d. */
export function span(seconds: number): { n: number; unit: "s" | "min" | "h" | "d" } {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return { n: s, unit: "s" };
  if (s < 3600) return { n: Math.floor(s / 60), unit: "min" };
  if (s < 48 * 3600) return { n: Math.floor(s / 3600), unit: "h" };
  return { n: Math.floor(s / 86_400), unit: "d" };
}

/** A share as a percentage; `null` without a whole to take it of. A share below 1 is never rounded up to 100 %. */
export function formatShare(tag: string, part: number, whole: number): string | null {
  if (whole <= 0) return null;
  const share = part / whole;
  const percent = new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: share > 0 && share < 0.1 ? 1 : 0 });
  return percent.format(part < whole ? Math.min(share, 0.99) : share);
}
