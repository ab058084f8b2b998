import { useQuery } from "@tanstack/react-query";
import { api, unwrap } from "../../api/client";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Destinations.module.css";

const EVERY_MS = 60_000;
/** Comparisons shown. */
const SHOWN = 20;

/** What the tool held at each comparison, against who may be there. */
export function Drift({ destination }: { destination: string }) {
  const { t } = useI18n();
  const format = useFormat();
  const kept = useQuery({
    queryKey: ["destinations", "drift", destination],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/destinations/{key}/reconciliations", { params: { path: { key: destination } }, signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <Panel title={t("destinations.drift")} className={css.drift ?? ""}>
      <Loaded query={kept}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="body small muted">{t("destinations.no_drift", { destination })}</p>
          ) : (
            <div className="body">
              <table className="list">
                <thead>
                  <tr>
                    {(["compared", "held", "expected", "too_many", "too_few", "unknown", "mended"] as const).map((column) => (
                      <th key={column} scope="col">
                        {t(`destinations.drift_${column}`)}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {items.slice(0, SHOWN).map(({ at, held, expected, too_many: many, too_few: few, unknown, mended }) => (
                    <tr key={at}>
                      <td>
                        <Instant at={at} as="ago" />
                      </td>
                      {[held, expected, many, few, unknown, mended].map((count, n) => (
                        <td key={n} className="tabular">
                          {format.number(count)}
                        </td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </Panel>
  );
}
