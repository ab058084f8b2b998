import { useI18n } from "../i18n";
import css from "./components.module.css";

/** What became of a message. */
export type DeliveryStateName = "queued" | "sent" | "blocked" | "failed" | "dead";

/** The state of a delivery: shape, colour and word. */
export function DeliveryState({ state }: { state: DeliveryStateName }) {
  const { t } = useI18n();
  return (
    <span className={`${css.delivery} ${css[state]}`}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        {state === "queued" && <circle cx="5" cy="5" r="3.7" fill="none" stroke="currentColor" strokeWidth="1.6" />}
        {state === "sent" && <path d="M1 5.3 4 8.2 9 2" fill="none" stroke="currentColor" strokeWidth="1.8" />}
        {state === "blocked" && <path d="M1 5h8" stroke="currentColor" strokeWidth="2.6" />}
        {state === "failed" && <path d="M5 1v5m0 1.6V9" stroke="currentColor" strokeWidth="2" />}
        {state === "dead" && <path d="m1.5 1.5 7 7m0-7-7 7" stroke="currentColor" strokeWidth="1.8" />}
      </svg>
      {t(`delivery.${state}`)}
    </span>
  );
}
