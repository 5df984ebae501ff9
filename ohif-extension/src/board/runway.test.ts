import { describe, expect, it } from 'vitest';
import { aRow } from '../test/rows';
import { lanes, place, TO_MS } from './runway';

const NOW = Date.parse('2026-11-24T03:14:00Z');
const due = (minutes: number, state: 'running' | 'breached' = 'running') => ({
  state,
  due_at: new Date(NOW + minutes * 60_000).toISOString(),
  warn_at: null,
  started_at: new Date(NOW - 3_600_000).toISOString(),
  breached_at: state === 'breached' ? new Date(NOW).toISOString() : null,
  paused_s: 0,
});

describe('the runway', () => {
  it('runs from a quarter of an hour over to two hours left', () => {
    expect(place(-3_600_000)).toBe(0);
    expect(place(0)).toBeCloseTo(11.1, 1);
    expect(place(TO_MS)).toBe(100);
  });

  it('has a lane for each site, and counts what is over', () => {
    const harbor = { id: 'harbor', name: 'Harbor' };
    const found = lanes(
      [
        aRow({ study_uid: '1', site: harbor, sla: due(-6, 'breached') }),
        aRow({ study_uid: '2', site: harbor, sla: due(30) }),
        aRow({ study_uid: '3', site: { id: 'abbey', name: 'Abbey' }, sla: due(600) }),
      ],
      NOW,
    );
    expect(found.map((lane) => [lane.site.id, lane.open, lane.over, lane.marks.length])).toEqual([
      ['abbey', 1, 0, 0],
      ['harbor', 2, 1, 2],
    ]);
  });

  it('never lays two marks over one another, and counts what has no room', () => {
    const rows = Array.from({ length: 12 }, (_, n) => aRow({ study_uid: String(n), sla: due(30) }));
    const [lane] = lanes(rows, NOW);
    expect(lane?.marks.map((mark) => mark.line)).toEqual([0, 1, 2, 3]);
    expect(lane?.more).toBe(8);
  });
});
