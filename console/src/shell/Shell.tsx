import { TextInput } from "@mantine/core";
import { IconActivityHeartbeat, IconAlertTriangle, IconApps, IconHome, IconPlugConnected, IconSearch, IconSend, IconShieldCheck, IconStethoscope, IconUsers, IconUsersGroup, type Icon } from "@tabler/icons-react";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { useOverview } from "../api/overview";
import { useFormat } from "../format";
import { useI18n, type TextKey } from "../i18n";
import { homeOf, mayOpen } from "./access";
import { isTyping } from "./keys";
import { Mark } from "./Mark";
import { Preferences } from "./Preferences";
import { useSession } from "./session";
import css from "./Shell.module.css";

const PAGES: { path: string; label: TextKey; icon: Icon }[] = [
  { path: "/", label: "app.home", icon: IconHome },
  { path: "/live", label: "app.live", icon: IconActivityHeartbeat },
  { path: "/people", label: "app.people", icon: IconUsers },
  { path: "/segments", label: "app.segments", icon: IconUsersGroup },
  { path: "/destinations", label: "app.destinations", icon: IconPlugConnected },
  { path: "/connectors", label: "app.connectors", icon: IconApps },
  { path: "/deliveries", label: "app.deliveries", icon: IconSend },
  { path: "/privacy", label: "app.privacy", icon: IconShieldCheck },
  { path: "/quarantine", label: "app.quarantine", icon: IconAlertTriangle },
  { path: "/health", label: "app.health", icon: IconStethoscope },
];

/** What stands around every page: the way between pages, the search, the preferences. */
export function Shell({ children }: { children: ReactNode }) {
  const { t } = useI18n();
  const [path] = useLocation();
  const { workspace, role } = useSession();
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  const ways = useRef<HTMLUListElement>(null);
  useEffect(() => {
    // On a telephone the ways between pages are wider than the screen.
    ways.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [path, role]);
  useEffect(() => {
    // After a change of page a screen reader and the tab key go on in the new page, not at the link that was left.
    const [from, to] = [before.current.split("/")[1], path.split("/")[1]];
    before.current = path;
    if (from === to) return;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path]);
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#content" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        {t("app.skip")}
      </a>
      <header className={css.top}>
        <Link href={homeOf(role)} className={css.brand} aria-label="Jumelle">
          <Mark size={26} /> <span>Jumelle</span>
        </Link>
        <span className={css.workspace}>{workspace.key}</span>
        {mayOpen(role, "/people") ? <Search /> : <span className={css.search} />}
        <Preferences />
      </header>
      <nav className={css.nav} aria-label={t("app.navigation")}>
        <ul ref={ways}>
          {PAGES.filter((page) => mayOpen(role, page.path)).map(({ path: to, label, icon: Sign }) => (
            <li key={to}>
              <Link href={to} aria-current={(to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`)) ? "page" : undefined}>
                <Sign size={18} stroke={1.7} aria-hidden />
                <span>{t(label)}</span>
                {to === "/quarantine" && <QuarantineCount />}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <main id="content" ref={main} tabIndex={-1} className={css.main}>
        {children}
      </main>
    </div>
  );
}

function QuarantineCount() {
  const format = useFormat();
  const count = useOverview().data?.quarantine ?? 0;
  return count > 0 ? <b className={css.count}>{format.compact(count)}</b> : null;
}

/** Finds a person from any page; `/` jumps to it. */
function Search() {
  const { t } = useI18n();
  const [path, navigate] = useLocation();
  const asked = new URLSearchParams(useSearch()).get("query") ?? "";
  const shown = path === "/people" ? asked : "";
  const [words, setWords] = useState(shown);
  const [followed, follow] = useState(shown);
  if (followed !== shown) {
    follow(shown);
    setWords(shown);
  }
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const jump = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    };
    window.addEventListener("keydown", jump);
    return () => window.removeEventListener("keydown", jump);
  }, []);
  return (
    <search className={css.search}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (words.trim()) navigate(`/people?query=${encodeURIComponent(words.trim())}`);
        }}
      >
        <TextInput
          ref={field}
          size="xs"
          type="search"
          aria-label={t("app.find")}
          aria-keyshortcuts="/"
          placeholder={t("app.find_hint")}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          leftSection={<IconSearch size={15} stroke={1.7} aria-hidden />}
          rightSection={<kbd className={css.key}>/</kbd>}
        />
      </form>
    </search>
  );
}
