import { Button, PasswordInput, SegmentedControl, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { useI18n } from "../../i18n";
import { mayDeclareDestinations } from "../../shell/access";
import { useSession } from "../../shell/session";
import css from "./Connectors.module.css";

/** A secret, which is never kept here: the name of a variable of the server's environment, or a text that is sealed at once and
 *  forgotten. */
export function SecretField({ name, label, required, destination, problem, set }: { name: string; label: string; required: boolean; destination: string; problem: string | null; set: (value: unknown) => void }) {
  const { t } = useI18n();
  const { role } = useSession();
  const [way, choose] = useState<"env" | "seal">("env");
  const [variable, say] = useState("");
  const [plain, type] = useState("");
  const seal = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/secrets/seal", { body: { destination, secret: plain } })),
    onSuccess: ({ sealed }) => {
      type("");
      set({ sealed });
    },
  });
  const [sealedFor, remember] = useState("");
  const stale = seal.isSuccess && sealedFor !== destination;
  return (
    <fieldset className={css.secret}>
      <legend>
        {label}
        {required && " *"}
      </legend>
      {mayDeclareDestinations(role) && (
        <SegmentedControl
          size="xs"
          aria-label={label}
          value={way}
          onChange={(next) => (choose(next as "env" | "seal"), set(undefined), seal.reset(), say(""))}
          data={[
            { value: "env", label: t("setup.secret_env") },
            { value: "seal", label: t("setup.secret_seal") },
          ]}
        />
      )}
      {way === "env" ? (
        <TextInput
          aria-label={t("setup.secret_variable", { name: label })}
          description={t("setup.secret_env_hint")}
          placeholder={`${destination}_${name}`.toUpperCase()}
          value={variable}
          error={problem}
          onChange={(event) => {
            const next = event.currentTarget.value.trim();
            say(next);
            set(next ? { env: next } : undefined);
          }}
        />
      ) : (
        <>
          <PasswordInput aria-label={label} description={t("setup.secret_seal_hint")} autoComplete="off" value={plain} error={problem ?? seal.error?.message} onChange={(event) => type(event.currentTarget.value)} />
          <div>
            <Button size="xs" variant="default" disabled={!plain || !destination} loading={seal.isPending} onClick={() => (remember(destination), seal.mutate())}>
              {t("setup.seal")}
            </Button>{" "}
            <span role="status" className="small muted">
              {seal.isSuccess && t(stale ? "setup.sealed_stale" : "setup.sealed")}
            </span>
          </div>
        </>
      )}
    </fieldset>
  );
}
