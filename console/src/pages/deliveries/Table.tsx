import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { DeliveryReason, useDeliveryKind } from "../../components/DeliveryReason";
import { DeliveryState } from "../../components/DeliveryState";
import { Instant } from "../../components/Instant";
import { PersonLink } from "../../components/PersonLink";
import { SegmentName } from "../../components/SegmentName";
import { useI18n } from "../../i18n";
import { mayOpen, mayReplay } from "../../shell/access";
import { useSession } from "../../shell/session";
import css from "./Deliveries.module.css";

/** Deliveries, each leading to its own page. `destinations`: they go to several. */
export function Table({ items, destinations = false }: { items: Schemas["Delivery"][]; destinations?: boolean }) {
  const { t, tn } = useI18n();
  const { role } = useSession();
  const kind = useDeliveryKind();
  return (
    <table className={`rows ${css.deliveries}`}>
      <thead>
        <tr>
          <th scope="col">{t("deliveries.state")}</th>
          <th scope="col">{t("deliveries.when")}</th>
          <th scope="col">{t("deliveries.person")}</th>
          <th scope="col">{t("deliveries.about")}</th>
          <th scope="col">{t("deliveries.why")}</th>
          <th scope="col">
            <span className={css.spoken}>{t("deliveries.again")}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map((delivery) => (
          <tr key={delivery.id}>
            <td>
              <Link href={`/deliveries/${delivery.id}`} aria-label={t("deliveries.open", { state: t(`delivery.${delivery.state}`), profile: delivery.profile })}>
                <DeliveryState state={delivery.state} />
              </Link>
            </td>
            <td className="nowrap">
              <Instant at={delivery.at} />
            </td>
            <td>{mayOpen(role, "/people") ? <PersonLink profile={delivery.profile} /> : <span className="mono">{delivery.profile}</span>}</td>
            <td>
              <SegmentName segment={delivery.segment} />
              <div className="small muted">
                {kind(delivery.type)} · {delivery.activation}
                {destinations && <> → {delivery.destination}</>}
              </div>
            </td>
            <td className={css.why}>
              <DeliveryReason delivery={delivery} />
              {delivery.attempts > 0 && <div className="small muted">{tn("deliveries.attempts", delivery.attempts)}</div>}
            </td>
            <td>{delivery.state !== "sent" && mayReplay(role) && <Again delivery={delivery} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Tries one message again. */
export function Again({ delivery }: { delivery: Pick<Schemas["Delivery"], "id" | "activation" | "profile"> }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const again = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/deliveries/{id}/retry", { params: { path: { id: delivery.id } } })),
    onSettled: () => Promise.all([queries.invalidateQueries({ queryKey: ["destinations"] }), queries.invalidateQueries({ queryKey: ["deliveries"] })]),
  });
  return (
    <>
      <Button size="compact-xs" variant="default" loading={again.isPending} onClick={() => again.mutate()} aria-label={t("deliveries.again_for", { activation: delivery.activation, profile: delivery.profile })}>
        {t("deliveries.again")}
      </Button>
      <div role="status" className="small muted">
        {again.isSuccess ? t("deliveries.again_done") : again.error ? again.error.message : ""}
      </div>
    </>
  );
}
