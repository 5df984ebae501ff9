import { expect, it } from 'vitest';
import { aRow, inMinutes, NOW } from '../test/rows';
import { lines, sentence } from './account';

const ACCOUNT = {
  study_uid: '1.2.3',
  offer_id: 'o1',
  radiologist_id: 'ada',
  at: inMinutes(0),
  policy_version: 3,
  why: 'You read neuro, licensed in US-ME, 1 of 5 studies, due in 30 min.',
  why_her: 'Reads neuro, licensed in US-ME, 1 of 5 studies, due in 30 min.',
  factors: [{ name: 'load', points: 6, weight: 30 }],
  you: { kind: 'CT/neuro', minutes: 6.2, ahead_min: 9, now_min: 4, spare_min: 18.2, share_min: -41 },
  points: 12.2,
  position: 1,
  of: 3,
  runners_up: [
    { radiologist_id: 'bob', name: 'B. Fixture', why_not: 'has 4 STAT in hand', points: 80 },
    { radiologist_id: 'eve', name: 'E. Sample', why_not: 'is away' },
    { radiologist_id: 'kim', name: 'K. Dummy', why_not: 'is not on shift' },
    { radiologist_id: 'lea', name: 'L. Mock', why_not: 'is off' },
  ],
  would_change: 'With 1 study fewer it would go to B. Fixture.',
};

it('says her time, her case now, why not others, her share and what would change it, in this order', () => {
  const reading = aRow({ study_uid: '9', patient: { name: 'FULANO^Ana', mrn: '1', birth_date: null, sex: null } });
  expect(lines(ACCOUNT, reading, NOW)).toEqual([
    ['Your time', 'About 6 min for CT neuro like this.'],
    [
      'Your case now',
      'FULANO, Ana: 20 min left, about 4 min of work. About 5 min more in hand. Still on time, with 18 min to spare.',
    ],
    ['Why not others', 'B. Fixture: has 4 STAT in hand. E. Sample: is away. K. Dummy: is not on shift. 1 more.'],
    ['Fair share', "41 min below your share of the team's work."],
    ['Would change', 'With 1 study fewer it would go to B. Fixture.'],
  ]);
});

it('says so when nothing is in hand, when it would be late, and when she is even', () => {
  const you = { kind: 'MR/any', minutes: 0.4, ahead_min: 0, now_min: 0, spare_min: -3, share_min: 2 };
  const said = Object.fromEntries(lines({ ...ACCOUNT, you }, null, NOW));
  expect(said['Your time']).toBe('Less than a minute for MR like this.');
  expect(said['Your case now']).toBe('Nothing in hand. It would be late.');
  expect(said['Fair share']).toBe('Even with the team.');
});

it('leaves out what the server does not say, and shows what a newer one adds', () => {
  const said = lines({ why: 'x', would_change: 'y', two_eyes: { second: 'B. Fixture' } }, null, NOW);
  expect(said).toEqual([
    ['Would change', 'y'],
    ['Two eyes', 'second B. Fixture'],
  ]);
});

it('tells a colleague in one breath', () => {
  expect(sentence(ACCOUNT, 'Iris Mockford')).toBe(
    'Iris Mockford: reads neuro, licensed in US-ME, 1 of 5 studies, due in 30 min. ' +
      'With 1 study fewer it would go to B. Fixture.',
  );
});
