import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, ApiError, unwrap, type Schemas } from "../../api/client";
import { useChannelName } from "../../components/ConsentState";
import { CopyButton } from "../../components/CopyButton";
import { DeliveryReason, useDeliveryKind } from "../../components/DeliveryReason";
import { DeliveryState } from "../../components/DeliveryState";
import { DestinationName } from "../../components/DestinationName";
import { Instant } from "../../components/Instant";
import { PageTitle, Panel } from "../../components/PageTitle";
import { PersonLink } from "../../components/PersonLink";
import { SegmentName } from "../../components/SegmentName";
import { Empty, Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { mayOpen, mayReplay } from "../../shell/access";
import { useSession } from "../../shell/session";
import { EVERY_MS } from "./Deliveries";
import css from "./Deliveries.module.css";
import { Again } from "./Table";

type Delivery = Schemas["Delivery"];
type Step = Schemas["DeliveryStep"];

/** One message: about whom, for what, and each step that it has gone. */
export default function DeliveryPage({ id }: { id: string }) {
  const { t } = useI18n();
  const delivery = useQuery({
    queryKey: ["deliveries", "one", id],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/deliveries/{id}", { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => (state.error ? false : EVERY_MS),
  });
  const missing = delivery.error instanceof ApiError && [400, 404].includes(delivery.error.status);
  return (
    <>
      <PageTitle title={t("deliveries.one")}>
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </PageTitle>
      {delivery.data ? (
        <>
          <About delivery={delivery.data} />
          <Steps delivery={delivery.data} />
        </>
      ) : missing ? (
        <Empty title={t("deliveries.not_found")} hint={t("deliveries.not_found_hint")}>
          <Link href="/deliveries">{t("deliveries.all")}</Link>
        </Empty>
      ) : delivery.error ? (
        <Failure error={delivery.error} retry={() => void delivery.refetch()} />
      ) : (
        <Loading />
      )}
    </>
  );
}

function About({ delivery }: { delivery: Delivery }) {
  const { t } = useI18n();
  const { role } = useSession();
  const channelName = useChannelName();
  const kind = useDeliveryKind();
  const facts = [
    [t("deliveries.about"), kind(delivery.type)],
    [t("deliveries.person"), mayOpen(role, "/people") ? <PersonLink profile={delivery.profile} /> : <span className="mono">{delivery.profile}</span>],
    [t("deliveries.segment"), <SegmentName segment={delivery.segment} />],
    [t("deliveries.destination"), <DestinationName destination={delivery.destination} />],
    [t("deliveries.activation"), delivery.activation],
    [t("deliveries.purpose"), `${delivery.purpose} · ${channelName(delivery.channel)}`],
    [t("deliveries.id"), <span className="mono">{delivery.id}</span>],
  ] as const;
  return (
    <section className={`panel ${css.head}`} aria-label={t("deliveries.one")}>
      <div className={css.now}>
        <DeliveryState state={delivery.state} />
        {delivery.state !== "sent" && mayReplay(role) && <Again delivery={delivery} />}
      </div>
      <dl className={css.said}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Steps({ delivery }: { delivery: Delivery }) {
  const { t } = useI18n();
  return (
    <Panel title={t("deliveries.steps")}>
      <ol className={css.steps}>
        {(delivery.steps ?? []).map((step, n) => (
          <li key={n}>
            <StepLine step={step} />
          </li>
        ))}
        {delivery.state === "queued" && <li className="muted">{t("deliveries.step_waits")}</li>}
      </ol>
    </Panel>
  );
}

function StepLine({ step }: { step: Step }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const said =
    step.step === "replayed"
      ? step.by
        ? t("deliveries.step_replayed_by", { by: step.by })
        : t("deliveries.step_replayed")
      : t(`deliveries.step_${step.step}`);
  const more = [step.attempts ? tn("deliveries.attempts", step.attempts) : null, step.status ? `HTTP ${step.status}` : null, step.next_at ? t("deliveries.next_try", { at: format.time(step.next_at) }) : null];
  return (
    <>
      <div className={css.step}>
        <b>{said}</b>
        {step.at && <Instant at={step.at} className="small muted" />}
      </div>
      {step.reason && (
        <div className="small">
          <DeliveryReason delivery={{ state: step.step === "blocked" ? "blocked" : "dead", reason: step.reason, gate: step.gate ?? null }} />
        </div>
      )}
      <div className="small muted">{more.filter(Boolean).join(" · ")}</div>
    </>
  );
}
