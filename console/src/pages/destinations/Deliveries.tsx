import { Button, NativeSelect } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap, type Schemas } from "../../api/client";
import { PAGE_ROWS, useCursor, useParameter } from "../../api/paging";
import { DeliveryReason, useDeliveryKind } from "../../components/DeliveryReason";
import { DeliveryState } from "../../components/DeliveryState";
import { Dialog } from "../../components/Dialog";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { PersonLink } from "../../components/PersonLink";
import { SegmentName } from "../../components/SegmentName";
import { Empty, Failure, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Destinations.module.css";
import { EVERY_MS } from "./Destinations";

const STATES = ["queued", "failed", "sent", "blocked", "dead"] as const;
type Replayable = "dead" | "blocked";
/** The server replays no more in one call. */
const REPLAYED_MAX = 10_000;

/** Messages to one tool by what became of them, and the ways to try them again. */
export function Deliveries({ destination }: { destination: Schemas["Destination"] }) {
  const { t } = useI18n();
  const [chosen, choose] = useParameter("state");
  const [activation, setActivation] = useParameter("activation");
  const paging = useCursor();
  const state = STATES.find((one) => one === chosen);
  const deliveries = useQuery({
    queryKey: ["destinations", "deliveries", destination.key, state, activation, paging.cursor],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET("/v1/deliveries", {
          params: {
            query: { destination: destination.key, limit: String(PAGE_ROWS), ...(state ? { state } : {}), ...(activation ? { activation } : {}), ...(paging.cursor ? { cursor: paging.cursor } : {}) },
          },
          signal,
        }),
      ),
    refetchInterval: paging.cursor ? false : EVERY_MS,
  });
  return (
    <Panel title={t("destinations.deliveries")} aside={(state === "dead" || state === "blocked") && <Replay destination={destination.key} state={state} />}>
      <div className={css.filters}>
        <div role="group" aria-label={t("destinations.state")} className={css.states}>
          {[undefined, ...STATES].map((one) => (
            <button key={one ?? ""} type="button" aria-pressed={state === one} onClick={() => choose(one ?? "")}>
              {one ? t(`delivery.${one}`) : t("common.all")}
            </button>
          ))}
        </div>
        {destination.activations.length > 1 && (
          <NativeSelect
            size="xs"
            aria-label={t("destinations.activation")}
            value={activation}
            onChange={(event) => setActivation(event.currentTarget.value)}
            data={[{ value: "", label: t("destinations.every_activation") }, ...destination.activations]}
          />
        )}
      </div>
      <Loaded query={deliveries}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? <Empty title={t("destinations.no_deliveries")} hint={t("destinations.no_deliveries_hint")} /> : <Table items={items} />}
            <Pager paging={paging} next={next} label={t("destinations.deliveries")} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Table({ items }: { items: Schemas["Delivery"][] }) {
  const { t, tn } = useI18n();
  const kind = useDeliveryKind();
  return (
    <table className={`rows ${css.deliveries}`}>
      <thead>
        <tr>
          <th scope="col">{t("destinations.state")}</th>
          <th scope="col">{t("destinations.when")}</th>
          <th scope="col">{t("destinations.person")}</th>
          <th scope="col">{t("destinations.about")}</th>
          <th scope="col">{t("destinations.why")}</th>
          <th scope="col">
            <span className={css.spoken}>{t("destinations.again")}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map((delivery) => (
          <tr key={delivery.id}>
            <td>
              <DeliveryState state={delivery.state} />
            </td>
            <td className="nowrap">
              <Instant at={delivery.at} />
            </td>
            <td>
              <PersonLink profile={delivery.profile} />
            </td>
            <td>
              <SegmentName segment={delivery.segment} />
              <div className="small muted">
                {kind(delivery.type)} · {delivery.activation}
              </div>
            </td>
            <td className={css.why}>
              <DeliveryReason delivery={delivery} />
              {delivery.attempts > 0 && <div className="small muted">{tn("destinations.attempts", delivery.attempts)}</div>}
            </td>
            <td>{delivery.state !== "sent" && <Again delivery={delivery} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Tries one message again. */
function Again({ delivery }: { delivery: Schemas["Delivery"] }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const again = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/deliveries/{id}/retry", { params: { path: { id: delivery.id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ["destinations"] }),
  });
  return (
    <>
      <Button size="compact-xs" variant="default" loading={again.isPending} onClick={() => again.mutate()} aria-label={t("destinations.again_for", { activation: delivery.activation, profile: delivery.profile })}>
        {t("destinations.again")}
      </Button>
      <div role="status" className="small muted">
        {again.isSuccess ? t("destinations.again_done") : again.error ? again.error.message : ""}
      </div>
    </>
  );
}

/** Replays everything in a state, after a question, and says how many there were. */
function Replay({ destination, state }: { destination: string; state: Replayable }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const [asking, ask] = useState(false);
  const queries = useQueryClient();
  const replay = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/destinations/{key}/replay", { params: { path: { key: destination } }, body: { state } })),
    onSuccess: () => ask(false),
    onSettled: () => queries.invalidateQueries({ queryKey: ["destinations"] }),
  });
  return (
    <>
      <span role="status" className="small">
        {replay.data && tn("destinations.replayed", replay.data.replayed)} {replay.data?.more && t("destinations.replayed_more")}
      </span>
      <Button size="xs" variant="default" onClick={() => ask(true)}>
        {t(`destinations.replay_${state}`)}
      </Button>
      <Dialog opened={asking} close={() => ask(false)} title={t(`destinations.replay_${state}`)}>
        <p>{t(`destinations.replay_${state}_ask`, { destination })}</p>
        <p className="muted small">{t("destinations.replay_hint", { n: format.number(REPLAYED_MAX) })}</p>
        {replay.error && <Failure error={replay.error} />}
        <div className={css.answers}>
          <Button variant="default" onClick={() => ask(false)}>
            {t("common.cancel")}
          </Button>
          <Button loading={replay.isPending} onClick={() => replay.mutate()} data-autofocus>
            {t("destinations.replay_go")}
          </Button>
        </div>
      </Dialog>
    </>
  );
}
