import { Button, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, ApiError, unwrap } from "../../api/client";
import { CopyButton } from "../../components/CopyButton";
import { Dialog } from "../../components/Dialog";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { useI18n } from "../../i18n";
import type { Quarantined } from "./Quarantine";
import { editable, readJson, ruleTexts } from "./rule";
import css from "./Quarantine.module.css";

/** One event that was not understood: the reason in words, the field marked, a place to correct it, and the ways out. */
export function Mend({ item, done }: { item: Quarantined; done: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const original = useMemo(() => editable(item.body), [item.body]);
  const [draft, setDraft] = useState(original);
  const [asking, ask] = useState(false);
  const [ended, end] = useState<"retried" | "removed" | null>(null);
  const read = useMemo(() => readJson(draft), [draft]);
  const body = useMemo(() => readJson(item.body), [item.body]);
  const refresh = () => Promise.all([queries.invalidateQueries({ queryKey: ["quarantine"] }), queries.invalidateQueries({ queryKey: ["overview"] })]);
  const field = item.field || t("quarantine.whole");
  const words = ruleTexts(item.rule);

  const retry = useMutation({
    mutationFn: (correction: string | null) =>
      unwrap(
        api.POST("/v1/quarantine/{id}/retry", {
          params: { path: { id: item.id } },
          ...(correction === null ? {} : { body: correction as never, bodySerializer: () => correction, headers: { "content-type": "application/json" } }),
        }),
      ),
    onSuccess: () => {
      end("retried");
      return refresh();
    },
  });
  const remove = useMutation({
    mutationFn: () => unwrap(api.DELETE("/v1/quarantine/{id}", { params: { path: { id: item.id } } })),
    onSuccess: () => {
      ask(false);
      end("removed");
      return refresh();
    },
  });

  if (ended) {
    return (
      <div className={css.ended} role="status">
        <p>{t(ended === "retried" ? "quarantine.retried" : "quarantine.removed")}</p>
        <Button size="xs" variant="default" onClick={done} autoFocus>
          {t("common.close")}
        </Button>
      </div>
    );
  }
  const changed = draft !== original;
  const refusal = retry.error;
  return (
    <div className={css.mend}>
      <div>
        <h3 className={css.why}>{t(words.why, { field, rule: item.rule })}</h3>
        <p>{t(words.fix, { field })}</p>
        <p className="muted small">
          {t("quarantine.server_says", { message: item.message })}
        </p>
      </div>
      <div className={css.facts}>
        <EyeBadge source={item.source} /> <Instant at={item.at} /> <span className="mono">{field}</span> <CopyButton text={item.body} />
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </div>
      <section>
        <h4>{t("quarantine.body")}</h4>
        {"value" in body ? (
          <>
            <JsonView value={body.value} mark={item.field} short label={t("quarantine.body")} />
            {item.field && <p className="muted small">{t("quarantine.marked")}</p>}
          </>
        ) : (
          <pre className={css.text} tabIndex={0} role="region" aria-label={t("quarantine.body")}>
            {item.body}
          </pre>
        )}
      </section>
      <section>
        <h4>{t("quarantine.edit")}</h4>
        <Textarea
          aria-label={t("quarantine.edit_label")}
          value={draft}
          onChange={(event) => setDraft(event.currentTarget.value)}
          rows={Math.min(Math.max(draft.split("\n").length, 6), 14)}
          error={"invalid" in read ? t("quarantine.invalid", { message: read.invalid }) : null}
          classNames={{ input: css.editor ?? "" }}
          spellCheck={false}
        />
        {refusal && (
          <div className={css.refusal} role="alert">
            <b>{t("quarantine.retry_refused")}.</b>{" "}
            {refusal instanceof ApiError && refusal.rule ? `${t(ruleTexts(refusal.rule).why, { field: refusal.field || t("quarantine.whole"), rule: refusal.rule })}. ` : ""}
            <span>{refusal instanceof ApiError && refusal.status !== 0 ? refusal.detail : t("common.failed_network")}</span>
          </div>
        )}
        <div className={css.actions}>
          <Button size="xs" loading={retry.isPending} disabled={changed && "invalid" in read} onClick={() => retry.mutate(changed ? draft : null)}>
            {changed ? t("quarantine.retry") : t("quarantine.retry_as_is")}
          </Button>
          {changed && (
            <Button size="xs" variant="default" onClick={() => setDraft(original)}>
              {t("quarantine.reset")}
            </Button>
          )}
          <Button size="xs" variant="default" className={css.remove} onClick={() => ask(true)}>
            {t("quarantine.remove")}
          </Button>
        </div>
      </section>
      <Dialog opened={asking} close={() => ask(false)} title={t("quarantine.remove_ask")}>
        <p className="muted">{t("quarantine.remove_hint")}</p>
        {remove.error && (
          <p className={css.refusal} role="alert">
            {remove.error instanceof Error ? remove.error.message : null}
          </p>
        )}
        <div className={css.actions}>
          <Button size="xs" color="red" className={css.confirm} loading={remove.isPending} onClick={() => remove.mutate()} data-autofocus>
            {t("quarantine.remove")}
          </Button>
          <Button size="xs" variant="default" onClick={() => ask(false)}>
            {t("common.cancel")}
          </Button>
        </div>
      </Dialog>
    </div>
  );
}
