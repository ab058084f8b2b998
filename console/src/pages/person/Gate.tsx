import type { Schemas } from "../../api/client";
import { useChannelName } from "../../components/ConsentState";
import { GateReason } from "../../components/GateReason";
import { DestinationName } from "../../components/DestinationName";
import { Panel } from "../../components/PageTitle";
import { Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";
import { useExplanation } from "./queries";

type Decision = Schemas["Explanation"]["gate"][number];

/** For each activation: may a message leave now, why, and what would change it. */
export function Gate({ id }: { id: string }) {
  const { t } = useI18n();
  return (
    <Panel title={t("person.gate")}>
      <Loaded query={useExplanation(id)}>
        {({ gate }) =>
          gate.length === 0 ? (
            <p className={css.nothing}>{t("person.no_activations")}</p>
          ) : (
            <ul className={css.verdicts}>
              {gate.map((decision) => (
                <li key={decision.activation}>
                  <DecisionLine decision={decision} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function DecisionLine({ decision }: { decision: Decision }) {
  const { t } = useI18n();
  const channelName = useChannelName();
  const { open, reason, destination, activation, purpose, channel, received } = decision;
  const address = addressOf(decision.address);
  return (
    <>
      <div className={css.line}>
        <span className={css.decision}>
          <GateSign open={open} />
          <b>{activation}</b>
        </span>
        <span className={`small ${open ? css.openWord : css.closedWord}`}>{t(open ? "gate.open" : "gate.closed")}</span>
      </div>
      <p className="small muted">
        {purpose} · {channelName(channel)} → <DestinationName destination={destination} />
        {address && <> · {address}</>}
      </p>
      <div className="small">{open ? <Opening reason={reason} /> : <GateReason reason={typeof reason === "string" ? reason : JSON.stringify(reason)} gate={decision.gate} />}</div>
      {received && <div className="small muted">{t("person.received")}</div>}
    </>
  );
}

function Opening({ reason }: { reason: unknown }) {
  const { t } = useI18n();
  const format = useFormat();
  const part = typeof reason === "object" && reason !== null ? reason : {};
  if ("granted" in part && typeof part.granted === "object" && part.granted !== null && "since" in part.granted && "source" in part.granted) {
    return t("person.open_granted", { since: format.instant(String(part.granted.since)), source: String(part.granted.source) });
  }
  if ("basis" in part) {
    const basis = part.basis;
    return t("person.open_basis", { basis: basis === "contract" || basis === "legitimate_interest" || basis === "legal_obligation" || basis === "soft_opt_in" ? t(`person.basis_${basis}`) : String(basis) });
  }
  return t("gate.open");
}

const addressOf = (address: unknown) => (Array.isArray(address) && typeof address[1] === "string" ? address[1] : null);

/** The gate: a ring with a way through it, or with a bar across. */
function GateSign({ open }: { open: boolean }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" className={open ? css.openSign : css.closedSign}>
      {open ? <path d="M2 8h11m-4-4 4 4-4 4" /> : <path d="M3.2 3.2a6.8 6.8 0 1 0 9.6 9.6 6.8 6.8 0 0 0-9.6-9.6l9.6 9.6" />}
    </svg>
  );
}
