import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import type { Definition } from "../../api/fragment";
import { Apply } from "../../components/Apply";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Failure, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayDeclareDestinations } from "../../shell/access";
import { useSession } from "../../shell/session";
import { settingsOf, useConnector, type Setting } from "./catalogue";
import css from "./Connectors.module.css";
import { SecretField } from "./SecretField";

/** What a webhook is given: it has no manifest. */
const WEBHOOK: [string, Setting][] = [
  ["url", { required: true, type: "url", label: { fr: "Adresse qui reçoit les messages", en: "Address that receives the messages" }, example: "https://hooks.example.org/jumelle" }],
  ["secret", { secret: true, label: { fr: "Secret de signature (Standard Webhooks)", en: "Signing secret (Standard Webhooks)" } }],
];

/** A destination in the making: settings, a test call, and the definition that comes of them. */
export default function SetUp({ connector: key }: { connector: string }) {
  const { t } = useI18n();
  return key === "webhook" ? (
    <>
      <PageTitle title={t("setup.title", { name: t("connectors.webhook") })} />
      <Form connector={key} settings={WEBHOOK} hasTest />
    </>
  ) : (
    <Declared connector={key} />
  );
}

function Declared({ connector: key }: { connector: string }) {
  const { t } = useI18n();
  const found = useConnector(key);
  return (
    <>
      <PageTitle title={t("setup.title", { name: found.data?.name ?? key })} />
      <Loaded query={found}>{(connector) => <Form connector={key} settings={settingsOf(connector)} hasTest={connector.has_test} />}</Loaded>
    </>
  );
}

/** A value as the server reads it: whole numbers and yes or no are no texts. */
function read(setting: Setting | undefined, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (setting?.type === "integer" && /^-?\d+$/.test(value.trim())) return Number(value.trim());
  return value;
}

function Form({ connector, settings, hasTest }: { connector: string; settings: [string, Setting][]; hasTest: boolean }) {
  const { t, language } = useI18n();
  const { role } = useSession();
  const [name, call] = useState(connector.replaceAll("-", "_"));
  const [values, setValues] = useState<Record<string, unknown>>({});
  const [base, rebase] = useState("");
  const [country, place] = useState("");
  const [isPrivate, allowPrivate] = useState(false);
  const set = (key: string, value: unknown) => setValues((before) => ({ ...before, [key]: value }));
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined);
  const definition: Definition = {
    connector,
    ...Object.fromEntries(given.map(([key, value]) => [key, read(settings.find(([own]) => own === key)?.[1], value)])),
    ...(base ? { base_url: base } : {}),
    ...(country ? { country: country.toUpperCase() } : {}),
    ...(isPrivate ? { allow_private: true } : {}),
  };
  const missing = settings.filter(([key, setting]) => setting.required && !given.some(([own]) => own === key)).map(([, setting]) => setting.label[language]);
  const may = mayDeclareDestinations(role);
  const trial = useMutation({
    mutationFn: async () => ({ of: JSON.stringify([name, definition]), answer: await unwrap(api.POST("/v1/connectors/{key}/test", { params: { path: { key: connector } }, body: { key: name, definition } })) }),
  });
  const tried = trial.data?.of === JSON.stringify([name, definition]) ? trial.data.answer : null;
  const complaint = (key: string): string | null => {
    if (tried?.fields?.includes(key)) return t("setup.look_here");
    const detail = trial.error?.message ?? "";
    const found = new RegExp(`destinations\\.[\\w-]+\\.(?:settings\\.)?${key}:? ([^\\n]*)`).exec(detail);
    return found?.[1] ?? null;
  };
  return (
    <div className={css.halves}>
      <div className={css.column}>
        <Panel title={t("setup.settings")}>
          <div className={css.form}>
            <TextInput label={t("setup.name")} description={t("setup.name_hint")} value={name} required onChange={(event) => call(event.currentTarget.value.trim())} />
            {settings.map(([key, setting]) => (
              <Field key={key} name={key} setting={setting} value={values[key]} destination={name} problem={complaint(key)} set={(value) => set(key, value)} />
            ))}
            <details>
              <summary>{t("setup.more")}</summary>
              <div className={css.form}>
                <TextInput label={t("setup.country")} description={t("setup.country_hint")} value={country} maxLength={6} onChange={(event) => place(event.currentTarget.value.trim())} />
                {connector !== "webhook" && <TextInput label={t("setup.base_url")} description={t("setup.base_url_hint")} value={base} onChange={(event) => rebase(event.currentTarget.value.trim())} />}
                <Checkbox label={t("setup.allow_private")} description={t("setup.allow_private_hint")} checked={isPrivate} onChange={(event) => allowPrivate(event.currentTarget.checked)} />
              </div>
            </details>
          </div>
        </Panel>
      </div>
      <div className={css.column}>
        <Panel title={t("setup.trial")}>
          <div className={css.form}>
            <p className="small muted">{t(hasTest ? "setup.trial_hint" : "setup.trial_none")}</p>
            {may ? (
              <div>
                <Button size="xs" variant="default" disabled={missing.length > 0} loading={trial.isPending} onClick={() => trial.mutate()}>
                  {t("setup.trial_go")}
                </Button>
              </div>
            ) : (
              <p className="small">{t("setup.trial_not_yours")}</p>
            )}
            {missing.length > 0 && <p className="small muted">{t("setup.missing", { list: missing.join(", ") })}</p>}
            <div role="status">{tried && <Outcome trial={tried} />}</div>
            {trial.error && <Failure error={trial.error} />}
          </div>
        </Panel>
        <Apply collection="destinations" name={name} definition={definition} may={may} done={<Link href={`/activations/new?destination=${encodeURIComponent(name)}`}>{t("setup.next")}</Link>} />
      </div>
    </div>
  );
}

/** What a test call came to, in words and a shape. */
export function Outcome({ trial }: { trial: Schemas["Trial"] }) {
  const { t } = useI18n();
  const good = trial.outcome === "ok" || trial.outcome === "no_test";
  return (
    <p className={good ? css.good : css.bad}>
      <b>{t(`setup.outcome_${trial.outcome}`)}</b>
      {trial.status ? <span className="small"> HTTP {trial.status}</span> : null}
      {trial.said && <span className={css.told}>{trial.said}</span>}
    </p>
  );
}

function Field({ name, setting, value, destination, problem, set }: { name: string; setting: Setting; value: unknown; destination: string; problem: string | null; set: (value: unknown) => void }) {
  const { t, language } = useI18n();
  const label = setting.label[language];
  const about = [setting.example ? t("connectors.example", { example: setting.example }) : null, typeof setting.default === "string" || typeof setting.default === "number" ? t("setup.default", { value: setting.default }) : null].filter(Boolean).join(" · ");
  const shared = { label, description: about || undefined, required: setting.required ?? false, error: problem };
  if (setting.secret) return <SecretField name={name} label={label} required={setting.required ?? false} destination={destination} problem={problem} set={set} />;
  if (setting.type === "boolean") return <Checkbox label={label} checked={value === true} error={problem} onChange={(event) => set(event.currentTarget.checked)} />;
  if (setting.one_of && setting.one_of.length > 0)
    return <NativeSelect {...shared} value={String(value ?? "")} data={[{ value: "", label: t("setup.choose") }, ...setting.one_of]} onChange={(event) => set(event.currentTarget.value)} />;
  return <TextInput {...shared} value={String(value ?? "")} inputMode={setting.type === "integer" ? "numeric" : undefined} onChange={(event) => set(event.currentTarget.value)} />;
}
