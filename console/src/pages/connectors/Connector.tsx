import { Link } from "wouter";
import { ApiError, type Schemas } from "../../api/client";
import { useChannelName } from "../../components/ConsentState";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Empty, Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { mayActivate } from "../../shell/access";
import { useSession } from "../../shell/session";
import { iconOf, settingsOf, useConnector, type Connector, type KINDS } from "./catalogue";
import css from "./Connectors.module.css";
import { Readme } from "./Readme";

/** One connector: how to get in, what it is given, what it is told, and how people come out again. */
export default function ConnectorPage({ connector: key }: { connector: string }) {
  return key === "webhook" || key === "file" ? <BuiltIn connector={key} /> : <Declared connector={key} />;
}

function SetUpLink({ connector }: { connector: string }) {
  const { t } = useI18n();
  const { role } = useSession();
  return mayActivate(role) ? (
    <Link className={css.act} href={`/connectors/${encodeURIComponent(connector)}/set-up`}>
      {t("connectors.set_up")}
    </Link>
  ) : null;
}

function BuiltIn({ connector }: { connector: "webhook" | "file" }) {
  const { t } = useI18n();
  return (
    <>
      <PageTitle title={t(`connectors.${connector}`)}>{connector === "webhook" && <SetUpLink connector={connector} />}</PageTitle>
      <section className={`panel ${css.prose}`}>
        <p>{t(`connectors.${connector}_about`)}</p>
        <p>{t(`connectors.${connector}_removal`)}</p>
        <p>{t(`connectors.${connector}_consent`)}</p>
      </section>
    </>
  );
}

function Declared({ connector: key }: { connector: string }) {
  const { t, language } = useI18n();
  const found = useConnector(key);
  if (found.data) {
    const connector = found.data;
    return (
      <>
        <PageTitle title={connector.name}>
          <SetUpLink connector={key} />
        </PageTitle>
        <section className={`panel ${css.head}`} aria-label={connector.name}>
          <img src={iconOf(connector.icon ?? "")} alt="" width="40" height="40" />
          <p>{connector.about[language]}</p>
        </section>
        <div className={css.halves}>
          <div className={css.column}>
            <Panel title={t("connectors.readme")}>
              <Readme text={connector.readme ?? ""} />
            </Panel>
            <Settings connector={connector} />
          </div>
          <div className={css.column}>
            <Facts connector={connector} />
            <Fields connector={connector} />
            <Checked checked={connector.checked} />
          </div>
        </div>
      </>
    );
  }
  const missing = found.error instanceof ApiError && found.error.status === 404;
  return (
    <>
      <PageTitle title={key} />
      {missing ? (
        <Empty title={t("connectors.not_found", { key })} hint={t("connectors.none_hint")}>
          <Link href="/connectors">{t("connectors.all")}</Link>
        </Empty>
      ) : found.error ? (
        <Failure error={found.error} retry={() => void found.refetch()} />
      ) : (
        <Loading />
      )}
    </>
  );
}

function Facts({ connector }: { connector: Connector }) {
  const { t, language } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const { channels = [], removal, consent, sends_nothing: silent = {}, rate } = connector;
  const { mode, longest_delay: delay, reason } = removal as { mode: "row" | "replace_file" | "expiry" | "none"; longest_delay?: string; reason?: string };
  const told = Object.keys((consent as { fields?: object }).fields ?? {});
  const { none } = consent as { none?: string };
  const limit = (rate as { limit?: string | null } | undefined)?.limit;
  const silence = (op: string) => silent[op] ?? null;
  const facts: [string, string | null, string | null][] = [
    [t("connectors.kind"), t(`connectors.kind_${connector.kind as (typeof KINDS)[number]}`), null],
    [t("connectors.channels"), channels.length > 0 ? channels.map(channelName).join(", ") : t("connectors.every_channel"), null],
    [t("connectors.removal"), delay ? t("connectors.removal_within", { how: t(`connectors.removal_${mode}`), delay }) : t(`connectors.removal_${mode}`), reason ?? silence("remove")],
    [t("connectors.erasure"), silence("erase") ? t("connectors.erasure_none") : t("connectors.erasure_told"), silence("erase")],
    [t("connectors.consent"), told.length > 0 ? told.join(", ") : t("connectors.consent_untold"), none ?? null],
    [t("connectors.people_per_request"), format.number(connector.batch_rows), null],
    [t("connectors.limit"), limit ?? t("connectors.limit_none"), null],
    [t("connectors.test"), t(connector.has_test ? "connectors.test_there" : "connectors.test_none"), null],
  ];
  return (
    <Panel title={t("connectors.to_know")}>
      <dl className={css.known}>
        {facts.map(([name, value, more]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              {more && (
                <span lang={language === "en" ? undefined : "en"} className="small muted">
                  {more}
                </span>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

function Settings({ connector }: { connector: Connector }) {
  const { t, language } = useI18n();
  const settings = settingsOf(connector);
  return (
    <Panel title={t("connectors.settings")}>
      {settings.length === 0 ? (
        <p className={css.nothing}>{t("connectors.no_settings")}</p>
      ) : (
        <ul className={css.items}>
          {settings.map(([name, setting]) => (
            <li key={name}>
              <code>{name}</code> <span className="small muted">{[setting.required && t("connectors.required"), setting.secret && t("connectors.secret")].filter(Boolean).join(" · ")}</span>
              <div>{setting.label[language]}</div>
              {setting.example && <div className="small muted">{t("connectors.example", { example: setting.example })}</div>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Fields({ connector }: { connector: Connector }) {
  const { t } = useI18n();
  const fields = Object.entries((connector.fields ?? {}) as Record<string, { from?: string | null; normalize?: string | null; hash?: string | null }>);
  return (
    <Panel title={t("connectors.fields")}>
      <p className={css.nothing}>{connector.require ? t("connectors.needs", { fields: connector.require }) : t("connectors.needs_nothing")}</p>
      {fields.length > 0 && (
        <ul className={css.items}>
          {fields.map(([name, field]) => (
            <li key={name}>
              <code>{field.from ?? name}</code> <span className="small muted">{[field.normalize, field.hash].filter(Boolean).join(" · ")}</span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Checked({ checked }: { checked: Schemas["Connector"]["checked"] }) {
  const { t } = useI18n();
  return (
    <Panel title={t("connectors.checked")}>
      <ul className={css.items}>
        {checked.map((one) => (
          <li key={one.by + one.source}>
            {t(`connectors.by_${one.by}`)} <span className="small muted">{one.on}</span>
            <div className="small">
              {one.source.startsWith("https://") ? (
                <a href={one.source} target="_blank" rel="noreferrer">
                  {one.source}
                </a>
              ) : (
                one.source
              )}
            </div>
            {one.note && (
              <div lang="en" className="small muted">
                {one.note}
              </div>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
