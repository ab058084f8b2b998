import { Button, CloseButton, TextInput } from "@mantine/core";
import { useId } from "react";
import { Panel } from "../../components/PageTitle";
import { useI18n } from "../../i18n";
import css from "./Activate.module.css";
import { sources, type Mapped } from "./draft";

/** Which field of the tool gets which value of a person. `read`: the fields that the tool reads by name; any other goes along. */
export function Mapping({ map, set, read, needs, identifiers, computed }: { map: Mapped[]; set: (map: Mapped[]) => void; read: string[]; needs: string | null; identifiers: string[]; computed: string[] }) {
  const { t } = useI18n();
  const id = useId();
  const change = (n: number, more: Partial<Mapped>) => set(map.map((row, m) => (m === n ? { ...row, ...more } : row)));
  return (
    <Panel title={t("activate.map")}>
      <div className={css.form}>
        <p className="small muted">{needs ? t("connectors.needs", { fields: needs }) : t("activate.map_hint")}</p>
        <datalist id={`${id}-fields`}>
          {read.map((field) => (
            <option key={field} value={field} />
          ))}
        </datalist>
        <datalist id={`${id}-sources`}>
          {sources(identifiers, computed).map((source) => (
            <option key={source} value={source} />
          ))}
        </datalist>
        {map.map((row, n) => (
          <div key={n} className={css.mapped} role="group" aria-label={t("activate.map_row", { field: row.field || String(n + 1) })}>
            <TextInput size="xs" label={t("activate.field")} list={`${id}-fields`} value={row.field} onChange={(event) => change(n, { field: event.currentTarget.value.trim() })} />
            <TextInput size="xs" label={t("activate.from")} list={`${id}-sources`} placeholder="traits.city" value={row.from} onChange={(event) => change(n, { from: event.currentTarget.value.trim() })} />
            <CloseButton className={css.remove ?? ""} aria-label={t("activate.unmap", { field: row.field || String(n + 1) })} onClick={() => set(map.filter((_, m) => m !== n))} />
          </div>
        ))}
        <div>
          <Button size="xs" variant="default" onClick={() => set([...map, { field: "", from: "" }])}>
            {t("activate.add")}
          </Button>
        </div>
      </div>
    </Panel>
  );
}
