import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { PAGE_ROWS, useCursor } from "../../api/paging";
import { useChannelName } from "../../components/ConsentState";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { PersonLink } from "../../components/PersonLink";
import { Loaded } from "../../components/states";
import { useI18n } from "../../i18n";

/** How a grant is weak or grows old. */
export const AGES = ["weak", "old_text", "expired", "expiring", "old"] as const;
type Age = (typeof AGES)[number];
type Row = Schemas["CensusReach"];
/** The cursor's place in the address. */
const CURSOR = "from";

export interface Asked {
  purpose: string;
  /** `null`: the purpose as a whole. */
  channel: string | null;
  age: Age;
}

/** Whose list is open, by the address (`?aged=weak&of=marketing&on=email`), and the way to another one. */
export function useAged(): { asked: Asked | null; link: (row: Row, age: Age) => string } {
  const [parameters] = useSearchParams();
  const age = AGES.find((one) => one === parameters.get("aged"));
  const purpose = parameters.get("of");
  return {
    asked: age && purpose ? { purpose, channel: parameters.get("on"), age } : null,
    link: (row, to) => {
      const after = new URLSearchParams(parameters);
      after.delete(CURSOR);
      after.delete("on");
      after.set("aged", to);
      after.set("of", row.purpose);
      if (row.channel) after.set("on", row.channel);
      return `?${after}`;
    },
  };
}

/** Who is behind one of the numbers. */
export function AgedPeople({ asked }: { asked: Asked }) {
  const { t } = useI18n();
  const channelName = useChannelName();
  const paging = useCursor(CURSOR);
  const people = useQuery({
    queryKey: ["privacy", "aged", asked, paging.cursor],
    queryFn: ({ signal }) => {
      const query = { purpose: asked.purpose, age: asked.age, limit: String(PAGE_ROWS), ...(asked.channel ? { channel: asked.channel } : {}), ...(paging.cursor ? { cursor: paging.cursor } : {}) };
      return unwrap(api.GET("/v1/privacy/consents/people", { params: { query }, signal }));
    },
  });
  const title = `${t(`privacy.age_${asked.age}`)} · ${asked.purpose} · ${channelName(asked.channel)}`;
  return (
    <Panel title={title}>
      <Loaded query={people}>
        {(page) => (
          <>
            {page.items.length === 0 ? (
              <p className="body muted">{t(page.next ? "privacy.nobody_here" : "privacy.nobody_any_more")}</p>
            ) : (
              <div className="scroll-x" tabIndex={0} role="group" aria-label={title}>
                <table className="rows">
                  <thead>
                    <tr>
                      <th scope="col">{t("privacy.person")}</th>
                      <th scope="col">{t("privacy.granted_on")}</th>
                      <th scope="col">{t("person.source")}</th>
                      <th scope="col">{t("privacy.ends_on")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {page.items.map((one) => (
                      <tr key={one.profile}>
                        <th scope="row">
                          <PersonLink profile={one.profile} label={one.identifier?.slice(one.identifier.indexOf(":") + 1)} />
                        </th>
                        <td>
                          <Instant at={one.since} />
                        </td>
                        <td>{one.source}</td>
                        <td>{one.expires_at ? <Instant at={one.expires_at} /> : "–"}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
            <Pager paging={paging} next={page.next} label={title} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}
