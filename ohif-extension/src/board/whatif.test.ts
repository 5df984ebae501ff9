import { describe, expect, it } from 'vitest';
import { type Asked, body, type Forecast, felt, sentence } from './whatif';

const NOW = Date.UTC(2026, 10, 24, 3, 0);
const ASKED: Asked = { kind: 'close_shift', reader: '', site: '', specialty: '', modality: 'CT', number: 40, hours: 4 };
const forecast = (mean: number, low: number, high: number): Forecast => ({
  until: '',
  nights: 40,
  took_s: 1,
  planned: { mean: 0, low: 0, high: 0 },
  changed: { mean: 0, low: 0, high: 0 },
  difference: { mean, low, high },
  priorities: [],
  sites: [],
  assumes: [],
  readers: [
    { radiologist_id: 'a', name: 'Ada', minutes: { mean: 38.2, low: 0, high: 0 } },
    { radiologist_id: 'b', name: 'Bob', minutes: { mean: -12, low: 0, high: 0 } },
    { radiologist_id: 'c', name: 'Cleo', minutes: { mean: 0.2, low: 0, high: 0 } },
  ],
});

describe('what if', () => {
  it('asks nothing before a reader or a site is chosen', () => {
    expect(body(ASKED, NOW)).toBeNull();
    expect(body({ ...ASKED, kind: 'send_studies' }, NOW)).toBeNull();
  });

  it('asks each change in the words of the interface', () => {
    expect(body({ ...ASKED, reader: 'ada' }, NOW)).toEqual({
      until: '2026-11-24T07:00:00.000Z',
      changes: [{ kind: 'close_shift', radiologist_id: 'ada' }],
    });
    expect(body({ ...ASKED, kind: 'add_reader', specialty: 'neuro' }, NOW)).toMatchObject({
      changes: [{ kind: 'add_reader', until: '2026-11-24T07:00:00.000Z', specialty: 'neuro' }],
    });
    expect(body({ ...ASKED, kind: 'send_studies', site: 'harbor' }, NOW)).toMatchObject({
      changes: [{ kind: 'send_studies', site: 'harbor', count: 40, modality: 'CT' }],
    });
    expect(body({ ...ASKED, kind: 'scale_arrivals', number: 30 }, NOW)).toMatchObject({
      changes: [{ kind: 'scale_arrivals', factor: 1.3 }],
    });
  });

  it('says how many more or fewer, and between which', () => {
    expect(sentence(forecast(7.1, 2, 12))).toBe('7 more breaches, 2 to 12 in 8 of 10 nights.');
    expect(sentence(forecast(-3, -6, 1))).toBe('3 fewer breaches, −1 to 6 in 8 of 10 nights.');
    expect(sentence(forecast(0, 0, 0))).toBe('No more breaches.');
  });

  it('names who feels it', () => {
    expect(felt(forecast(1, 0, 2))).toEqual(['Ada +38 min of work', 'Bob −12 min of work']);
  });
});
