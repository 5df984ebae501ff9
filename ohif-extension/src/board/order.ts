// What the board lists first: what is over, then what is due next, then what has no clock yet. Pure.
import type { Reader, Row } from '../live/wire';
import { holderOf, phaseOf } from '../state/second';
import { clockFace } from '../ui/time';

/** The open rows as the board lists them at one moment. */
export function listed(rows: Iterable<Row>, nowMs: number): Row[] {
  const left = (row: Row): number => clockFace(row.sla, nowMs)?.leftMs ?? Number.POSITIVE_INFINITY;
  return [...rows].sort((a, b) => {
    const by = left(a) - left(b);
    if (Number.isFinite(by) && by !== 0) return by;
    if (left(a) !== left(b)) return left(a) < left(b) ? -1 : 1;
    return a.study_uid < b.study_uid ? -1 : 1;
  });
}

const AWAKE: Record<Reader['presence'], number> = { reading: 0, online: 1, busy: 2, away: 3, off: 4 };

/** Readers as the board lists them: who is there first, then by name. */
export function lined(readers: Iterable<Reader>): Reader[] {
  return [...readers].sort((a, b) => AWAKE[a.presence] - AWAKE[b.presence] || a.name.localeCompare(b.name));
}

/** Who has the study, or what it waits for, in words. */
export function holder(row: Row, name: (id: string) => string): string {
  if (row.offer) return `offered to ${name(row.offer.radiologist_id)}`;
  const who = holderOf(row);
  const phase = phaseOf(row);
  if (who) return `${phase === 'reading' ? 'read by' : phase} ${name(who)}`;
  if (row.status === 'ordered') return 'no images yet';
  if (phase === 'unread' && !row.second_read && row.readiness.state !== 'ready') return 'images are coming';
  return phase === 'unread' ? 'no reader' : phase;
}

/** Whether a row answers a search: every word stands in its name, numbers, procedure or site. */
export function said(row: Row, words: string): boolean {
  if (!words.trim()) return true;
  const { patient } = row;
  const text = [
    patient?.name,
    patient?.mrn,
    row.accession_number,
    row.procedure,
    row.modality,
    row.site.name,
    row.priority,
  ]
    .join(' ')
    .toLowerCase();
  return words
    .toLowerCase()
    .trim()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
