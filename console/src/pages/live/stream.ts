import { useCallback, useEffect, useRef, useState } from "react";
import { kept, Rate, ROWS_MAX } from "./buffer";
import type { Effect } from "./effect";

/** How many past entries are asked for at the start. */
const RECENT = 100;
/** The list is drawn this often at most, however many entries arrive: faster than that nobody reads. */
const DRAW_EVERY_MS = 150;
/** After the server closed the stream for good (it restarted, the session ended) it is opened again this much later. */
const REOPEN_MS = 3_000;
const RATE_WINDOW_MS = 5_000;

/** What the page knows of the stream. */
export interface Stream {
  /** Newest first, at most {@link ROWS_MAX}. */
  rows: readonly Effect[];
  state: "connecting" | "open" | "lost";
  paused: boolean;
  /** How many arrived during the pause. Those that the list would not keep anyway are counted and let go. */
  waiting: number;
  /** How many the server left out because this browser was too slow. */
  skipped: number;
  /** Entries per second. */
  rate: number;
  pause: (paused: boolean) => void;
}

/** Follows `GET /v1/live`. Bursts are put together and drawn at once; memory is bounded in every state. */
export function useStream(): Stream {
  const [rows, setRows] = useState<readonly Effect[]>([]);
  const [state, setState] = useState<Stream["state"]>("connecting");
  const [paused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [skipped, setSkipped] = useState(0);
  const [rate, setRate] = useState(0);
  const arrived = useRef<Effect[]>([]);
  const arrivedWhilePaused = useRef(0);
  const isPaused = useRef(false);

  useEffect(() => {
    let source: EventSource | null = null;
    let reopen: ReturnType<typeof setTimeout> | undefined;
    let frame = 0;
    let drawnAt = 0;
    let sinceDrawn = 0;
    let skippedSoFar = 0;
    // What the server tells of the past is no rate.
    let openedAt = 0;
    const measured = new Rate(RATE_WINDOW_MS);

    const draw = (now: number) => {
      frame = requestAnimationFrame(draw);
      if (now - drawnAt < DRAW_EVERY_MS) return;
      drawnAt = now;
      if (sinceDrawn > 0 && performance.now() - openedAt > 500) measured.add(now, sinceDrawn);
      sinceDrawn = 0;
      setRate(Math.round(measured.at(now) * 10) / 10);
      setSkipped(skippedSoFar);
      if (isPaused.current) {
        setWaiting(arrivedWhilePaused.current);
      } else if (arrived.current.length > 0) {
        const batch = arrived.current;
        arrived.current = [];
        setRows((before) => kept(before, batch));
      }
    };
    const open = () => {
      source = new EventSource(`/v1/live?recent=${RECENT}`);
      source.onopen = () => {
        openedAt = performance.now();
        setState("open");
      };
      source.onerror = () => {
        setState("lost");
        if (source?.readyState !== EventSource.CLOSED) return;
        source.close();
        reopen = setTimeout(open, REOPEN_MS);
      };
      source.addEventListener("effect", (event: MessageEvent<string>) => {
        sinceDrawn += 1;
        arrived.current.push(JSON.parse(event.data) as Effect);
        if (isPaused.current) arrivedWhilePaused.current += 1;
        // A hidden tab draws no frames: what would not be kept is let go at once. In halves, so that it costs little.
        if (arrived.current.length > 2 * ROWS_MAX) arrived.current = arrived.current.slice(-ROWS_MAX);
      });
      source.addEventListener("skipped", (event: MessageEvent<string>) => {
        skippedSoFar += (JSON.parse(event.data) as { count: number }).count;
      });
    };
    open();
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(reopen);
      source?.close();
    };
  }, []);

  const pause = useCallback((next: boolean) => {
    isPaused.current = next;
    arrivedWhilePaused.current = 0;
    setWaiting(0);
    setPaused(next);
  }, []);
  return { rows, state, paused, waiting, skipped, rate, pause };
}
