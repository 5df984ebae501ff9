import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveClient } from '../live/client';
import type { Answer, Row } from '../live/wire';
import { aRow, NOW } from '../test/rows';
import { OfferDesk } from './offers';

/** The connection, as far as a desk can tell. */
class Line {
  status = 'connecting';
  rows = new Map<string, Row>();
  mine = new Map<string, Row>();
  now = NOW;
  calls: string[] = [];
  answer: Answer | Promise<Answer> = { ok: true, version: 4 };
  #listeners: (() => void)[] = [];
  #revoked: ((event: unknown) => void)[] = [];
  subscribe(listener: () => void): () => void {
    this.#listeners.push(listener);
    return () => undefined;
  }
  on(_type: string, handler: (event: unknown) => void): () => void {
    this.#revoked.push(handler);
    return () => undefined;
  }
  serverNow(): number {
    return this.now;
  }
  async call(command: string): Promise<Answer> {
    this.calls.push(command);
    return this.answer;
  }
  changed(): void {
    for (const listener of this.#listeners) listener();
  }
  offer(uid = '1.2.3', seconds = 60): Row {
    const offer = {
      offer_id: `offer ${uid}`,
      radiologist_id: 'me',
      expires_at: new Date(this.now + seconds * 1000).toISOString(),
      why: 'You read neuro.',
    };
    const row = aRow({ study_uid: uid, status: 'offered', offer });
    this.mine.set(uid, row);
    this.changed();
    return row;
  }
  revoke(uid: string, reason: string, row: Row | null): void {
    this.mine.delete(uid);
    for (const handler of this.#revoked) handler({ data: { study_uid: uid, offer_id: `offer ${uid}`, reason, row } });
    this.changed();
  }
}

let line: Line;
let desk: OfferDesk;
const open = vi.fn();
const sound = vi.fn();
const post = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  for (const mock of [open, sound, post]) mock.mockReset();
  line = new Line();
  desk = new OfferDesk({
    live: line as unknown as LiveClient,
    userId: () => 'me',
    open,
    row: (uid) => line.rows.get(uid),
    readerName: (id) => (id === 'stubbe' ? 'T. Stubbe' : 'Another reader'),
    post,
    offerTimes: async () => ({ STAT: 90 }),
    sound,
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => {
  line.status = 'live';
  line.changed();
};

describe('an offer', () => {
  it('is heard once, and its keys sleep for 0.7 s', () => {
    settle();
    line.offer();
    line.changed();
    expect(sound).toHaveBeenCalledTimes(1);
    expect(desk.count).toBe(1);
    if (!desk.card) throw new Error('no card');
    expect(desk.awake(desk.card)).toBe(false);
    vi.advanceTimersByTime(700);
    expect(desk.awake(desk.card)).toBe(true);
  });

  it('that stood open before the page came is silent and says it is still ours', () => {
    line.offer();
    settle();
    expect(sound).not.toHaveBeenCalled();
    expect(desk.card).toMatchObject({ returned: true, says: 'The offer is still yours.' });
  });

  it('is accepted, begun and opened in that order', async () => {
    settle();
    line.offer();
    if (desk.card) await desk.accept(desk.card);
    expect(line.calls).toEqual(['accept', 'start_reading']);
    expect(open).toHaveBeenCalledWith('1.2.3');
    expect(desk.card).toBeNull();
  });

  it('is sent once however often one presses', async () => {
    settle();
    line.offer();
    const { card } = desk;
    if (card) await Promise.all([desk.accept(card), desk.card && desk.accept(desk.card)]);
    expect(line.calls.filter((call) => call === 'accept')).toHaveLength(1);
  });

  it('that somebody else took says who, and opens nothing', async () => {
    settle();
    line.offer();
    line.answer = { error: 'already_taken', message: '', by: 'stubbe' };
    if (desk.card) await desk.accept(desk.card);
    expect(desk.card).toMatchObject({ phase: 'taken', says: 'T. Stubbe has it now. Nothing to do.' });
    expect(open).not.toHaveBeenCalled();
    desk.dismiss();
    expect(desk.card).toBeNull();
  });

  it('that a rule refuses says the rule', async () => {
    settle();
    line.offer();
    line.answer = { error: 'not_eligible', message: '', why: 'Your licence for Maine ended.' };
    if (desk.card) await desk.accept(desk.card);
    expect(desk.card).toMatchObject({ phase: 'refused', says: 'Your licence for Maine ended.' });
  });

  it('that was not answered in time says who has it', () => {
    settle();
    const row = line.offer();
    line.revoke('1.2.3', 'expired', { ...row, offer: null, assigned_to: 'stubbe' });
    expect(desk.card).toMatchObject({ phase: 'expired', says: 'T. Stubbe has it now.' });
    expect(desk.count).toBe(0);
  });

  it('that a manager took back is withdrawn', () => {
    settle();
    const row = line.offer();
    line.revoke('1.2.3', 'reassigned', { ...row, offer: null });
    expect(desk.card?.phase).toBe('withdrawn');
  });

  it('goes over the second path, under one key, when the live feed is away', async () => {
    settle();
    line.offer();
    line.status = 'stale';
    line.answer = new Promise(() => undefined);
    post.mockResolvedValue({ version: 4 });
    const accepted = desk.card && desk.accept(desk.card);
    await vi.advanceTimersByTimeAsync(1600);
    await accepted;
    expect(post.mock.calls[0]?.slice(0, 2)).toEqual(['1.2.3', 'accept']);
    expect(open).toHaveBeenCalledWith('1.2.3');
  });

  it('that is declined is gone at once', async () => {
    settle();
    line.offer();
    if (desk.card) expect(await desk.decline(desk.card, 'overloaded', '')).toBeNull();
    expect(desk.card).toBeNull();
  });
});

it('does not bring back an accepted offer whose row is still on its way', async () => {
  settle();
  const row = line.offer();
  line.rows.set('1.2.3', row);
  if (desk.card) await desk.accept(desk.card);
  line.changed();
  expect(desk.card).toBeNull();
  line.mine.set('1.2.3', { ...row, rev: row.rev + 1, status: 'assigned', offer: null, assigned_to: 'me' });
  line.changed();
  expect(desk.card).toBeNull();
});

it('shows the most urgent of several offers', () => {
  settle();
  line.offer('1.1', 90);
  line.offer('1.2', 20);
  expect(desk.count).toBe(2);
  expect(desk.card?.row.study_uid).toBe('1.2');
});
