/** `localStorage` where the browser has it; else this page's memory, so that the tag still works until the page is left. */
const memory = new Map<string, string>();

export const PREFIX = "jumelle.";

export function read(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

export function write(key: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
    memory.delete(key);
  } catch {
    memory.set(key, value);
  }
}

export function remove(key: string): void {
  memory.delete(key);
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // It was in memory alone.
  }
}

/** Keys that begin so, in their order. */
export function keys(start: string): string[] {
  let found = [...memory.keys()];
  try {
    found = found.concat(Object.keys(localStorage).flatMap((key) => (key.startsWith(PREFIX) ? [key.slice(PREFIX.length)] : [])));
  } catch {
    // Memory alone.
  }
  return found.filter((key) => key.startsWith(start)).sort();
}

/** 96 random bits; `crypto.randomUUID` is not there on pages without TLS. */
export const random = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
