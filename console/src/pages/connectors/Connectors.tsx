import { TextInput } from "@mantine/core";
import { Link } from "wouter";
import { useParameter } from "../../api/paging";
import { useChannelName } from "../../components/ConsentState";
import { PageTitle } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { answersTo, iconOf, KINDS, strongest, useConnectors, type Connector } from "./catalogue";
import css from "./Connectors.module.css";

/** What a connector needs no manifest for: messages to an address of one's own, and files. */
const BUILT_IN = ["webhook", "file"] as const;

/** Every tool that can be reached, and what there is to know before one chooses it. */
export default function Connectors() {
  const { t, tn, language } = useI18n();
  const [words, search] = useParameter("words");
  const [kind, choose] = useParameter("kind");
  return (
    <>
      <PageTitle title={t("connectors.title")} />
      <Loaded query={useConnectors()}>
        {({ items }) => {
          const found = items.filter((one) => (!kind || one.kind === kind) && answersTo(one, words, language)).sort((a, b) => a.name.localeCompare(b.name, language));
          const builtIn = BUILT_IN.filter((key) => (!kind || kind === "plumbing") && answersTo({ key, name: t(`connectors.${key}`), about: { [language]: t(`connectors.${key}_about`) } }, words, language));
          return (
            <>
              <div className={css.filters}>
                <TextInput type="search" size="xs" className={css.search ?? ""} aria-label={t("connectors.search")} placeholder={t("connectors.search")} value={words} onChange={(event) => search(event.currentTarget.value)} />
                <div role="group" aria-label={t("connectors.kind")} className={css.kinds}>
                  {["", ...KINDS.filter((one) => items.some((item) => item.kind === one))].map((one) => (
                    <button key={one} type="button" aria-pressed={kind === one} onClick={() => choose(one)}>
                      {one ? t(`connectors.kind_${one as (typeof KINDS)[number]}`) : t("common.all")}
                    </button>
                  ))}
                </div>
              </div>
              <p role="status" className="small muted">
                {tn("connectors.found", found.length + builtIn.length)}
              </p>
              {found.length + builtIn.length === 0 ? (
                <Empty title={t("connectors.none")} hint={t("connectors.none_hint")}>
                  <Link href="/connectors/webhook">{t("connectors.webhook")}</Link>
                </Empty>
              ) : (
                <ul className={css.cards}>
                  {builtIn.map((key) => (
                    <li key={key}>
                      <Link href={`/connectors/${key}`} className={`panel ${css.card}`}>
                        <span className={css.name}>
                          <b>{t(`connectors.${key}`)}</b>
                          <span className="small muted">{t("connectors.kind_plumbing")}</span>
                        </span>
                        <span className="small">{t(`connectors.${key}_about`)}</span>
                      </Link>
                    </li>
                  ))}
                  {found.map((one) => (
                    <li key={one.key}>
                      <Card connector={one} />
                    </li>
                  ))}
                </ul>
              )}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Card({ connector }: { connector: Connector }) {
  const { t, language } = useI18n();
  return (
    <Link href={`/connectors/${encodeURIComponent(connector.key)}`} className={`panel ${css.card}`}>
      <span className={css.name}>
        <img src={iconOf(connector.icon ?? "")} alt="" width="28" height="28" />
        <b>{connector.name}</b>
        <span className="small muted">{t(`connectors.kind_${connector.kind as (typeof KINDS)[number]}`)}</span>
      </span>
      <span className="small">{connector.about[language]}</span>
      <span className={css.facts}>
        <Facts connector={connector} />
      </span>
    </Link>
  );
}

/** In short: by which channels, how it was checked, how people come out again, and whether it is told of consent. */
function Facts({ connector }: { connector: Connector }) {
  const { t } = useI18n();
  const channelName = useChannelName();
  const { channels = [], removal, consent } = connector;
  const { mode } = removal as { mode: "row" | "replace_file" | "expiry" | "none" };
  const told = Object.keys((consent as { fields?: object }).fields ?? {}).length > 0;
  return [
    ...(channels.length > 0 ? channels.map(channelName) : [t("connectors.every_channel")]),
    t(`connectors.by_${strongest(connector)}`),
    t(`connectors.removal_${mode}`),
    t(told ? "connectors.consent_told" : "connectors.consent_untold"),
    ...(connector.own ? [t("connectors.own")] : []),
  ].map((fact) => (
    <span key={fact} className={css.fact}>
      {fact}
    </span>
  ));
}
