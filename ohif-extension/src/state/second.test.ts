import { describe, expect, it } from 'vitest';
import type { Row, SecondRead } from '../live/wire';
import { aRow, inMinutes } from '../test/rows';
import { isMine } from './rows';
import { holderOf, phaseOf, secondWords } from './second';

const second = (change: Partial<SecondRead> = {}): SecondRead => ({
  kind: 'double',
  state: 'waiting',
  blind: false,
  why: 'second read',
  ...change,
});
const row = (change: Partial<Row>): Row =>
  aRow({ status: 'prelim', assigned_to: 'ada', second_read: second(), ...change });

describe('a second reading', () => {
  it('is the second reader’s, not the first one’s', () => {
    const held = row({ second_reader: 'bob' });
    expect([holderOf(held), phaseOf(held)]).toEqual(['bob', 'assigned']);
    expect([isMine(held, 'bob'), isMine(held, 'ada')]).toEqual([true, false]);
  });

  it('goes from nobody over the offer to the reading', () => {
    expect(phaseOf(row({}))).toBe('unread');
    const offer = { offer_id: 'o', radiologist_id: 'bob', expires_at: inMinutes(1), why: 'Second read.' };
    expect(phaseOf(row({ offer }))).toBe('offered');
    expect(phaseOf(row({ second_reader: 'bob', reading_by: 'bob' }))).toBe('reading');
  });

  it('waits for her word once both have signed', () => {
    const both = row({ second_reader: 'bob', second_read: second({ state: 'compare' }) });
    expect([phaseOf(both), holderOf(both), secondWords(both)]).toEqual(['prelim', 'bob', 'Compare readings']);
  });

  it('is a third reader’s when the two differ', () => {
    const third = row({ assigned_to: 'cai', second_reader: 'bob', second_read: second({ state: 'discordant' }) });
    expect([phaseOf(third), holderOf(third), secondWords(third)]).toEqual(['assigned', 'cai', 'Discordant']);
  });

  it('has a name of its own for a resident’s report, and none once it is settled', () => {
    expect(secondWords(row({ second_read: second({ kind: 'cosign' }) }))).toBe('Co-sign');
    expect(secondWords(row({ second_read: second({ state: 'agreed' }) }))).toBe('');
    expect([secondWords(aRow({})), phaseOf(aRow({ status: 'reading' }))]).toEqual(['', 'reading']);
  });
});
