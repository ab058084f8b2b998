import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { Panel } from "../../components/PageTitle";
import { Failure } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayActivate } from "../../shell/access";
import { useSession } from "../../shell/session";
import { Outcome } from "../connectors/SetUp";
import css from "./Destinations.module.css";

/** What can be tried without sending anybody: a test call, and what each activation would send. */
export function Prepare({ destination: { key, activations } }: { destination: Pick<Schemas["Destination"], "key" | "activations"> }) {
  const { t } = useI18n();
  const { role } = useSession();
  const trial = useMutation({ mutationFn: () => unwrap(api.POST("/v1/destinations/{key}/test", { params: { path: { key } } })) });
  if (!mayActivate(role)) return null;
  return (
    <Panel title={t("destinations.prepare")} className={css.chart ?? ""}>
      <div className={`body ${css.now}`}>
        <Button size="xs" variant="default" loading={trial.isPending} onClick={() => trial.mutate()}>
          {t("setup.trial")}
        </Button>
        {activations.map((activation) => (
          <Link key={activation} href={`/activations/${encodeURIComponent(activation)}`}>
            {t("destinations.look_at", { activation })}
          </Link>
        ))}
        <Link href={`/activations/new?destination=${encodeURIComponent(key)}`}>{t("setup.next")}</Link>
      </div>
      <div role="status" className={css.trial}>
        {trial.data && <Outcome trial={trial.data} />}
        {trial.error && <Failure error={trial.error} />}
      </div>
    </Panel>
  );
}
