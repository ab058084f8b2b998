import { useSearchParams } from "wouter";

/** How many rows a page of a list has. */
export const PAGE_ROWS = 50;

/** Where in a list the page stands. The cursor is in the address, so a link leads to the same rows and "back" to those before. */
export interface Paging {
  /** What to give the server, `undefined` for the first page. */
  cursor: string | undefined;
  /** Goes to the page that begins at a cursor; `null` goes to the first one. */
  go: (cursor: string | null) => void;
}

/** The cursor of a list in the address, under `name` (two lists on a page need two names). */
export function useCursor(name = "cursor"): Paging {
  const [parameters, setParameters] = useSearchParams();
  return {
    cursor: parameters.get(name) ?? undefined,
    go: (cursor) =>
      setParameters((before) => {
        const after = new URLSearchParams(before);
        if (cursor) after.set(name, cursor);
        else after.delete(name);
        return after;
      }),
  };
}

/** One value of the address, such as a filter; setting it to the empty text removes it and leaves any page behind. */
export function useParameter(name: string, fallback = ""): [string, (value: string) => void] {
  const [parameters, setParameters] = useSearchParams();
  return [
    parameters.get(name) ?? fallback,
    (value) =>
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          if (value && value !== fallback) after.set(name, value);
          else after.delete(name);
          after.delete("cursor");
          return after;
        },
        { replace: true },
      ),
  ];
}
