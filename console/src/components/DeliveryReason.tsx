import type { Schemas } from "../api/client";
import { useI18n } from "../i18n";
import { GateReason } from "./GateReason";

type Delivery = Schemas["Delivery"];

/** Why a delivery did not arrive: in words where the gate closed, in the tool's words otherwise. */
export function DeliveryReason({ delivery: { state, reason, gate } }: { delivery: Pick<Delivery, "state" | "reason" | "gate"> }) {
  if (!reason) return null;
  return state === "blocked" ? <GateReason reason={reason} gate={gate} /> : <span>{reason}</span>;
}

/** What a message is about, in the reader's language. */
export function useDeliveryKind(): (type: Delivery["type"]) => string {
  const { t } = useI18n();
  return (type) => t(`delivery.${type.replace(".", "_") as "segment_entered"}`);
}
