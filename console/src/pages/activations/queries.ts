import { useQuery } from "@tanstack/react-query";
import { api, unwrap } from "../../api/client";
import { definitionOf, isWhole, type Draft } from "./draft";

const STALE_MS = 60_000;

/** The definitions of a collection, by key. */
export const useDefinitions = (collection: "identifiers" | "purposes" | "traits" | "activations" | "destinations") =>
  useQuery({
    queryKey: ["definitions", collection, "whole"],
    queryFn: async ({ signal }) => {
      const { items } = await unwrap(api.GET("/v1/{collection}", { params: { path: { collection } }, signal }));
      return new Map(items.map(({ key, definition }) => [key, definition as Record<string, unknown>]));
    },
    staleTime: STALE_MS,
  });

/** Whom it would reach. */
export const useAudience = (draft: Draft) =>
  useQuery({
    queryKey: ["activations", "audience", draft],
    queryFn: ({ signal }) => unwrap(api.POST("/v1/activations/audience", { body: { activation: definitionOf(draft), ...(draft.key ? { key: draft.key } : {}) }, signal })),
    enabled: isWhole(draft),
    retry: false,
  });

/** What would leave for one person. */
export const useLook = (draft: Draft, profile: string) =>
  useQuery({
    queryKey: ["activations", "look", draft, profile],
    queryFn: ({ signal }) => unwrap(api.POST("/v1/activations/preview", { body: { activation: definitionOf(draft), ...(draft.key ? { key: draft.key } : {}), profile }, signal })),
    enabled: isWhole(draft) && profile !== "",
    retry: false,
  });
