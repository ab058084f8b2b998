import { useState } from "react";
import type { Schemas } from "../../api/client";
import { useCursor } from "../../api/paging";
import { DeliveryReason, useDeliveryKind } from "../../components/DeliveryReason";
import { DeliveryState } from "../../components/DeliveryState";
import { DestinationName } from "../../components/DestinationName";
import { Instant } from "../../components/Instant";
import { Pager } from "../../components/Pager";
import { Panel } from "../../components/PageTitle";
import { Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";
import { useDeliveries } from "./queries";

/** Deliveries shown before somebody asks for more. */
const SHOWN = 6;

/** What was sent to tools about the person, or held back, and why. */
export function Deliveries({ id }: { id: string }) {
  const { t, tn } = useI18n();
  const paging = useCursor("deliveries");
  const [asked, showAll] = useState(false);
  const all = asked || paging.cursor !== undefined;
  return (
    <Panel title={t("person.deliveries")}>
      <Loaded query={useDeliveries(id, paging.cursor)}>
        {({ items, next }) => (
          <>
            {items.length === 0 && <p className={css.nothing}>{t("person.no_deliveries")}</p>}
            <ul className={css.verdicts}>
              {(all ? items : items.slice(0, SHOWN)).map((delivery) => (
                <li key={delivery.id}>
                  <DeliveryLine delivery={delivery} />
                </li>
              ))}
            </ul>
            {!all && items.length > SHOWN && (
              <button type="button" className={css.all} onClick={() => showAll(true)}>
                {tn("person.show_deliveries", items.length)}
              </button>
            )}
            {(all || items.length <= SHOWN) && <Pager paging={paging} next={next} label={t("person.deliveries")} />}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function DeliveryLine({ delivery }: { delivery: Schemas["Delivery"] }) {
  const kind = useDeliveryKind();
  const { t } = useI18n();
  const told = delivery.reported.map(({ outcome, count }) => (count > 1 ? t("results.reported_of", { outcome: t(`results.${outcome}`), n: String(count) }) : t(`results.${outcome}`)));
  return (
    <>
      <div className={css.line}>
        <span className={css.decision}>
          <DeliveryState state={delivery.state} />
          <DestinationName destination={delivery.destination} />
        </span>
        <Instant at={delivery.at} as="ago" className="small muted" />
      </div>
      <div className="small muted">
        {delivery.activation} · {kind(delivery.type)}
      </div>
      {told.length > 0 && <div className="small">{told.join(" · ")}</div>}
      <div className="small">
        <DeliveryReason delivery={delivery} />
      </div>
    </>
  );
}
