import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Dialog } from "../../components/Dialog";
import { Failure, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayReplay } from "../../shell/access";
import { useSession } from "../../shell/session";
import css from "./Deliveries.module.css";
import { replay, type Wanted } from "./replay";

/** Tries everything again that was given up, or held back, and fits: says first how many there are, then how far it has come. */
export function Replay({ wanted }: { wanted: Wanted }) {
  const { t, tn } = useI18n();
  const { role } = useSession();
  const [asking, ask] = useState(false);
  const [done, tell] = useState(0);
  const queries = useQueryClient();
  const count = useQuery({ queryKey: ["deliveries", "replay", wanted], queryFn: () => replay(wanted, true), enabled: asking, gcTime: 0 });
  const going = useMutation({
    mutationFn: () => replay(wanted, false, tell),
    onMutate: () => tell(0),
    onSuccess: () => ask(false),
    onSettled: () => Promise.all([queries.invalidateQueries({ queryKey: ["destinations"] }), queries.invalidateQueries({ queryKey: ["deliveries"] })]),
  });
  if (!mayReplay(role)) return null;
  const title = t(`deliveries.replay_${wanted.state}`);
  return (
    <>
      <span role="status" className="small">
        {going.data !== undefined && tn("deliveries.replayed", going.data)}
      </span>
      <Button size="xs" variant="default" onClick={() => (going.reset(), ask(true))}>
        {title}
      </Button>
      <Dialog opened={asking} close={() => ask(false)} title={title}>
        <Loaded query={count}>
          {(matching) => (
            <>
              <p>
                <b>{tn(`deliveries.replay_${wanted.state}_count`, matching)}</b>
              </p>
              <Filters wanted={wanted} />
              <p className="muted small">{t("deliveries.replay_hint")}</p>
              {going.isPending && <progress className={css.progress} aria-label={title} max={matching} value={done} />}
              {going.error && <Failure error={going.error} />}
              <div className={css.answers}>
                <Button variant="default" onClick={() => ask(false)}>
                  {t("common.cancel")}
                </Button>
                <Button disabled={matching === 0} loading={going.isPending} onClick={() => going.mutate()} data-autofocus>
                  {t("deliveries.replay_go")}
                </Button>
              </div>
            </>
          )}
        </Loaded>
      </Dialog>
    </>
  );
}

/** What the question is about, so that nobody replays more than was meant. */
function Filters({ wanted: { destination, activation, profile, from, to, reason } }: { wanted: Wanted }) {
  const { t } = useI18n();
  const said = [
    [t("deliveries.destination"), destination ?? t("deliveries.every_destination")],
    [t("deliveries.activation"), activation],
    [t("deliveries.person"), profile],
    [t("deliveries.from"), from],
    [t("deliveries.to"), to],
    [t("deliveries.reason"), reason],
  ].filter((row): row is [string, string] => Boolean(row[1]));
  return (
    <dl className={css.said}>
      {said.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
