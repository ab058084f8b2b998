import { Button, PasswordInput } from "@mantine/core";
import { useState } from "react";
import { ApiError } from "../api/client";
import { useI18n } from "../i18n";
import { Mark } from "./Mark";
import { LanguageSwitch } from "./Preferences";
import css from "./SignIn.module.css";

interface Props {
  ended: boolean;
  busy: boolean;
  error: unknown;
  submit: (token: string) => void;
}

/** Asks for the admin token. */
export function SignIn({ ended, busy, error, submit }: Props) {
  const { t } = useI18n();
  const [token, setToken] = useState("");
  const words = !error ? null : error instanceof ApiError && error.status === 401 ? t("sign_in.refused") : error instanceof ApiError && error.status !== 0 ? error.detail : t("common.failed_network");
  return (
    <main className={css.page}>
      <title>{t("sign_in.title")}</title>
      <form
        className={css.card}
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim()) submit(token.trim());
        }}
      >
        <Mark />
        <h1>{t("sign_in.title")}</h1>
        {ended && <p role="status">{t("sign_in.out")}</p>}
        <PasswordInput
          label={t("sign_in.token")}
          description={t("sign_in.hint")}
          value={token}
          onChange={(event) => setToken(event.currentTarget.value)}
          error={words}
          autoComplete="current-password"
          data-autofocus
          autoFocus
          required
        />
        <Button type="submit" loading={busy}>
          {t("sign_in.submit")}
        </Button>
        <LanguageSwitch />
      </form>
    </main>
  );
}
