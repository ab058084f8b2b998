import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

/** The shapes that the server answers with, from its OpenAPI description. */
export type Schemas = components["schemas"];

/** The server's refusal, as RFC 9457 describes it; `status` 0 means that it did not answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly field?: string,
    readonly rule?: string,
  ) {
    super(detail);
    this.name = "ApiError";
  }
}

/** Told whenever the server answers 401: the session is over. */
export const sessionEnded = new EventTarget();

const session: Middleware = {
  onRequest({ request }) {
    // With a cookie, a call that changes something must come from our own script; a form on another site cannot set this.
    if (request.method !== "GET") request.headers.set("x-jumelle-console", "1");
    return request;
  },
  onResponse({ request, response }) {
    if (response.status === 401 && !request.url.endsWith("/v1/session")) sessionEnded.dispatchEvent(new Event("ended"));
    return response;
  },
};

/** The typed client of the API, same origin. */
export const api = createClient<paths>({ baseUrl: location.origin, credentials: "same-origin" });
api.use(session);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer's data, or an {@link ApiError} that says why there is none. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, error instanceof Error ? error.message : String(error));
  }
  if (!answer.response.ok) {
    const problem = (typeof answer.error === "object" && answer.error ? answer.error : {}) as Partial<Schemas["Problem"]>;
    throw new ApiError(answer.response.status, problem.detail ?? problem.title ?? answer.response.statusText, problem.field, problem.rule);
  }
  return answer.data as T;
}
