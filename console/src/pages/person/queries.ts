import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, unwrap } from "../../api/client";
import { useI18n } from "../../i18n";

/** How often an open page of a person is asked for again. */
const EVERY_MS = 10_000;
/** Events of one step back on the time line. */
export const EVENTS_STEP = 50;
/** Steps that a page keeps: 1,000 events. Who needs more exports them. */
export const STEPS_MAX = 20;
/** Deliveries of one page of their list. */
const DELIVERIES_MAX = 200;

const path = (id: string) => ({ path: { id } });

/** A person's profile. */
export const useProfile = (id: string) =>
  useQuery({
    queryKey: ["person", id],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}", { params: path(id), signal })),
    refetchInterval: ({ state }) => (state.error ? false : EVERY_MS),
  });

/** Why each segment and each decision of the gate stands, in the reader's language. */
export function useExplanation(id: string) {
  const { language } = useI18n();
  return useQuery({
    queryKey: ["person", id, "explain", language],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}/explain", { params: { ...path(id), query: { lang: language } }, signal })),
    refetchInterval: EVERY_MS,
  });
}

/** How a person's identifiers came together. */
export const useJoins = (id: string) => useQuery({ queryKey: ["person", id, "joins"], queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}/joins", { params: path(id), signal })) });

/** A person's entries into segments and exits from them. */
export const useTransitions = (id: string) =>
  useQuery({ queryKey: ["person", id, "segments"], queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}/segments", { params: path(id), signal })), refetchInterval: EVERY_MS });

/** What was sent to tools about a person, or held back. */
export const useDeliveries = (id: string, cursor?: string) =>
  useQuery({
    queryKey: ["person", id, "deliveries", cursor],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles/{id}/deliveries", { params: { ...path(id), query: { limit: String(DELIVERIES_MAX), ...(cursor ? { cursor } : {}) } }, signal })),
    refetchInterval: EVERY_MS,
  });

/** A person's events, step by step into the past. */
export const useEvents = (id: string) =>
  useInfiniteQuery({
    queryKey: ["person", id, "events"],
    queryFn: ({ signal, pageParam }) => unwrap(api.GET("/v1/profiles/{id}/events", { params: { ...path(id), query: { limit: String(EVENTS_STEP), ...(pageParam ? { cursor: pageParam } : {}) } }, signal })),
    initialPageParam: "",
    getNextPageParam: (last) => last.next ?? undefined,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 1 ? false : EVERY_MS),
  });

/** The declared purposes with their legal basis, and the channels that an activation uses. */
export function usePolicy(): { purposes: { key: string; basis: string }[]; channels: string[] } {
  const collection = (name: "purposes" | "activations") => ({
    queryKey: ["definitions", name],
    queryFn: ({ signal }: { signal: AbortSignal }) => unwrap(api.GET("/v1/{collection}", { params: { path: { collection: name } }, signal })),
    staleTime: 60_000,
  });
  const purposes = useQuery(collection("purposes")).data?.items ?? [];
  const activations = useQuery(collection("activations")).data?.items ?? [];
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return {
    purposes: purposes.map(({ key, definition }) => ({ key, basis: text(definition.basis) || "consent" })),
    channels: [...new Set(activations.map(({ definition }) => text(definition.channel)).filter(Boolean))],
  };
}
