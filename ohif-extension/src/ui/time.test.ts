import { describe, expect, it } from 'vitest';
import { aRow, inMinutes, NOW } from '../test/rows';
import { age, clockFace, duration, minutes, sexAge, shownName } from './time';

const clock = (minutesLeft: number, state: 'running' | 'warned' | 'breached' | 'paused' | 'stopped' = 'running') => {
  const { sla } = aRow();
  return sla && { ...sla, state, due_at: inMinutes(minutesLeft) };
};

describe('the clock', () => {
  it('counts seconds under ten minutes and says so with a diamond', () => {
    expect(clockFace(clock(9 + 40 / 60), NOW)).toMatchObject({ look: 'urgent', words: '9 min 40 s' });
  });

  it('shows whole minutes above ten, and hours above sixty', () => {
    expect(clockFace(clock(12.9), NOW)).toMatchObject({ look: 'warn', words: '12 min' });
    expect(clockFace(clock(64.5), NOW)).toMatchObject({ look: 'calm', words: '1 h 04 min' });
  });

  it('never says breached before the server does', () => {
    expect(clockFace(clock(-3), NOW)).toMatchObject({ look: 'urgent', words: '0 min 00 s', share: 0 });
    expect(clockFace(clock(-6, 'breached'), NOW)).toMatchObject({ look: 'breached', words: '6 min over' });
  });

  it('is silent when there is none or it has stopped', () => {
    expect(clockFace(null, NOW)).toBeNull();
    expect(clockFace(clock(5, 'stopped'), NOW)).toBeNull();
  });

  it('has a share that shrinks from whole to nothing', () => {
    expect(clockFace(clock(20), NOW)?.share).toBeCloseTo(20 / 30);
  });
});

it('writes lengths of time with their units', () => {
  expect(duration(61_000)).toBe('1 min 01 s');
  expect(minutes(50 * 3_600_000)).toBe('2 d 2 h');
});

it('tells ages by the birthday, not by the year', () => {
  expect(age('1961-11-24', NOW)).toBe(65);
  expect(age('1961-11-25', NOW)).toBe(64);
  expect(age(null, NOW)).toBeNull();
});

it('writes names and sexes in words', () => {
  expect(shownName('PHANTOM^Iris^^')).toBe('PHANTOM, Iris');
  expect(shownName('PHANTOM, Iris')).toBe('PHANTOM, Iris');
  expect(shownName('فلان الفلاني')).toBe('فلان الفلاني');
  expect(sexAge({ name: 'X', mrn: '1', birth_date: null, sex: null }, NOW)).toBe('Sex not known');
});
