import type { Schemas } from "../../api/client";

type Consent = Schemas["Consent"];

/** A cell of the matrix: the choices made for exactly this purpose and channel, or those for every channel of the purpose. */
export interface Cell {
  purpose: string;
  channel: string | null;
  choices: Consent[];
  /** The choices were made for every channel, and stand here because none was made for this one. */
  inherited: boolean;
}

/** Purposes across, channels down. The row of `null` (every channel) is there only when a choice was made so. */
export interface Matrix {
  purposes: string[];
  rows: { channel: string | null; cells: Cell[] }[];
}

/** Lays choices out as purpose × channel. `purposes` are the declared ones, `channels` those that something may be sent by;
 *  others are added when there is a choice for them. */
export function matrix(consents: Consent[], purposes: string[], channels: string[]): Matrix {
  const columns = [...new Set([...purposes, ...consents.map(({ purpose }) => purpose)])];
  const named = [...new Set([...channels, ...consents.flatMap(({ channel }) => (channel === null ? [] : [channel]))])].sort();
  const everyChannel = consents.some(({ channel }) => channel === null);
  const rows = [...(everyChannel ? [null] : []), ...named].map((channel) => ({
    channel,
    cells: columns.map((purpose): Cell => {
      const of = (wanted: string | null) => consents.filter((one) => one.purpose === purpose && one.channel === wanted);
      const exact = of(channel);
      return exact.length > 0 || channel === null ? { purpose, channel, choices: exact, inherited: false } : { purpose, channel, choices: of(null), inherited: true };
    }),
  }));
  return { purposes: columns, rows };
}
