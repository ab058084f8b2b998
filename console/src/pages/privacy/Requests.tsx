import { Button, NativeSelect } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { Dialog } from "../../components/Dialog";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Empty, Failure, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import css from "./Privacy.module.css";

type Request = Schemas["RightsRequest"];
type Do = "identify" | "extend" | "refuse" | "fulfil";

const KEY = ["privacy", "requests"];
const EVERY_MS = 15_000;
const DAY_MS = 86_400_000;
/** A deadline within this many days stands out. */
const SOON_D = 7;
/** Settled ones shown, the newest deadlines first. */
const SETTLED_MAX = 50;
const IDENTITIES = ["link", "account", "callback", "in_person", "document", "staff"] as const;
const EXTENSIONS = ["complexity", "number"] as const;
const REFUSALS = ["identity", "unfounded", "excessive", "legal_obligation", "legal_claims", "withdrawn"] as const;

/** What people asked about their rights, the nearest deadline first, and what staff may do with it. */
export function Requests() {
  const { t, tn } = useI18n();
  const requests = useQuery({ queryKey: KEY, queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/requests", { signal })), refetchInterval: EVERY_MS });
  const [step, begin] = useState<{ request: Request; what: Do } | null>(null);
  return (
    <>
      <Loaded query={requests}>
        {({ items }) => {
          const open = items.filter(({ state }) => state === "received");
          const settled = items.filter(({ state }) => state !== "received");
          const late = open.filter(({ overdue }) => overdue).length;
          return (
            <>
              {late > 0 && (
                <p className={css.notice} role="status">
                  <b>{tn("privacy.late_n", late)}</b>
                </p>
              )}
              <Panel title={t("privacy.open_requests")} aside={<span className="muted small">{tn("privacy.requests_n", open.length)}</span>}>
                {open.length === 0 ? <Empty title={t("privacy.no_open")} hint={t("privacy.no_open_hint")} /> : <List requests={open} begin={(request, what) => begin({ request, what })} />}
              </Panel>
              {settled.length > 0 && (
                <Panel title={t("privacy.settled_requests")} aside={<span className="muted small">{tn("privacy.requests_n", settled.length)}</span>}>
                  <List requests={settled.slice(-SETTLED_MAX).reverse()} />
                </Panel>
              )}
            </>
          );
        }}
      </Loaded>
      {step && <Step request={step.request} what={step.what} close={() => begin(null)} />}
    </>
  );
}

function List({ requests, begin }: { requests: Request[]; begin?: (request: Request, what: Do) => void }) {
  const { t } = useI18n();
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label={begin ? t("privacy.open_requests") : t("privacy.settled_requests")}>
      <table className="rows">
        <thead>
          <tr>
            <th scope="col">{t("privacy.asked")}</th>
            <th scope="col">{t("privacy.asked_at")}</th>
            <th scope="col">{begin ? t("privacy.deadline") : t("privacy.outcome")}</th>
            <th scope="col">{t("privacy.identity")}</th>
            <th scope="col">{t("privacy.told_tools")}</th>
            {begin && <th scope="col">{t("privacy.actions")}</th>}
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <Row key={request.id} request={request} begin={begin} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ request, begin }: { request: Request; begin: ((request: Request, what: Do) => void) | undefined }) {
  const { t } = useI18n();
  const reasonWords = (reason: string) => {
    const known = [...EXTENSIONS, ...REFUSALS].find((one) => one === reason);
    return known ? t(`privacy.reason_${known}`) : reason;
  };
  const { kind, profile, identity, state, recipients, fan_out: told, log } = request;
  const confirmed = new Set(told.filter(({ state }) => state === "sent").map(({ destination }) => destination));
  const last = log.at(-1);
  const named = recipients.length > 0 ? recipients.map(({ destination }) => destination) : [...new Set(told.map(({ destination }) => destination))];
  return (
    <tr>
      <th scope="row">
        {t(`privacy.kind_${kind}`)}
        <div className="small">
          <Link href={`/people/${encodeURIComponent(profile)}`} aria-label={t("privacy.person_of", { profile })}>
            {profile.slice(0, 10)}…
          </Link>
        </div>
      </th>
      <td>
        <Instant at={request.asked_at} as="date" />
      </td>
      <td>
        {begin ? (
          <>
            <Instant at={request.deadline} as="date" /> <Left deadline={request.deadline} />
          </>
        ) : (
          <>
            {t(`privacy.state_${state}`)}
            {last?.reason && <span className="muted"> · {reasonWords(last.reason)}</span>}
            <div className="small muted">{last && <Instant at={last.at} as="date" />}</div>
          </>
        )}
      </td>
      <td>{identity === "pending" ? <span className={css.late}>{t("privacy.identity_pending")}</span> : t(`privacy.identity_${identity}`)}</td>
      <td>{named.length === 0 ? "–" : named.map((tool) => <div key={tool}>{tool} {confirmed.has(tool) && <span className={css.good}>{t("privacy.tool_told")}</span>}</div>)}</td>
      {begin && (
        <td>
          <div className={css.actions}>
            {identity === "pending" && (
              <Button size="compact-xs" variant="default" onClick={() => begin(request, "identify")}>
                {t("privacy.do_identify")}
              </Button>
            )}
            <Button size="compact-xs" variant="default" disabled={identity === "pending"} onClick={() => begin(request, "fulfil")}>
              {t("privacy.do_fulfil")}
            </Button>
            <Button size="compact-xs" variant="default" onClick={() => begin(request, "extend")}>
              {t("privacy.do_extend")}
            </Button>
            <Button size="compact-xs" variant="default" onClick={() => begin(request, "refuse")}>
              {t("privacy.do_refuse")}
            </Button>
          </div>
        </td>
      )}
    </tr>
  );
}

/** Days until a deadline, or since it. */
function Left({ deadline }: { deadline: string }) {
  const { t, tn } = useI18n();
  const days = Math.floor((Date.parse(deadline) - Date.now()) / DAY_MS);
  if (days < 0) return <div className={css.late}>{tn("privacy.late_days", -days)}</div>;
  return <div className={days <= SOON_D ? css.late : "muted small"}>{days === 0 ? t("privacy.today") : tn("privacy.left_days", days)}</div>;
}

/** One step of staff, asked for before it is made: an erasure can't be taken back. */
function Step({ request, what, close }: { request: Request; what: Do; close: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const choices = { identify: IDENTITIES, extend: EXTENSIONS, refuse: REFUSALS, fulfil: [] as const }[what];
  const [choice, choose] = useState<string>(choices[0] ?? "");
  const [months, setMonths] = useState("1");
  const make = useMutation({
    mutationFn: () => {
      const body = what === "identify" ? { do: what, identity: choice } : what === "extend" ? { do: what, months: Number(months), reason: choice } : what === "refuse" ? { do: what, reason: choice } : { do: what };
      return unwrap(api.POST("/v1/privacy/requests/{id}", { params: { path: { id: request.id } }, body: body as Schemas["RequestStep"] }));
    },
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: KEY });
      close();
    },
  });
  const title = t(`privacy.do_${what}`);
  return (
    <Dialog title={`${title} · ${t(`privacy.kind_${request.kind}`)}`} opened close={close}>
      <div className={css.form}>
        {what === "fulfil" && <p>{t(request.kind === "erase" ? "privacy.fulfil_erase" : "privacy.fulfil_other")}</p>}
        {choices.length > 0 && (
          <NativeSelect
            label={what === "identify" ? t("privacy.identity") : t("privacy.why")}
            value={choice}
            onChange={(event) => choose(event.currentTarget.value)}
            data={
              what === "identify"
                ? IDENTITIES.map((value) => ({ value, label: t(`privacy.identity_${value}`) }))
                : (what === "extend" ? EXTENSIONS : REFUSALS).map((value) => ({ value, label: t(`privacy.reason_${value}`) }))
            }
          />
        )}
        {what === "extend" && (
          <NativeSelect label={t("privacy.months")} value={months} onChange={(event) => setMonths(event.currentTarget.value)} data={["1", "2"]} />
        )}
        {make.error && <Failure error={make.error} />}
        <div className={css.actions}>
          <Button loading={make.isPending} onClick={() => make.mutate()} data-autofocus>
            {title}
          </Button>
          <Button variant="default" onClick={close}>
            {t("common.cancel")}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
