import type { Schemas } from "../../api/client";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Destinations.module.css";

type Destination = Schemas["Destination"];
/** The server stops counting what was given up here. */
const COUNT_MAX = 10_000;

/** Whether a destination takes messages, and when it is tried again if not. Told apart by shape: a disc, a square. */
export function Circuit({ destination: { circuit, retry_at } }: { destination: Pick<Destination, "circuit" | "retry_at"> }) {
  const { t } = useI18n();
  const format = useFormat();
  const open = circuit === "open";
  return (
    <span className={open ? css.open : css.closed}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        {open ? <rect x="1" y="1" width="8" height="8" rx="1" /> : <circle cx="5" cy="5" r="4.2" />}
      </svg>
      <b>{t(open ? "destinations.open" : "destinations.closed")}</b>
      {open && retry_at && <span className="small muted">{t("destinations.retry_at", { at: format.time(retry_at) })}</span>}
    </span>
  );
}

/** A count that the server caps, in words. */
export function useCapped(): (count: number) => string {
  const { t } = useI18n();
  const format = useFormat();
  return (count) => (count >= COUNT_MAX ? t("destinations.dead_capped", { n: format.number(COUNT_MAX) }) : format.number(count));
}
