import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap, type Schemas } from "../../api/client";
import { ConsentSign } from "../../components/ConsentState";
import { GateReason } from "../../components/GateReason";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { Panel } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayOpen } from "../../shell/access";
import { useSession } from "../../shell/session";
import css from "./Activate.module.css";
import { isWhole, type Draft } from "./draft";
import { useLook } from "./queries";

/** Members to choose among. */
const MEMBERS = 50;

/** The very requests that would leave for a person, and what the gate says of her. */
export function Look({ draft }: { draft: Draft }) {
  const { t } = useI18n();
  const [profile, choose] = useState("");
  const look = useLook(draft, profile);
  return (
    <Panel title={t("activate.look")}>
      {isWhole(draft) ? (
        <div className={css.form}>
          <Who segment={draft.segment} profile={profile} choose={choose} />
          {profile ? <Loaded query={look}>{(found) => <Shown look={found} />}</Loaded> : <p className="small muted">{t("activate.look_hint")}</p>}
        </div>
      ) : (
        <Empty title={t("activate.nobody_to_look_at")} hint={t("activate.not_whole_hint")} />
      )}
    </Panel>
  );
}

/** A member of the segment; whoever may search people finds any other. */
function Who({ segment, profile, choose }: { segment: string; profile: string; choose: (profile: string) => void }) {
  const { t } = useI18n();
  const { role } = useSession();
  const [words, type] = useState("");
  const members = useQuery({
    queryKey: ["segments", "members", segment, MEMBERS],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/segments/{key}/members", { params: { path: { key: segment }, query: { limit: String(MEMBERS) } }, signal })),
  });
  const items = members.data?.items ?? [];
  const isMember = items.some((one) => one.profile === profile);
  return (
    <div className={css.who}>
      <NativeSelect
        size="xs"
        label={t("activate.member")}
        value={isMember ? profile : ""}
        onChange={(event) => choose(event.currentTarget.value)}
        data={[{ value: "", label: t("activate.choose") }, ...items.map((one) => ({ value: one.profile, label: one.label ?? one.profile }))]}
      />
      {role === "admin" && mayOpen(role, "/people") && (
        <form
          className={css.find}
          onSubmit={(event) => {
            event.preventDefault();
            void find(words).then(choose);
          }}
        >
          <TextInput size="xs" type="search" label={t("activate.anybody")} placeholder={t("app.find_hint")} value={words} onChange={(event) => type(event.currentTarget.value)} />
          <Button size="xs" type="submit" variant="default">
            {t("person.search_go")}
          </Button>
        </form>
      )}
    </div>
  );
}

/** The id of whoever is known so; where nobody is, the words themselves, so that the answer says it. */
async function find(words: string): Promise<string> {
  const query = words.trim();
  if (!query) return "";
  const { items } = await unwrap(api.GET("/v1/profiles", { params: { query: { query, limit: "1" } } }));
  return items[0]?.id ?? (query.includes(":") ? query : `email:${query}`);
}

function Shown({ look }: { look: Schemas["Look"] }) {
  const { t } = useI18n();
  const { gate, shown, empty } = look;
  return (
    <>
      <div role="status" className={gate.open ? css.open : css.closed}>
        <ConsentSign state={gate.open ? "granted" : "denied"} />
        <div>
          <b>{t(gate.open ? "gate.open" : "gate.closed")}</b> {look.label ?? look.profile}
          <div className="small">
            {gate.open ? (
              gate.granted_since ? (
                <>
                  {t("activate.granted_since")} <Instant at={gate.granted_since} />
                </>
              ) : (
                t("activate.by_basis", { basis: gate.basis ?? "" })
              )
            ) : (
              <GateReason reason={gate.reason} gate={gate.gate ?? null} />
            )}
          </div>
        </div>
      </div>
      {!look.member && <p className="small muted">{t("activate.no_member")}</p>}
      {empty.length > 0 && <p className="small">{t("activate.empty", { list: empty.join(", ") })}</p>}
      {!gate.open && shown.as !== "nothing" && <p className="small muted">{t("activate.if_open")}</p>}
      {shown.as === "requests" &&
        (shown.requests ?? []).map((request, n) => (
          <article key={n} className={css.request} aria-label={`${request.method} ${request.url}`}>
            <p className="mono">
              <b>{request.method}</b> {request.url}
            </p>
            <dl className={css.headers}>
              {Object.entries(request.headers).map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
            {request.body !== null && <JsonView value={request.body} label={t("activate.body")} />}
          </article>
        ))}
      {shown.as === "line" && (
        <div className="scroll-x" tabIndex={0} role="region" aria-label={t("activate.line")}>
          <table className="rows">
            <thead>
              <tr>
                {(shown.cells ?? []).map(([header]) => (
                  <th key={header} scope="col">
                    {header}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              <tr>
                {(shown.cells ?? []).map(([header, cell]) => (
                  <td key={header}>{cell ?? "–"}</td>
                ))}
              </tr>
            </tbody>
          </table>
        </div>
      )}
      {shown.as === "nothing" && (
        <p className={css.closed}>
          <span>
            <b>{t("activate.nothing")}</b>{" "}
            <span lang="en" className="small">
              {shown.reason}
            </span>
          </span>
        </p>
      )}
      {shown.as !== "nothing" && <p className="small muted">{t("activate.exact")}</p>}
    </>
  );
}
