import { useI18n, type TextKey } from "../i18n";
import css from "./components.module.css";

/** A choice: made for, against, or not at all. */
export type ChoiceState = "granted" | "denied" | "unknown";

/** The sign of a choice. Each has a shape of its own, so that it is told apart without colour: a full disc with a tick, a square
 *  with a cross, an empty dashed ring. */
export function ConsentSign({ state, size = 16 }: { state: ChoiceState; size?: number }) {
  const cut = { stroke: "var(--panel)", strokeWidth: 2, strokeLinecap: "round", strokeLinejoin: "round", fill: "none" } as const;
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" className={css.sign}>
      {state === "granted" && (
        <>
          <circle cx="8" cy="8" r="7" fill="var(--granted)" />
          <path d="m5 8.3 2.1 2.1L11 6.2" {...cut} />
        </>
      )}
      {state === "denied" && (
        <>
          <rect x="1.5" y="1.5" width="13" height="13" rx="2.5" fill="var(--denied)" />
          <path d="m5.5 5.5 5 5m0-5-5 5" {...cut} />
        </>
      )}
      {state === "unknown" && <circle cx="8" cy="8" r="6.2" fill="none" stroke="var(--unknown)" strokeWidth="1.8" strokeDasharray="2.6 2.2" />}
    </svg>
  );
}

/** A choice as sign and word. */
export function ConsentState({ state }: { state: ChoiceState }) {
  const { t } = useI18n();
  return (
    <span className={css.signed}>
      <ConsentSign state={state} /> {t(`consent.${state}`)}
    </span>
  );
}

const CHANNELS = [
  "email",
  "sms",
  "push",
  "phone",
  "postal",
  "onsite",
  "display",
  "social",
  "retargeting",
  "call_center",
  "personalization",
  "partner_sharing",
] as const;

/** The name of a channel (`null`: every channel of the purpose), in the reader's language; an unknown one by its key. */
export function useChannelName(): (channel: string | null) => string {
  const { t } = useI18n();
  return (channel) => {
    if (channel === null) return t("consent.any_channel");
    const known = CHANNELS.find((one) => one === channel);
    return known ? t(`channel.${known}` satisfies TextKey) : channel;
  };
}
