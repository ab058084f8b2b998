import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { useDeliveryKind } from "../../components/DeliveryReason";
import { DestinationName } from "../../components/DestinationName";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";

const EVERY_MS = 10_000;

type Standing = Schemas["ToolStanding"];

/** Which tools have her, and how far her leaving them has come. */
export function Tools({ id }: { id: string }) {
  const { t } = useI18n();
  const tools = useQuery({
    queryKey: ["person", id, "tools"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}/tools", { params: { path: { id } }, signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <Panel title={t("person.tools")}>
      <Loaded query={tools}>
        {({ items }) =>
          items.length === 0 ? (
            <p className={css.nothing}>{t("person.no_tools")}</p>
          ) : (
            <ul className={css.verdicts}>
              {items.map((tool) => (
                <li key={`${tool.destination} ${tool.activation}`}>
                  <ToolLine tool={tool} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** What asks somebody to act stands out. */
const isTrouble = ({ state }: Standing) => state === "overdue" || state === "cannot_be_told" || state === "unreachable";

function ToolLine({ tool }: { tool: Standing }) {
  const { t } = useI18n();
  const format = useFormat();
  const kind = useDeliveryKind();
  const { destination, activation, state, since, sent, because, due_at: due, contact, why } = tool;
  return (
    <>
      <div className={css.line}>
        <span className={css.decision}>
          <DestinationName destination={destination} />
        </span>
        <span className={`small ${state === "in" || state === "confirmed" ? css.openWord : isTrouble(tool) ? css.closedWord : "muted"}`}>{t(`person.tool_${state}`)}</span>
      </div>
      <p className="small muted">
        {activation}
        {because && <> · {kind(because)}</>}
        {since && (
          <>
            {" · "}
            <Instant at={since} as="ago" />
          </>
        )}
      </p>
      {sent && <p className="small">{t("person.tool_knows", { fields: Object.entries(sent).map(([field, value]) => `${field} ${String(value)}`).join(", ") })}</p>}
      {due && state !== "confirmed" && <p className="small muted">{t("person.tool_due", { at: format.instant(due) })}</p>}
      {contact && <p className="small">{t("person.tool_ask", { contact, why: why ?? "" })}</p>}
    </>
  );
}
