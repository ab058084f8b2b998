import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, unwrap } from "../../api/client";
import { useParameter } from "../../api/paging";
import { ConsentState, useChannelName } from "../../components/ConsentState";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Empty, Failure, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { chosenOf, sentOf, type Entry } from "./proof";
import css from "./Privacy.module.css";
import { usePurposeName } from "./Consents";

/** Rows of each list that are shown; the files have all. */
const SHOWN = 100;

/** What one person chose and what was sent under it, as the ledger has it, with the files that prove it. */
export function Proof() {
  const { t } = useI18n();
  const [identifier, setIdentifier] = useParameter("identifier");
  const [words, setWords] = useState(identifier);
  return (
    <>
      <form
        role="search"
        aria-label={t("privacy.find_proof")}
        className={css.search}
        onSubmit={(event) => {
          event.preventDefault();
          setIdentifier(words.trim());
        }}
      >
        <TextInput label={t("privacy.find_proof")} placeholder="email:ana@example.org" value={words} onChange={(event) => setWords(event.currentTarget.value)} />
        <Button type="submit">{t("privacy.find_go")}</Button>
      </form>
      {identifier ? <Found identifier={identifier} /> : <Empty title={t("privacy.proof_empty")} hint={t("privacy.proof_hint")} />}
      <Ledger />
    </>
  );
}

function Found({ identifier }: { identifier: string }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const purposeName = usePurposeName();
  const proof = useQuery({
    queryKey: ["privacy", "proof", identifier],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/proof", { params: { query: { identifier } }, signal })),
    retry: false,
  });
  const file = (form: string) => `/v1/privacy/proof?identifier=${encodeURIComponent(identifier)}&${form}`;
  const place = (entry: Entry | null) => (entry ? `${entry.day} · ${format.number(entry.index)}` : "–");
  return (
    <Loaded query={proof}>
      {(data) => {
        const [choices, sent] = [chosenOf(data), sentOf(data)];
        return (
          <>
            <Panel title={identifier} aside={data.profiles[0] && <Link href={`/people/${encodeURIComponent(data.profiles[0])}`}>{t("person.one")}</Link>}>
              <div className="body">
                <div className={css.downloads}>
                  <a href={file("format=json")} download="proof.json">
                    {t("privacy.get_json")}
                  </a>
                  <a href={file("format=pdf&lang=fr")} download="preuve.pdf" hrefLang="fr">
                    {t("privacy.get_pdf_fr")}
                  </a>
                  <a href={file("format=pdf&lang=en")} download="proof.pdf" hrefLang="en">
                    {t("privacy.get_pdf_en")}
                  </a>
                </div>
                <p className="small muted">{t("privacy.proof_of", { entries: format.number(data.entries.length), days: format.number(Object.keys(data.roots).length) })}</p>
                {data.truncated && <p className={css.late}>{t("privacy.truncated")}</p>}
              </div>
            </Panel>
            <Panel title={t("privacy.chosen")}>
              {choices.length === 0 ? (
                <p className="body muted">{t("privacy.nothing_chosen")}</p>
              ) : (
                <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.chosen")}>
                  <table className={`rows ${css.wide}`}>
                    <thead>
                      <tr>
                        <th scope="col">{t("privacy.when")}</th>
                        <th scope="col">{t("person.purpose")}</th>
                        <th scope="col">{t("person.choice")}</th>
                        <th scope="col">{t("person.given_for")}</th>
                        <th scope="col">{t("privacy.shown")}</th>
                        <th scope="col">{t("privacy.entry")}</th>
                      </tr>
                    </thead>
                    <tbody>
                      {choices.slice(-SHOWN).map((choice, n) => (
                        <tr key={n}>
                          <td>
                            <Instant at={choice.at} />
                          </td>
                          <td>
                            {purposeName(choice.purpose)} · {channelName(choice.channel)}
                          </td>
                          <td>
                            <ConsentState state={choice.state} />
                          </td>
                          <td>{choice.address ?? t("privacy.whole_person")}</td>
                          <td>
                            {choice.shown.map((line) => (
                              <div key={line}>{line}</div>
                            ))}
                            <div className="small muted">{choice.source}</div>
                          </td>
                          <td className="small muted">{place(choice.entry)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
            </Panel>
            <Panel title={t("privacy.sent")}>
              {sent.length === 0 ? (
                <p className="body muted">{t("privacy.nothing_sent")}</p>
              ) : (
                <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.sent")}>
                  <table className={`rows ${css.wide}`}>
                    <thead>
                      <tr>
                        <th scope="col">{t("privacy.when")}</th>
                        <th scope="col">{t("privacy.tool")}</th>
                        <th scope="col">{t("person.purpose")}</th>
                        <th scope="col">{t("privacy.content")}</th>
                        <th scope="col">{t("privacy.under")}</th>
                        <th scope="col">{t("privacy.entry")}</th>
                      </tr>
                    </thead>
                    <tbody>
                      {sent.slice(-SHOWN).map((message, n) => (
                        <tr key={n}>
                          <td>
                            <Instant at={message.at} />
                          </td>
                          <td>{message.destination}</td>
                          <td>
                            {message.purpose} · {channelName(message.channel)}
                          </td>
                          <td>
                            {message.content.map((line) => (
                              <div key={line}>{line}</div>
                            ))}
                          </td>
                          <td>{message.takesBack ? t("privacy.takes_back") : message.basis ? t("privacy.basis", { basis: message.basis }) : t("privacy.under_choice", { entry: place(message.choice) })}</td>
                          <td className="small muted">{place(message.entry)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
            </Panel>
          </>
        );
      }}
    </Loaded>
  );
}

/** The ledger as a whole: its last roots, and a search for anything that was changed. */
function Ledger() {
  const { t, tn } = useI18n();
  const format = useFormat();
  const roots = useQuery({ queryKey: ["privacy", "roots"], queryFn: ({ signal }) => unwrap(api.GET("/v1/ledger/roots", { signal })) });
  const verify = useMutation({ mutationFn: () => unwrap(api.POST("/v1/ledger/verify", { body: {} })) });
  const found = verify.data;
  return (
    <Panel
      title={t("privacy.ledger")}
      aside={
        <Button size="xs" variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
          {t("privacy.verify")}
        </Button>
      }
    >
      <div className="body">
        {verify.error && <Failure error={verify.error} />}
        {found && (
          <p role="status" className={found.problem_count === 0 ? css.good : css.late}>
            {found.problem_count === 0 ? t("privacy.verified", { entries: format.number(found.entries), days: format.number(found.days), erased: format.number(found.erased) }) : tn("privacy.problems_n", found.problem_count)}
          </p>
        )}
        {found?.problems.map(({ file, what }) => (
          <p key={`${file} ${what}`} className="small">
            {file}: {what}
          </p>
        ))}
        <Loaded query={roots}>
          {({ items }) => (
            <ul className={css.list}>
              {items.slice(-5).map((root) => (
                <li key={root.day}>
                  <b>{root.day}</b> <span className="small muted">{tn("privacy.entries_n", root.size)} · {root.closed ? (root.signature ? t("privacy.signed") : t("privacy.unsigned")) : t("privacy.day_open")}</span>
                  <div className={css.hash}>{root.root}</div>
                </li>
              ))}
            </ul>
          )}
        </Loaded>
      </div>
    </Panel>
  );
}
