// The runway: where each open study stands between "over" and "two hours left", in one lane a site. Pure.
import type { Row, Site } from '../live/wire';
import { type ClockFace, clockFace } from '../ui/time';

const MIN = 60_000;
/** What the runway shows, in milliseconds left: from 15 minutes over to 2 hours. */
export const FROM_MS = -15 * MIN;
export const TO_MS = 120 * MIN;
/** Lines in a lane; what does not fit is counted, never dropped in silence. */
const LINES = 4;
/** How near two marks may stand in one line, and how much room a mark with words takes, in percent. */
const GAP = 1.4;
const WORDS = 22;

/** One study on the runway. */
export interface Mark {
  row: Row;
  face: ClockFace;
  /** Where it stands, 0 to 100. */
  x: number;
  line: number;
  /** Whether it stands beyond the runway's left edge. */
  beyond: boolean;
}

/** A site's lane. */
export interface Lane {
  site: Site;
  open: number;
  over: number;
  marks: Mark[];
  /** Studies in this span for which there was no room. */
  more: number;
}

/** Where a time left stands on the runway, 0 to 100. */
export function place(leftMs: number): number {
  const x = ((leftMs - FROM_MS) / (TO_MS - FROM_MS)) * 100;
  return Math.min(100, Math.max(0, x));
}

/** Whether a mark carries words beside it: only what is over. */
export const named = (face: ClockFace): boolean => face.look === 'breached';

function laid(rows: Row[], nowMs: number): { marks: Mark[]; more: number } {
  const faces = rows
    .map((row) => ({ row, face: clockFace(row.sla, nowMs) }))
    .filter((it): it is { row: Row; face: ClockFace } => it.face !== null && it.face.leftMs <= TO_MS)
    .sort((a, b) => a.face.leftMs - b.face.leftMs);
  const ends: number[] = Array.from({ length: LINES }, () => Number.NEGATIVE_INFINITY);
  const marks: Mark[] = [];
  let more = 0;
  for (const { row, face } of faces) {
    const x = place(face.leftMs);
    const line = ends.findIndex((end) => end <= x);
    if (line < 0) {
      more += 1;
      continue;
    }
    ends[line] = x + (named(face) ? WORDS : GAP);
    marks.push({ row, face, x, line, beyond: face.leftMs < FROM_MS });
  }
  return { marks, more };
}

/** The lanes at one moment: the site with the least time left first. */
export function lanes(rows: Iterable<Row>, nowMs: number): Lane[] {
  const bySite = new Map<string, Row[]>();
  for (const row of rows) {
    const known = bySite.get(row.site.id);
    if (known) known.push(row);
    else bySite.set(row.site.id, [row]);
  }
  const all = [...bySite.values()].map((of) => ({
    site: (of[0] as Row).site,
    open: of.length,
    over: of.filter((row) => row.sla?.state === 'breached').length,
    ...laid(of, nowMs),
  }));
  return all.sort((a, b) => a.site.name.localeCompare(b.site.name));
}
