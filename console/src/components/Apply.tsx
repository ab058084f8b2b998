import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api, unwrap } from "../api/client";
import { fragment, type Definition } from "../api/fragment";
import { useI18n } from "../i18n";
import { CopyButton } from "./CopyButton";
import { Panel } from "./PageTitle";
import { Failure } from "./states";
import css from "./components.module.css";

/** A definition that is ready: as lines to commit, and for whoever may, what applying it would change, then applying it. `done`: what
 *  to do next. */
export function Apply({ collection, name, definition, may, done }: { collection: "destinations" | "activations"; name: string; definition: Definition; may: boolean; done: ReactNode }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const text = fragment(collection, name, definition);
  const put = (dryRun: boolean) => unwrap(api.PUT("/v1/{collection}/{key}", { params: { path: { collection, key: name }, query: dryRun ? { dry_run: "true" } : {} }, body: definition as never }));
  // What is shown belongs to what was asked: another definition has another answer.
  const look = useMutation({ mutationFn: async () => ({ text, difference: await put(true) }) });
  const apply = useMutation({
    mutationFn: async () => ({ text, difference: await put(false) }),
    onSuccess: () => Promise.all(["destinations", "definitions", "activations"].map((key) => queries.invalidateQueries({ queryKey: [key] }))),
  });
  const looked = look.data?.text === text ? look.data.difference : null;
  const applied = apply.data?.text === text;
  const error = apply.error ?? look.error;
  return (
    <Panel title={t("apply.title")} aside={<CopyButton text={text} label={t("apply.copy")} />}>
      <div className="body">
        <p className="small muted">{t("apply.hint")}</p>
        <pre className={css.json} tabIndex={0} role="region" aria-label={t("apply.fragment")}>
          {text}
        </pre>
        {may ? (
          <>
            <div className={css.applying}>
              <Button size="xs" variant="default" loading={look.isPending} onClick={() => (apply.reset(), look.mutate())}>
                {t("apply.look")}
              </Button>
              <Button size="xs" disabled={!looked || applied} loading={apply.isPending} onClick={() => apply.mutate()}>
                {t("apply.go")}
              </Button>
              {!looked && <span className="small muted">{t("apply.look_first")}</span>}
            </div>
            <div role="status">
              {looked && !applied && (
                <pre className={css.json} tabIndex={0} aria-label={t("apply.changes")}>
                  {looked.text?.trim() || t("apply.nothing")}
                </pre>
              )}
              {applied && (
                <p>
                  {t("apply.done")} {done}
                </p>
              )}
            </div>
            {error && <Failure error={error} />}
          </>
        ) : (
          <p className="small">{t("apply.not_yours")}</p>
        )}
      </div>
    </Panel>
  );
}
