import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { api, ApiError, unwrap } from "../../api/client";
import { ConsentSign, useChannelName } from "../../components/ConsentState";
import { CopyButton } from "../../components/CopyButton";
import { DeliveryState } from "../../components/DeliveryState";
import { EyeBadge } from "../../components/EyeBadge";
import { GateReason } from "../../components/GateReason";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { PersonLink } from "../../components/PersonLink";
import { SegmentName } from "../../components/SegmentName";
import { SidePanel } from "../../components/SidePanel";
import { Empty, Loaded } from "../../components/states";
import { isMoney, useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { marks, nameOf, typeOf, type Effect } from "./effect";
import { Marks, typeName } from "./Marks";
import css from "./Live.module.css";

/** One entry of the stream, step by step: who, what became known, where she stands, may we, what left. */
export function Opened({ position, rows, close }: { position: string; rows: readonly Effect[]; close: () => void }) {
  const { t } = useI18n();
  const here = rows.find((effect) => String(effect.position) === position);
  const asked = useQuery({
    queryKey: ["live", position],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/live/{position}", { params: { path: { position } }, signal })),
    enabled: !here,
    staleTime: Infinity,
  });
  const gone = asked.error instanceof ApiError && (asked.error.status === 404 || asked.error.status === 400);
  return (
    <SidePanel title={t("live.detail")} close={close}>
      {gone && !here ? <Empty title={t("live.detail_gone")} hint={t("live.detail_gone_hint")} /> : <Loaded query={here ? { ...asked, data: here } : asked}>{(effect) => <Story effect={effect} />}</Loaded>}
    </SidePanel>
  );
}

function Story({ effect }: { effect: Effect }) {
  const { t } = useI18n();
  return (
    <div className={css.story}>
      <div className={css.storyHead}>
        <h3>{nameOf(effect) ?? typeName(t, typeOf(effect))}</h3>
        {effect.source && <EyeBadge source={effect.source} />}
        <span className="muted small">{typeName(t, typeOf(effect))}</span>
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </div>
      <Marks found={marks(effect)} />
      <dl className={css.facts}>
        <dt>{t("live.happened")}</dt>
        <dd>
          <Instant at={effect.time} />
        </dd>
        <dt>{t("live.received")}</dt>
        <dd>
          <Instant at={effect.received} />
        </dd>
        {effect.message_id && (
          <>
            <dt>{t("live.message_id")}</dt>
            <dd className="mono">{effect.message_id}</dd>
          </>
        )}
      </dl>
      {effect.problem ? <Problem problem={effect.problem} /> : effect.kind === "apply" ? null : <Steps effect={effect} />}
      <h3 className={css.raw}>{t("live.step_raw")}</h3>
      <JsonView value={effect.body} label={t("live.step_raw")} {...(effect.problem?.field ? { mark: effect.problem.field } : {})} />
    </div>
  );
}

function Problem({ problem }: { problem: NonNullable<Effect["problem"]> }) {
  const { t } = useI18n();
  return (
    <ol className={css.steps}>
      <Step title={t("live.step_problem")} happened>
        <p>{problem.message}</p>
        <p>
          <Link href={`/quarantine?item=${encodeURIComponent(problem.id)}`}>{t("live.see_quarantine")}</Link>
        </p>
      </Step>
    </ol>
  );
}

/** A step in which nothing happened stays in its place, faint, so that the way is the same for every event. */
function Step({ title, happened, children }: { title: string; happened: boolean; children: ReactNode }) {
  return (
    <li data-happened={happened || undefined}>
      <h4>{title}</h4>
      <div>{children}</div>
    </li>
  );
}

function Steps({ effect }: { effect: Effect }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const traits = Object.entries(effect.traits ?? {});
  const identityMoved = effect.identifiers.some((identifier) => identifier.new) || effect.joined.length > 0 || effect.refused.length > 0;
  return (
    <ol className={css.steps}>
      <Step title={t("live.step_person")} happened={Boolean(effect.profile)}>
        {effect.profile ? (
          <p>
            <PersonLink profile={effect.profile} label={effect.label} /> <span className="muted">{effect.created ? t("live.person_new") : t("live.person_known")}</span>
          </p>
        ) : (
          <p className="muted">{t("live.person_none")}</p>
        )}
      </Step>
      <Step title={t("live.step_identity")} happened={identityMoved}>
        {effect.identifiers.length > 0 && (
          <ul className={css.plain}>
            {effect.identifiers.map(({ namespace, value, new: isNew }) => (
              <li key={`${namespace}:${value}`}>
                <span className="muted">{namespace}</span> <span className={css.value}>{value}</span>{" "}
                <span className={isNew ? css.fresh : "muted small"}>{isNew ? t("live.identity_new") : t("live.identity_seen")}</span>
              </li>
            ))}
          </ul>
        )}
        {effect.joined.map((profile) => (
          <p key={profile}>
            <b>{t("live.joined_with")}</b> <PersonLink profile={profile} />
          </p>
        ))}
        {effect.refused.map((words) => (
          <p key={words} className={css.refused}>
            {t("live.refused_line", { words })}
          </p>
        ))}
        {effect.identifiers.length === 0 && !identityMoved && <p className="muted">{t("live.identity_none")}</p>}
      </Step>
      <Step title={t("live.step_traits")} happened={traits.length > 0}>
        {traits.length === 0 ? (
          <p className="muted">{t("live.traits_none")}</p>
        ) : (
          <ul className={css.plain}>
            {traits.map(([name, value]) => (
              <li key={name}>
                <span className="muted">{name}</span> <span className={css.value}>{isMoney(value) ? format.money(value) : typeof value === "string" ? value : JSON.stringify(value)}</span>
              </li>
            ))}
          </ul>
        )}
      </Step>
      <Step title={t("live.step_segments")} happened={effect.entered.length + effect.left.length > 0}>
        {effect.entered.map((segment) => (
          <p key={segment}>
            <span className={css.in}>→</span> <SegmentName segment={segment} />
          </p>
        ))}
        {effect.left.map((segment) => (
          <p key={segment}>
            <span className={css.outof}>←</span> <SegmentName segment={segment} />
          </p>
        ))}
        {effect.entered.length + effect.left.length === 0 && <p className="muted">{t("live.segments_none")}</p>}
      </Step>
      <Step title={t("live.step_consent")} happened={effect.consents.length > 0}>
        {effect.consents.length === 0 && <p className="muted">{t("live.consent_none")}</p>}
        {effect.consents.map(({ purpose, channel, state }) => (
          <p key={`${purpose} ${channel}`}>
            <ConsentSign state={state} /> {t("live.choice_line", { purpose, channel: channelName(channel), state: t(`consent.${state}`) })}
          </p>
        ))}
      </Step>
      <Step title={t("live.step_gate")} happened={effect.deliveries.length > 0}>
        {effect.deliveries.length === 0 && <p className="muted">{t("live.gate_none")}</p>}
        {effect.deliveries.map((delivery) => (
          <p key={delivery.id}>
            <ConsentSign state={delivery.state === "queued" ? "granted" : "denied"} />{" "}
            {t(delivery.state === "queued" ? "live.gate_open" : "live.gate_closed", { activation: delivery.activation })}{" "}
            <span className="muted">
              {delivery.purpose} · {channelName(delivery.channel)}
            </span>
            {delivery.state === "blocked" && (
              <span className={css.why}>
                <GateReason reason={delivery.reason} gate={delivery.gate} />
              </span>
            )}
          </p>
        ))}
      </Step>
      <Step title={t("live.step_delivery")} happened={effect.deliveries.length > 0 || Boolean(effect.result)}>
        {effect.deliveries.map((delivery) => (
          <p key={delivery.id}>
            <DeliveryState state={delivery.state} />{" "}
            <Link href={`/destinations/${encodeURIComponent(delivery.destination)}?state=${delivery.state}`}>
              {t(delivery.state === "queued" ? "live.delivery_queued" : "live.delivery_blocked", { destination: delivery.destination })}
            </Link>
          </p>
        ))}
        {effect.result && (
          <p>
            <DeliveryState state={effect.result.state} />{" "}
            <Link href={`/destinations/${encodeURIComponent(effect.result.destination)}?state=${effect.result.state}`}>{effect.result.destination}</Link>{" "}
            {effect.result.status !== null && <span className="muted">HTTP {effect.result.status}</span>}
            {effect.result.reason && (
              <span className={css.why}>
                <GateReason reason={effect.result.reason} gate={effect.result.gate} />
              </span>
            )}
          </p>
        )}
        {effect.deliveries.length === 0 && !effect.result && <p className="muted">{t("live.delivery_none")}</p>}
      </Step>
    </ol>
  );
}
