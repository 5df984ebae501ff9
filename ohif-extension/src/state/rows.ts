// The order of the worklist: which rows a view shows, under which heads, in which order. Pure.
import type { Row } from '../live/wire';
import { acuityLevel } from '../ui/pieces';
import { siteCode } from '../ui/site';
import { clockFace, shownName } from '../ui/time';
import { holderOf } from './second';

/** The saved views. */
export type ViewName = 'mine' | 'all' | 'stat' | 'drafts';
/** What rows are gathered by. */
export type GroupBy = 'clock' | 'site' | 'none';
/** A column that sorts. */
export type SortKey =
  | 'left'
  | 'priority'
  | 'acuity'
  | 'site'
  | 'patient'
  | 'age'
  | 'mrn'
  | 'study'
  | 'images'
  | 'priors'
  | 'reader';

/** What the reader asks to see. */
export interface Query {
  view: ViewName;
  text: string;
  sites: ReadonlySet<string>;
  modalities: ReadonlySet<string>;
  group: GroupBy;
  sort: SortKey;
  descending: boolean;
}

/** A head above rows. */
export interface Group {
  key: string;
  look: string;
  words: string;
  rows: Row[];
}

/** Whose desk this is. */
export interface Desk {
  userId: string;
  readerName: (userId: string) => string;
}

const PRIORITY = { STAT: 0, URGENT: 1, ROUTINE: 2 } as const;
const MIN = 60_000;

/** Whether the row is this reader's: offered to her, or hers to read. */
export function isMine(row: Row, userId: string): boolean {
  return holderOf(row) === userId || row.offer?.radiologist_id === userId;
}

/** Whether the row belongs to a saved view. */
export function inView(row: Row, view: ViewName, userId: string): boolean {
  if (view === 'mine') return isMine(row, userId);
  if (view === 'stat') return row.priority === 'STAT';
  if (view === 'drafts') return row.report?.status === 'draft' && isMine(row, userId);
  return true;
}

function matches(row: Row, text: string): boolean {
  if (!text) return true;
  const { patient } = row;
  const hay = [patient ? shownName(patient.name) : '', patient?.mrn, row.accession_number, row.procedure];
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.some((field) => field?.toLowerCase().includes(word)));
}

const HEADS: readonly [key: string, look: string, words: string][] = [
  ['breached', 'breached', 'Breached'],
  ['urgent', 'urgent', 'Under 10 min'],
  ['warn', 'warn', 'Under 30 min'],
  ['paused', 'paused', 'Clock paused'],
  ['calm', 'calm', 'On time'],
  ['none', '', 'No clock yet'],
];

function leftOf(row: Row, nowMs: number): number {
  return clockFace(row.sla, nowMs)?.leftMs ?? Number.MAX_SAFE_INTEGER;
}

function keyOf(row: Row, sort: SortKey, nowMs: number, desk: Desk): number | string {
  switch (sort) {
    case 'left':
      return leftOf(row, nowMs);
    case 'priority':
      return PRIORITY[row.priority];
    case 'acuity':
      return -acuityLevel(row.acuity);
    case 'site':
      return siteCode(row.site.name);
    case 'patient':
      return row.patient ? shownName(row.patient.name).toLowerCase() : '';
    case 'age':
      return row.patient?.birth_date ?? '9999';
    case 'mrn':
      return row.patient?.mrn ?? '';
    case 'study':
      return `${row.modality} ${row.procedure}`.toLowerCase();
    case 'images':
      return row.images;
    case 'priors':
      return row.priors;
    case 'reader':
      return holderOf(row) ? desk.readerName(holderOf(row) ?? '').toLowerCase() : '\uffff';
  }
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b));
}

/** The rows that the query shows, sorted. Ties go by time left, then by identity, so that rows never swap for nothing. */
export function sorted(rows: Iterable<Row>, query: Query, nowMs: number, desk: Desk): Row[] {
  const shown: { row: Row; key: number | string; left: number }[] = [];
  for (const row of rows) {
    if (!inView(row, query.view, desk.userId)) continue;
    if (query.sites.size > 0 && !query.sites.has(row.site.id)) continue;
    if (query.modalities.size > 0 && !query.modalities.has(row.modality)) continue;
    if (!matches(row, query.text.trim())) continue;
    shown.push({ row, key: keyOf(row, query.sort, nowMs, desk), left: leftOf(row, nowMs) });
  }
  const way = query.descending ? -1 : 1;
  shown.sort(
    (a, b) =>
      way * compare(a.key, b.key) ||
      a.left - b.left ||
      PRIORITY[a.row.priority] - PRIORITY[b.row.priority] ||
      (a.row.study_uid < b.row.study_uid ? -1 : 1),
  );
  return shown.map(({ row }) => row);
}

/** Sorted rows under their heads; heads without rows are left out. */
export function grouped(rows: Row[], by: GroupBy, nowMs: number): Group[] {
  if (by === 'none') return rows.length > 0 ? [{ key: 'all', look: '', words: '', rows }] : [];
  const groups = new Map<string, Group>();
  if (by === 'clock') for (const [key, look, words] of HEADS) groups.set(key, { key, look, words, rows: [] });
  for (const row of rows) {
    const key = by === 'clock' ? (clockFace(row.sla, nowMs)?.look ?? 'none') : row.site.id;
    let group = groups.get(key);
    if (!group) {
      group = { key, look: '', words: row.site.name, rows: [] };
      groups.set(key, group);
    }
    group.rows.push(row);
  }
  const kept = [...groups.values()].filter((group) => group.rows.length > 0);
  return by === 'site' ? kept.sort((a, b) => a.words.localeCompare(b.words)) : kept;
}

/** When the groups may look different next without any event: a clock crosses ten or thirty minutes. */
export function nextCrossing(rows: Iterable<Row>, nowMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const left = leftOf(row, nowMs);
    for (const edge of [10 * MIN, 30 * MIN]) if (left > edge) next = Math.min(next, left - edge);
  }
  return next;
}
