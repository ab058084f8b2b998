import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";

const EVERY_MS = 60_000;
/** How often a count that is under way is asked for. */
const COUNTING_MS = 2_000;

export type Oversight = Schemas["ConsentOversight"];
export type Census = Schemas["Census"];

export const CONSENTS_KEY = ["privacy", "consents"];

/** The count of consents. The server keeps it for a quarter of an hour; `fresh` counts anew. */
export const askConsents = (fresh: boolean, signal?: AbortSignal) =>
  unwrap(api.GET("/v1/privacy/consents", { params: { query: fresh ? { fresh: "true" } : {} }, ...(signal ? { signal } : {}) }));

/** As {@link askConsents}, kept fresh while somebody looks. */
export const useConsents = () =>
  useQuery({
    queryKey: CONSENTS_KEY,
    queryFn: ({ signal }) => askConsents(false, signal),
    refetchInterval: ({ state }) => (state.data?.counting ? COUNTING_MS : EVERY_MS),
  });

export const RETENTION_KEY = ["privacy", "retention"];

/** Clocks of people who do nothing; `fresh` counts anew. */
export const askRetention = (fresh: boolean, signal?: AbortSignal) =>
  unwrap(api.GET("/v1/privacy/retention", { params: { query: fresh ? { fresh: "true" } : {} }, ...(signal ? { signal } : {}) }));

/** As {@link askRetention}, kept fresh while somebody looks. */
export const useRetention = () =>
  useQuery({
    queryKey: RETENTION_KEY,
    queryFn: ({ signal }) => askRetention(false, signal),
    refetchInterval: ({ state }) => (state.data?.counting ? COUNTING_MS : EVERY_MS),
  });

/** Removals, drift and what was held back. */
export const useTools = () =>
  useQuery({
    queryKey: ["privacy", "tools"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/tools", { signal })),
    refetchInterval: EVERY_MS,
  });
