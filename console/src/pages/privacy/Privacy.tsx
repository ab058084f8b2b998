import { Link, useLocation } from "wouter";
import { PageTitle } from "../../components/PageTitle";
import { useI18n, type TextKey } from "../../i18n";
import { Consents } from "./Consents";
import { Policies } from "./Policies";
import css from "./Privacy.module.css";
import { Proof } from "./Proof";
import { Reductions } from "./Reductions";
import { Requests } from "./Requests";
import { Retention } from "./Retention";
import { Tools } from "./Tools";

const PARTS: { path: string; label: TextKey; page: () => React.ReactNode }[] = [
  { path: "/privacy", label: "privacy.consents", page: Consents },
  { path: "/privacy/tools", label: "privacy.tools", page: Tools },
  { path: "/privacy/retention", label: "privacy.retention", page: Retention },
  { path: "/privacy/requests", label: "privacy.requests", page: Requests },
  { path: "/privacy/proof", label: "privacy.proof", page: Proof },
  { path: "/privacy/reductions", label: "privacy.reductions", page: Reductions },
  { path: "/privacy/policies", label: "privacy.policies", page: Policies },
];

/** What whoever watches over consent looks at. */
export default function Privacy() {
  const { t } = useI18n();
  const [path] = useLocation();
  const part = PARTS.find((one) => one.path === path) ?? PARTS[0]!;
  const Page = part.page;
  return (
    <>
      <PageTitle title={part.path === "/privacy" ? t("privacy.title") : `${t("privacy.title")} · ${t(part.label)}`} />
      <nav className={css.tabs} aria-label={t("privacy.title")}>
        {PARTS.map(({ path: to, label }) => (
          <Link key={to} href={to} aria-current={to === part.path ? "page" : undefined}>
            {t(label)}
          </Link>
        ))}
      </nav>
      <div className={css.stack}>
        <Page />
      </div>
    </>
  );
}
