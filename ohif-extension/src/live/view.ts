// The state of one stream, and how events change it. Applying is replacing: `rows[study_uid] = row`.

import type {
  Counters,
  Ev,
  Lock,
  Message,
  Reader,
  ReportRef,
  Row,
  SiteSnapshot,
  Snapshot,
  StudySnapshot,
  TenantSnapshot,
  UserSnapshot,
} from './wire';

/** What one stream shows now. */
export interface View {
  rows: Map<string, Row>;
  readers: Map<string, Reader>;
  counters: Counters | null;
  lock: Lock | null;
  report: ReportRef | null;
  messages: Message[];
}

/** The parts of any event's data that change a view. */
interface Changes {
  study_uid?: string;
  row?: Row | null;
  reader?: Reader;
  counters?: Counters;
  lock?: Lock | null;
  message?: Message;
}

type Whole = Partial<TenantSnapshot & SiteSnapshot & UserSnapshot & StudySnapshot>;

/** A view that nothing has happened in. */
export function emptyView(): View {
  return { rows: new Map(), readers: new Map(), counters: null, lock: null, report: null, messages: [] };
}

/** The view that a snapshot describes. */
export function viewOf(snapshot: Snapshot): View {
  const whole = snapshot.data as Whole;
  const rows = whole.row ? [whole.row] : (whole.rows ?? []);
  return {
    rows: new Map(rows.map((row) => [row.study_uid, row])),
    readers: new Map((whole.readers ?? []).map((reader) => [reader.radiologist_id, reader])),
    counters: whole.counters ?? null,
    lock: whole.lock ?? null,
    report: whole.report ?? null,
    messages: [...(whole.messages ?? [])],
  };
}

/** Change the view as the event says; an event of an unknown type is applied by its row. */
export function applyEvent(view: View, event: Ev): void {
  const data = event.data as Changes;
  if (data.row === null && data.study_uid !== undefined) view.rows.delete(data.study_uid);
  else if (data.row) {
    view.rows.set(data.row.study_uid, data.row);
    if (event.s.startsWith('study:')) view.report = data.row.report;
  }
  if (data.reader) view.readers.set(data.reader.radiologist_id, data.reader);
  if (data.counters) view.counters = data.counters;
  if (data.lock !== undefined) view.lock = data.lock;
  if (data.message) view.messages.push(data.message);
}
