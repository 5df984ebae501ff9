// Rows for tests: a study as the server would send it, with what a test changes.
import type { Row } from '../live/wire';

/** Unix milliseconds that tests take as now. */
export const NOW = Date.parse('2026-11-24T02:14:00.000Z');

/** An instant some minutes from now. */
export const inMinutes = (minutes: number): string => new Date(NOW + minutes * 60_000).toISOString();

/** A row. */
export function aRow(change: Partial<Row> = {}): Row {
  return {
    study_uid: '1.2.3',
    accession_number: 'A26-118204',
    site: { id: 'harbor-st-aldous', name: 'Harbor St. Aldous' },
    patient: { name: 'PHANTOM^Iris', mrn: '004417', birth_date: '1961-04-12', sex: 'F' },
    modality: 'CT',
    body_part: 'HEAD',
    laterality: '',
    procedure: 'CT head without contrast',
    priority: 'STAT',
    acuity: 'not_assessed',
    critical: null,
    status: 'unread',
    readiness: { state: 'ready', received: 32, expected: 32 },
    sla: {
      state: 'running',
      due_at: inMinutes(20),
      warn_at: inMinutes(12),
      started_at: inMinutes(-10),
      breached_at: null,
      paused_s: 0,
    },
    flags: [],
    offer: null,
    assigned_to: null,
    second_reader: null,
    second_read: null,
    reading_by: null,
    ai: [],
    report: null,
    priors: 0,
    images: 32,
    version: 3,
    rev: 5,
    ...change,
  };
}
