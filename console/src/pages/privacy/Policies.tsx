import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { useCursor } from "../../api/paging";
import { Instant } from "../../components/Instant";
import { Pager } from "../../components/Pager";
import { Panel } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import css from "./Privacy.module.css";

type Version = Schemas["PolicyVersion"];

const PAGE = 20;

/** Each version of the definitions: who brought it, when, and what it changed. */
export function Policies() {
  const { t } = useI18n();
  const paging = useCursor();
  const { cursor } = paging;
  const versions = useQuery({
    queryKey: ["privacy", "policies", cursor],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/policies", { params: { query: { limit: String(PAGE), ...(cursor ? { cursor } : {}) } }, signal })),
  });
  return (
    <Panel title={t("privacy.policies")}>
      <Loaded query={versions}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <Empty title={t("privacy.no_versions")} />
            ) : (
              <ol className={css.list}>
                {items.map((version, n) => (
                  <VersionLine key={version.position} version={version} isInForce={n === 0 && !cursor} />
                ))}
              </ol>
            )}
            <Pager paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function VersionLine({ version, isInForce }: { version: Version; isInForce: boolean }) {
  const { t, tn } = useI18n();
  const { at, by, first, changes, others } = version;
  return (
    <li className={css.version}>
      <h3>
        <Instant at={at} />
        <span className="muted">{by ? t("privacy.by", { name: by }) : t("privacy.by_unknown")}</span>
        {isInForce && <span className={css.good}>{t("privacy.in_force")}</span>}
      </h3>
      {first ? (
        <p className="small muted">{tn("privacy.first_version", changes.length)}</p>
      ) : (
        changes.map((change) => (
          <div key={`${change.collection} ${change.key}`} className={css.change}>
            <b>{t(`privacy.change_${change.kind}`)}</b> {change.collection} <code>{change.key}</code>
            <ul>
              {change.values.length > 0
                ? change.values.map(({ path, before, after }) => (
                    <li key={path}>
                      <code>{path || change.key}</code> <del>{before ?? t("common.none")}</del> → <ins>{after ?? t("common.none")}</ins>
                    </li>
                  ))
                : change.fields.map((field) => (
                    <li key={field}>
                      <code>{field}</code>
                    </li>
                  ))}
            </ul>
          </div>
        ))
      )}
      {!first && others > 0 && <p className="small muted">{tn("privacy.others_n", others)}</p>}
    </li>
  );
}
