import { describe, expect, it } from 'vitest';
import type { Reader, Row } from '../live/wire';
import { holder, lined, listed } from './order';

const NOW = Date.parse('2026-01-01T03:14:00.000Z');
const at = (min: number): string => new Date(NOW + min * 60_000).toISOString();
const row = (study_uid: string, due: number | null, more: Partial<Row> = {}): Row =>
  ({
    study_uid,
    status: 'unread',
    offer: null,
    assigned_to: null,
    readiness: { state: 'ready', received: 1, expected: 1 },
    sla:
      due === null
        ? null
        : {
            state: due < 0 ? 'breached' : 'running',
            due_at: at(due),
            warn_at: at(due),
            started_at: at(-60),
            breached_at: null,
            paused_s: 0,
          },
    ...more,
  }) as Row;

describe('the board', () => {
  it('lists what is over first, then what is due next, then what has no clock', () => {
    const uids = listed([row('none', null), row('late', -6), row('soon', 4), row('calm', 90)], NOW).map(
      (r) => r.study_uid,
    );
    expect(uids).toEqual(['late', 'soon', 'calm', 'none']);
  });

  it('says who has a study, or what it waits for', () => {
    const name = (id: string): string => id.toUpperCase();
    expect(holder(row('1', 1), name)).toBe('no reader');
    expect(holder(row('1', 1, { status: 'reading', assigned_to: 'ada' }), name)).toBe('read by ADA');
    expect(holder(row('1', 1, { readiness: { state: 'incomplete', received: 1, expected: 2 } }), name)).toBe(
      'images are coming',
    );
  });

  it('lists who is there first', () => {
    const reader = (name: string, presence: Reader['presence']): Reader =>
      ({ radiologist_id: name, name, presence, load: 0, capacity: 5, study_uid: null, shift_ends_at: null }) as Reader;
    expect(lined([reader('A', 'off'), reader('C', 'online'), reader('B', 'reading')]).map((r) => r.name)).toEqual([
      'B',
      'C',
      'A',
    ]);
  });
});
