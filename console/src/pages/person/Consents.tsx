import type { Schemas } from "../../api/client";
import { useOpened } from "../../api/paging";
import { ConsentSign, ConsentState, useChannelName } from "../../components/ConsentState";
import { CopyButton } from "../../components/CopyButton";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { Panel } from "../../components/PageTitle";
import { Sheet } from "../../components/Sheet";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { matrix, type Cell } from "./consents";
import css from "./Person.module.css";
import { usePolicy } from "./queries";

type Consent = Schemas["Consent"];

/** Choices per purpose × channel. Each leads to its proof. */
export function ConsentMatrix({ consents }: { consents: Consent[] }) {
  const { t } = useI18n();
  const { purposes, channels } = usePolicy();
  const channelName = useChannelName();
  const { id, open } = useOpened("consent");
  const basis = new Map(purposes.map((purpose) => [purpose.key, purpose.basis]));
  const { purposes: columns, rows } = matrix(consents, [...basis.keys()], channels);
  const shown = consents.find(({ receipt }) => receipt === id);
  return (
    <Panel title={t("person.consents")}>
      {columns.length === 0 || rows.length === 0 ? (
        <p className={css.nothing}>{t("person.no_purposes")}</p>
      ) : (
        <div className="scroll-x">
          <table className={css.matrix}>
            <thead>
              <tr>
                <td />
                {columns.map((purpose) => (
                  <th key={purpose} scope="col">
                    {purpose}
                    <span className={css.basis}>{basisWords(basis.get(purpose), t)}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ channel, cells }) => (
                <tr key={channel ?? ""}>
                  <th scope="row">{channelName(channel)}</th>
                  {cells.map((cell) => (
                    <td key={cell.purpose}>
                      <Choices cell={cell} open={open} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Sheet opened={shown !== undefined} close={() => open(null)} title={t("person.proof")}>
        {shown && <Proof consent={shown} />}
      </Sheet>
    </Panel>
  );
}

function basisWords(basis: string | undefined, t: ReturnType<typeof useI18n>["t"]): string {
  if (basis === "consent" || basis === "contract" || basis === "legitimate_interest") return t(`person.basis_${basis}`);
  return basis ?? t("person.basis_undeclared");
}

function Choices({ cell, open }: { cell: Cell; open: (id: string) => void }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  if (cell.choices.length === 0) {
    return (
      <span className={css.unknown} title={t("consent.unknown")}>
        <ConsentSign state="unknown" />
        <span className={css.spoken}>{t("consent.unknown")}</span>
      </span>
    );
  }
  return cell.choices.map((choice) => {
    const whom = wordsFor(choice, t);
    const words = `${t(`consent.${choice.state}`)}, ${choice.purpose}, ${channelName(choice.channel)}, ${whom}, ${t("person.since")} ${format.date(choice.since)}`;
    return (
      <button key={choice.receipt} type="button" className={`${css.choice} ${cell.inherited ? css.inherited : ""}`} title={words} aria-label={`${words}. ${t("person.see_proof")}`} onClick={() => open(choice.receipt)}>
        <ConsentSign state={choice.state} />
      </button>
    );
  });
}

const wordsFor = ({ for: whom }: Consent, t: ReturnType<typeof useI18n>["t"]) =>
  typeof whom === "string"
    ? t("person.for_person")
    : Object.entries(whom)
        .map(([namespace, value]) => `${namespace} ${value}`)
        .join(", ");

function Proof({ consent }: { consent: Consent }) {
  const { t } = useI18n();
  const channelName = useChannelName();
  return (
    <>
      <dl className={css.facts}>
        <dt>{t("person.choice")}</dt>
        <dd>
          <ConsentState state={consent.state} />
        </dd>
        <dt>{t("person.purpose")}</dt>
        <dd>{consent.purpose}</dd>
        <dt>{t("person.channel")}</dt>
        <dd>{channelName(consent.channel)}</dd>
        <dt>{t("person.given_for")}</dt>
        <dd>{wordsFor(consent, t)}</dd>
        <dt>{t("person.since")}</dt>
        <dd>
          <Instant at={consent.since} />
        </dd>
        <dt>{t("person.source")}</dt>
        <dd>
          <EyeBadge source={consent.source} />
        </dd>
        <dt>{t("person.receipt")}</dt>
        <dd className={css.machine}>{consent.receipt}</dd>
      </dl>
      {consent.weak && <p className="small muted">{t("person.weak")}</p>}
      <div className={css.line}>
        <h3>{t("person.proof_kept")}</h3>
        <CopyButton text={JSON.stringify(consent, null, 2)} />
      </div>
      {consent.proof === undefined || consent.proof === null ? <p className="muted">{t("person.no_proof")}</p> : <JsonView value={consent.proof} label={t("person.proof_kept")} />}
    </>
  );
}
