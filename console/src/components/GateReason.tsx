import type { Schemas } from "../api/client";
import { useFormat } from "../format";
import { useI18n } from "../i18n";
import { useChannelName } from "./ConsentState";
import { readRefusal, type Refusal } from "./gate";
import css from "./components.module.css";

/** Why, and what would change it (`null` where nobody can say). */
export interface Words {
  why: string;
  fix: string | null;
}

/** A reason as the server gives it: its words, and what the gate says of it if it is one of its own. */
export interface Told {
  reason: string | null | undefined;
  gate?: Schemas["GateReason"] | null | undefined;
}

/** A refusal of the gate in words. */
export function useRefusalWords(): (refusal: Refusal) => Words {
  const { t, language } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  return (refusal) => {
    switch (refusal.why) {
      case "unknown": {
        const gaps = { purpose: refusal.purpose, channel: channelName(refusal.channel) };
        return { why: t("gate.unknown", gaps), fix: t("gate.unknown_fix", gaps) };
      }
      case "denied": {
        const gaps = { purpose: refusal.purpose, channel: channelName(refusal.channel) };
        return { why: refusal.since ? t("gate.denied", { ...gaps, since: format.instant(refusal.since) }) : t("gate.denied_some", gaps), fix: t("gate.denied_fix") };
      }
      case "undeclared":
        return { why: t("gate.undeclared", { purpose: refusal.purpose }), fix: t("gate.undeclared_fix") };
      case "never_sent":
        return { why: t("gate.never_sent"), fix: t("gate.never_sent_fix") };
      case "code":
        return { why: t(`gate.code_${refusal.code}`, { purpose: refusal.purpose, channel: channelName(refusal.channel) }), fix: null };
      case "told":
        return { why: refusal[language], fix: null };
      case "other":
        return { why: refusal.words, fix: null };
    }
  };
}

/** The server's reason in words. */
export function useGateWords(): (told: Told) => Words {
  const { t } = useI18n();
  const words = useRefusalWords();
  return ({ reason, gate }) => (reason ? words(readRefusal(gate, reason)) : { why: t("gate.no_reason"), fix: null });
}

/** Why a message is held back, and what would change it. */
export function GateReason(told: Told) {
  const { why, fix } = useGateWords()(told);
  return (
    <span className={css.reason}>
      {why} {fix && <span className="muted">{fix}</span>}
    </span>
  );
}
