import { Button, Checkbox, Select } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap, type Schemas } from "../../api/client";
import { useDeliveryKind } from "../../components/DeliveryReason";
import { Dialog } from "../../components/Dialog";
import { PersonLink } from "../../components/PersonLink";
import { Failure, Loading } from "../../components/states";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";

type Reason = Schemas["SplitReason"];
const REASONS: readonly Reason[] = ["shared_device", "shared_address", "typing_error", "other"];

/** Takes two people apart who were found to be one: who leaves is chosen, what each would be is shown, then it is confirmed. */
export function Split({ profile }: { profile: Schemas["Profile"] }) {
  const { t } = useI18n();
  const [opened, open] = useState(false);
  if (profile.identifiers.length < 2) return null;
  return (
    <div className={css.apart}>
      <Button size="xs" variant="default" onClick={() => open(true)}>
        {t("person.take_apart")}
      </Button>
      <Dialog title={t("person.take_apart")} opened={opened} close={() => open(false)}>
        {opened && <Choosing profile={profile} close={() => open(false)} />}
      </Dialog>
    </div>
  );
}

function Choosing({ profile, close }: { profile: Schemas["Profile"]; close: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [leaving, leave] = useState<string[]>([]);
  const [reason, say] = useState<Reason | null>(null);
  const call = (dry_run: boolean, signal?: AbortSignal) =>
    unwrap(api.POST("/v1/profiles/{id}/split", { params: { path: { id: profile.id } }, body: { identifiers: leaving, dry_run, ...(reason ? { reason } : {}) }, ...(signal ? { signal } : {}) }));
  const chosen = leaving.length > 0 && leaving.length < profile.identifiers.length;
  const would = useQuery({ queryKey: ["person", profile.id, "split", leaving], queryFn: ({ signal }) => call(true, signal), enabled: chosen });
  const split = useMutation({ mutationFn: () => call(false), onSuccess: () => queries.invalidateQueries({ queryKey: ["person"] }) });
  if (split.data) {
    return (
      <div role="status">
        <p>{t("person.taken_apart")}</p>
        {split.data.other && (
          <p>
            <PersonLink profile={split.data.other} />
          </p>
        )}
        <Button size="xs" variant="default" onClick={close} data-autofocus>
          {t("common.close")}
        </Button>
      </div>
    );
  }
  return (
    <>
      <Checkbox.Group label={t("person.who_leaves")} description={t("person.who_leaves_hint")} value={leaving} onChange={leave}>
        {profile.identifiers.map(({ namespace, value }) => (
          <Checkbox key={`${namespace}:${value}`} value={`${namespace}:${value}`} label={`${namespace} ${value}`} size="sm" mt={6} />
        ))}
      </Checkbox.Group>
      <Select label={t("person.split_reason")} data={REASONS.map((value) => ({ value, label: t(`person.split_${value}`) }))} value={reason} onChange={(value) => say(value)} clearable size="sm" mt="sm" />
      {!chosen && <p className="small muted">{t("person.leave_some")}</p>}
      {chosen && would.isPending && <Loading />}
      {would.error && <Failure error={would.error} retry={() => void would.refetch()} />}
      {chosen && would.data && (
        <div className={css.sides}>
          <Side title={t("person.stays")} side={would.data.stays} />
          <Side title={t("person.leaves")} side={would.data.leaves} />
        </div>
      )}
      {chosen && would.data && <p className="small muted">{t("person.split_hint")}</p>}
      {split.error && <Failure error={split.error} />}
      <Button size="xs" mt="sm" disabled={!chosen || !would.data} loading={split.isPending} onClick={() => split.mutate()}>
        {t("person.take_apart_now")}
      </Button>
    </>
  );
}

function Side({ title, side }: { title: string; side: Schemas["SplitSide"] }) {
  const { t, tn, language } = useI18n();
  const kind = useDeliveryKind();
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <p>{side.identifiers.map(({ namespace, value }) => `${namespace} ${value}`).join(", ")}</p>
      <p className="muted small">{tn("person.split_events", side.events)}</p>
      <h4>{t("person.consents")}</h4>
      {side.consents.length === 0 && <p className="muted small">{t("person.no_choice_of_hers")}</p>}
      <ul>
        {side.consents.map((choice) => (
          <li key={choice.receipt}>
            {choice.purpose} {choice.channel} · {t(`consent.${choice.state}`)}
          </li>
        ))}
      </ul>
      <h4>{t("person.segments")}</h4>
      <p>{side.segments.join(", ") || "–"}</p>
      <h4>{t("person.tools")}</h4>
      {side.tools.length === 0 && <p>–</p>}
      <ul>
        {side.tools.map(({ activation, destination, sent, told, gate }) => (
          <li key={activation}>
            {[destination, sent && t("person.tool_in"), ...told.map((one) => kind(one)), gate?.[language]].filter(Boolean).join(" · ")}
          </li>
        ))}
      </ul>
    </section>
  );
}
