import { describe, expect, it } from 'vitest';
import { aRow, inMinutes, NOW } from '../test/rows';
import { type Desk, grouped, type Query, sorted } from './rows';

const desk: Desk = { userId: 'me', readerName: (id) => id };
const all: Query = {
  view: 'all',
  text: '',
  sites: new Set(),
  modalities: new Set(),
  group: 'clock',
  sort: 'left',
  descending: false,
};
const due = (uid: string, left: number) => {
  const row = aRow({ study_uid: uid });
  return { ...row, sla: row.sla && { ...row.sla, due_at: inMinutes(left) } };
};
const uids = (rows: { study_uid: string }[]) => rows.map((row) => row.study_uid);

describe('the order of the worklist', () => {
  it('puts the least time first, and what has no clock last', () => {
    const rows = [due('late', 50), due('soon', 5), aRow({ study_uid: 'none', sla: null })];
    expect(uids(sorted(rows, all, NOW, desk))).toEqual(['soon', 'late', 'none']);
  });

  it('never sorts nothing flagged below not assessed', () => {
    const rows = [
      { ...due('a', 30), acuity: 'not_assessed' as const },
      { ...due('b', 10), acuity: 'nothing_flagged' as const },
      { ...due('c', 60), acuity: 'suspected_critical' as const },
    ];
    expect(uids(sorted(rows, { ...all, sort: 'acuity' }, NOW, desk))).toEqual(['c', 'b', 'a']);
  });

  it('keeps equal rows where they are, whatever order they come in', () => {
    const rows = [due('b', 10), due('a', 10)];
    expect(uids(sorted(rows, all, NOW, desk))).toEqual(uids(sorted(rows.reverse(), all, NOW, desk)));
  });
});

describe('what is shown', () => {
  it('finds by name, MRN and accession number, in any order of words', () => {
    const rows = [aRow()];
    for (const text of ['phantom', 'iris phan', '004417', 'a26-118']) {
      expect(sorted(rows, { ...all, text }, NOW, desk)).toHaveLength(1);
    }
    expect(sorted(rows, { ...all, text: 'phantom 9' }, NOW, desk)).toHaveLength(0);
  });

  it('shows as mine what is offered to me or is mine to read', () => {
    const offer = { offer_id: 'o', radiologist_id: 'me', expires_at: inMinutes(1), why: '' };
    const rows = [aRow({ study_uid: 'offered', offer }), aRow({ study_uid: 'held', assigned_to: 'me' }), aRow()];
    expect(uids(sorted(rows, { ...all, view: 'mine' }, NOW, desk))).toEqual(['held', 'offered']);
  });

  it('gathers under heads that have rows, each counted', () => {
    const rows = sorted([due('a', 5), due('b', 6), due('c', 90)], all, NOW, desk);
    expect(grouped(rows, 'clock', NOW).map((group) => [group.words, group.rows.length])).toEqual([
      ['Under 10 min', 2],
      ['On time', 1],
    ]);
  });

  it('sorts ten thousand rows within a frame or two', () => {
    const rows = Array.from({ length: 10_000 }, (_, n) => due(`1.${n}`, n % 500));
    const before = performance.now();
    sorted(rows, all, NOW, desk);
    expect(performance.now() - before).toBeLessThan(500);
  });
});
