import { NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { PAGE_ROWS, useCursor, useParameter } from "../../api/paging";
import { Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { Empty, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { STATES } from "../deliveries/Deliveries";
import { Replay } from "../deliveries/Replay";
import { Table } from "../deliveries/Table";
import css from "./Destinations.module.css";
import { EVERY_MS } from "./Destinations";

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
    <Panel title={t("destinations.deliveries")} aside={(state === "dead" || state === "blocked") && <Replay wanted={{ state, destination: destination.key, ...(activation ? { activation } : {}) }} />}>
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
        <Link className="small" href={`/deliveries?${new URLSearchParams({ destination: destination.key, ...(state ? { state } : {}), ...(activation ? { activation } : {}) })}`}>
          {t("destinations.more_filters")}
        </Link>
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
