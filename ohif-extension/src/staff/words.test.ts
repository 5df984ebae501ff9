import { expect, it } from 'vitest';
import { inMinutes, NOW } from '../test/rows';
import type { Shift, Version } from './calls';
import { comparison, hours, licences, mode, moves, skills } from './words';

const shift = (starts: number, ends: number, kind: Shift['kind'] = 'duty'): Shift => ({
  shift_id: `${starts}`,
  radiologist_id: 'ada',
  starts_at: inMinutes(starts),
  ends_at: inMinutes(ends),
  kind,
});

const version = (change: Partial<Version>): Version => ({
  version: 3,
  mode: 'draft',
  today: false,
  by: null,
  at: inMinutes(0),
  live_at: null,
  note: '',
  policy: {},
  ...change,
});

it('says what a reader may read and how well', () => {
  expect(skills({})).toBe('all');
  expect(skills({ CT: 2, MR: 3, US: 1 })).toBe('CT, MR expert, US learning');
  expect(licences([])).toBe('none');
  expect(
    licences([
      { jurisdiction: 'US-ME', valid_from: null, valid_to: '2026-12-31' },
      { jurisdiction: 'NO', valid_from: '2024-01-01', valid_to: null },
    ]),
  ).toBe('US-ME until 2026-12-31, NO from 2024-01-01');
});

it('says when she works: now, on call, next, or not', () => {
  const call = shift(-60, 600, 'on_call');
  expect(hours([call, shift(-60, 60)], 'ada', NOW)).toMatch(/^on duty until/);
  expect(hours([call, shift(60, 120)], 'ada', NOW)).toMatch(/^on call until/);
  expect(hours([shift(60, 120)], 'ada', NOW)).toMatch(/^next .* to /);
  expect(hours([shift(-60, 60)], 'bob', NOW)).toBe('no shift in two days');
});

it('offers what may be made of a version, and nothing of the live one', () => {
  expect(moves(version({}))).toEqual(['shadow', 'by_day', 'live']);
  expect(moves(version({ mode: 'by_day' }))).toEqual(['draft', 'shadow', 'live']);
  expect(moves(version({ mode: 'live' }))).toEqual([]);
  expect(moves(version({ mode: 'retired' }))).toEqual([]);
  expect(mode(version({ mode: 'live', today: false }))).toContain('another has the day');
});

it('tells a trial in sentences', () => {
  const it_ = { live_version: 2, decisions: 0, agreed: 0, only_live: 0, only_shadow: 0, arms: [] };
  expect(comparison(it_)).toEqual(['It has decided nothing in the shadow yet.']);
  const arms = [{ version: 3, studies: 40, breached: 2, signed: 38, tat_min_p50: 31.6 }];
  expect(comparison({ ...it_, decisions: 50, agreed: 45, only_shadow: 3, only_live: 1, arms })).toEqual([
    '45 of 50 decisions alike (90 %).',
    '3 only it would have made.',
    '1 it would have let wait.',
    'Version 3: 40 studies, 5 % breached, median 32 min to the first signature.',
  ]);
});
