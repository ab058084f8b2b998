import "./styles";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { I18nProvider } from "./i18n";
import { Pages } from "./pages";
import { SessionGate } from "./shell/session";
import { Shell } from "./shell/Shell";
import { theme } from "./theme";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refused it will refuse again; only silence and overload are worth another try.
      retry: (count, error) => count < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500 || error.status === 429),
      staleTime: 2_000,
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={queries}>
        <I18nProvider>
          <SessionGate>
            <Shell>
              <Pages />
            </Shell>
          </SessionGate>
        </I18nProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
