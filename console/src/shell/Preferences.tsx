import { ActionIcon, Popover, SegmentedControl, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { IconAdjustmentsHorizontal, IconLogout } from "@tabler/icons-react";
import { LANGUAGES, useI18n, type Language } from "../i18n";
import { useSession, useSignOut } from "./session";
import css from "./Shell.module.css";

const NAMES: Record<Language, string> = { fr: "Français", en: "English" };

/** Chooses the language; the choice stays in this browser. */
export function LanguageSwitch() {
  const { t, language, setLanguage } = useI18n();
  return (
    <SegmentedControl
      size="xs"
      fullWidth
      aria-label={t("app.language")}
      value={language}
      onChange={(chosen) => setLanguage(chosen as Language)}
      data={LANGUAGES.map((value) => ({ value, label: NAMES[value] }))}
    />
  );
}

/** Language, light or dark, and the way out. */
export function Preferences() {
  const { t } = useI18n();
  const { version, workspace } = useSession();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const signOut = useSignOut();
  return (
    <Popover position="bottom-end" width={260} trapFocus returnFocus withRoles>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("app.preferences")} className={css.preferences}>
          <IconAdjustmentsHorizontal size={18} stroke={1.7} />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("app.preferences")}>
        <div className={css.preference}>
          <div className="small muted">{t("app.language")}</div>
          <LanguageSwitch />
          <div className="small muted">{t("app.scheme")}</div>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-label={t("app.scheme")}
            value={colorScheme}
            onChange={(chosen) => setColorScheme(chosen as MantineColorScheme)}
            data={[
              { value: "auto", label: t("app.scheme_auto") },
              { value: "light", label: t("app.scheme_light") },
              { value: "dark", label: t("app.scheme_dark") },
            ]}
          />
          <button type="button" className={css.out} onClick={signOut}>
            <IconLogout size={16} stroke={1.7} aria-hidden /> {t("app.sign_out")}
          </button>
          <div className="small muted">
            {t("app.version", { version })} · {workspace.timezone}
          </div>
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}
