// The client against a pretended socket: what it sends, when, and what it makes of the answers.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveClient } from './client';
import { ServerClock } from './clock';
import type { Ev, Hello } from './wire';

type Handler = (...args: never[]) => void;

/** A socket that the test plays the server of. */
class FakeSocket {
  connected = false;
  readonly sent: [string, unknown][] = [];
  answer: (event: string, payload: Record<string, unknown>) => unknown = () => ({ ok: true });
  readonly #handlers = new Map<string, Set<Handler>>();

  constructor(
    readonly base: string,
    readonly options: { auth: Record<string, unknown> },
  ) {}

  on(event: string, handler: Handler): void {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
  }

  once(event: string, handler: Handler): void {
    this.on(event, handler);
  }

  off(event: string, handler: Handler): void {
    this.#handlers.get(event)?.delete(handler);
  }

  connect(): void {
    sockets.push(this);
  }

  disconnect(): void {
    if (!this.connected) return;
    this.connected = false;
    this.hear('disconnect');
  }

  emit(event: string, payload: unknown): void {
    this.sent.push([event, payload]);
  }

  timeout(): { emit: (event: string, payload: Record<string, unknown>, done: Handler) => void } {
    return {
      emit: (event, payload, done) => {
        this.sent.push([event, payload]);
        const answer = this.answer(event, payload);
        if (answer !== undefined) queueMicrotask(() => done(null as never, answer as never));
      },
    };
  }

  hear(event: string, payload?: unknown): void {
    for (const handler of [...(this.#handlers.get(event) ?? [])]) handler(payload as never);
  }

  /** Accept the connection and say hello. */
  greet(streams: Hello['streams'], more: Partial<Hello> = {}): void {
    this.connected = true;
    const now = new Date().toISOString();
    const expires_at = new Date(Date.now() + 600_000).toISOString();
    this.hear('hello', { epoch: 'e', streams, refused: {}, server_time: now, expires_at, ...more });
  }

  calls(event: string): Record<string, unknown>[] {
    return this.sent.filter(([name]) => name === event).map(([, payload]) => payload as Record<string, unknown>);
  }
}

let sockets: FakeSocket[] = [];

vi.mock('socket.io-client', () => ({
  io: (base: string, options: { auth: Record<string, unknown> }) => new FakeSocket(base, options),
}));

const ME = { id: 'ada', role: 'radiologist', tenant_id: 't', sites: [] };
let tickets = 0;
let ended = false;

beforeEach(() => {
  sockets = [];
  tickets = 0;
  ended = false;
  vi.stubGlobal('fetch', async (url: string) => {
    if (ended) return new Response(JSON.stringify({ code: 'unauthenticated' }), { status: 401 });
    if (url.endsWith('/api/auth/me')) return new Response(JSON.stringify(ME));
    tickets += 1;
    return new Response(JSON.stringify({ ticket: `ticket-${tickets}`, expires_in: 30 }));
  });
});

afterEach(() => vi.unstubAllGlobals());

const event = (seq: number, more: Partial<Ev> = {}): Ev => ({
  s: 'tenant:t',
  seq,
  id: `e${seq}`,
  type: 'study_changed',
  v: 1,
  ts: '',
  data: { study_uid: `1.${seq}`, row: { study_uid: `1.${seq}` } },
  ...more,
});

const SNAPSHOTS = { 'user:ada': { mode: 'snapshot', head: 0 }, 'tenant:t': { mode: 'snapshot', head: 0 } } as const;

/** A client that is live on its first socket. */
async function live(): Promise<{ client: LiveClient; socket: FakeSocket }> {
  const client = new LiveClient({ base: 'http://there', backoffMs: () => 0 });
  const connecting = client.connect();
  const socket = await nth(1);
  socket.greet(SNAPSHOTS);
  socket.hear('snapshot', { s: 'user:ada', as_of_seq: 0, data: { rows: [], messages: [] } });
  socket.hear('snapshot', { s: 'tenant:t', as_of_seq: 0, data: { rows: [], readers: [], counters: { open: 0 } } });
  await connecting;
  return { client, socket };
}

async function nth(count: number): Promise<FakeSocket> {
  return vi.waitFor(() => {
    const socket = sockets[count - 1];
    if (!socket) throw new Error('no connection yet');
    return socket;
  });
}

describe('connecting', () => {
  it('names the streams of the role with a fresh ticket, and is live when all are current', async () => {
    const { client, socket } = await live();
    expect(socket.base).toBe('http://there');
    expect(socket.options.auth).toMatchObject({
      ticket: 'ticket-1',
      proto: 1,
      epoch: null,
      offsets: { 'tenant:t': null },
    });
    expect(client.status).toBe('live');
    expect(client.counters).toEqual({ open: 0 });
    client.close();
    expect(client.status).toBe('offline');
  });

  it('comes back with its offsets and is stale until it has caught up', async () => {
    const { client, socket } = await live();
    socket.hear('ev', event(1));
    socket.disconnect();
    const second = await nth(2);
    expect(client.status).toBe('stale');
    expect(client.rows.size).toBe(1);
    expect(second.options.auth).toMatchObject({
      ticket: 'ticket-2',
      epoch: 'e',
      offsets: { 'tenant:t': 1, 'user:ada': 0 },
    });
    second.greet({ 'user:ada': { mode: 'resume', head: 0 }, 'tenant:t': { mode: 'resume', head: 2 } });
    expect(client.status).toBe('stale');
    second.hear('ev', event(2));
    expect(client.status).toBe('live');
    expect(client.rows.size).toBe(2);
    client.close();
  });

  it('comes again after a bye, and stops when the session has ended', async () => {
    const { client, socket } = await live();
    const told = vi.fn();
    client.on('ended', told);
    socket.hear('bye', { code: 'retry' });
    const second = await nth(2);
    ended = true;
    second.hear('connect_error');
    await vi.waitFor(() => expect(told).toHaveBeenCalledWith({ code: 'unauthenticated' }));
    expect(client.status).toBe('offline');
  });

  it('asks for a stream that was followed while the connection was made', async () => {
    const client = new LiveClient({ base: 'http://there' });
    void client.connect();
    const socket = await nth(1);
    await client.follow('study:9');
    socket.answer = (name) => (name === 'subscribe' ? { ok: true, streams: {}, refused: {} } : undefined);
    socket.greet(SNAPSHOTS);
    await vi.waitFor(() => expect(socket.calls('subscribe')).toEqual([{ streams: { 'study:9': null } }]));
    client.close();
  });

  it('forgets a stream that is refused and says so', async () => {
    const { client, socket } = await live();
    const told = vi.fn();
    client.on('refused', told);
    socket.answer = () => ({ ok: true, streams: {}, refused: { 'study:9': 'not_found' } });
    await client.follow('study:9');
    expect(told).toHaveBeenCalledWith({ 'study:9': 'not_found' });
    expect(client.view('study:9')).toBeUndefined();
    expect(client.status).toBe('live');
    client.close();
  });
});

describe('events', () => {
  it('reach a listener once, whichever streams carry them', async () => {
    const { client, socket } = await live();
    const offers = vi.fn();
    client.on('assignment_offered', offers);
    socket.hear('ev', event(1, { id: 'same', type: 'assignment_offered' }));
    socket.hear('ev', event(1, { id: 'same', type: 'assignment_offered', s: 'user:ada' }));
    expect(offers).toHaveBeenCalledTimes(1);
    expect(client.mine.size).toBe(1);
    client.close();
  });

  it('after a gap are asked for from the last that was applied', async () => {
    const { client, socket } = await live();
    socket.answer = (name) =>
      name === 'subscribe'
        ? { ok: true, streams: { 'tenant:t': { mode: 'resume', head: 3 } }, refused: {} }
        : undefined;
    socket.hear('ev', event(1));
    socket.hear('ev', event(3));
    expect(client.status).toBe('live');
    await vi.waitFor(() => expect(socket.calls('subscribe')).toEqual([{ streams: { 'tenant:t': 1 } }]));
    for (const seq of [2, 3]) socket.hear('ev', event(seq));
    expect(client.rows.size).toBe(3);
    client.close();
  });

  it('are acknowledged cumulatively, a few times a second', async () => {
    const { client, socket } = await live();
    for (let seq = 1; seq <= 50; seq++) socket.hear('ev', event(seq));
    await vi.waitFor(() => expect(socket.calls('ack').at(-1)).toEqual({ s: 'tenant:t', seq: 50 }));
    expect(socket.calls('ack').length).toBeLessThan(6);
    client.close();
  });

  it('are acknowledged at once in a hidden page, whose timers sleep', async () => {
    const { client, socket } = await live();
    vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    for (const seq of [1, 2, 3]) socket.hear('ev', event(seq));
    expect(socket.calls('ack').slice(-3)).toEqual([1, 2, 3].map((seq) => ({ s: 'tenant:t', seq })));
    client.close();
  });

  it('show a breach once, whether it is told before the journal or after', async () => {
    const { client, socket } = await live();
    const told = vi.fn();
    client.on('breach', told);
    socket.hear('alert', { id: 'a1', study_uid: '1', due_at: 'then', provisional: true });
    socket.hear('alert', { id: 'a1', study_uid: '1', due_at: 'then', provisional: true });
    socket.hear('ev', event(1, { type: 'sla_breached', data: { study_uid: '1', due_at: 'then', alert_id: 'a1' } }));
    expect(told.mock.calls).toEqual([[{ alert_id: 'a1', study_uid: '1', due_at: 'then', provisional: true }]]);
    client.close();
  });
});

describe('commands', () => {
  it('are sent with the same key until answered, also over a reconnect', async () => {
    const { client, socket } = await live();
    socket.answer = (name) => (name === 'accept' ? undefined : { ok: true });
    const call = client.call('accept', { study_uid: '1', offer_id: 'o' });
    await vi.waitFor(() => expect(socket.calls('accept')).toHaveLength(1));
    socket.disconnect();
    const second = await nth(2);
    const answers = [
      { error: 'retry', message: '' },
      { error: 'overloaded', message: '' },
      { ok: true, version: 4 },
    ];
    second.answer = (name) => (name === 'accept' ? answers.shift() : { ok: true });
    second.greet({ 'user:ada': { mode: 'resume', head: 0 }, 'tenant:t': { mode: 'resume', head: 0 } });
    expect(await call).toEqual({ ok: true, version: 4 });
    const keys = [...socket.calls('accept'), ...second.calls('accept')].map((payload) => payload['idem']);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    client.close();
  });

  it('give a refusal back at once, and each a key of its own', async () => {
    const { client, socket } = await live();
    socket.answer = () => ({ error: 'offer_expired', message: 'This offer is no longer open.' });
    for (let n = 0; n < 2; n++) {
      const answer = await client.call('accept', { study_uid: '1', offer_id: 'o' });
      expect(answer).toMatchObject({ error: 'offer_expired' });
    }
    const [first, second] = socket.calls('accept');
    expect(first?.['deadline_ms']).toBe(10_000);
    expect(first?.['idem']).not.toBe(second?.['idem']);
    client.close();
  });

  it('are given up after a while without a server', async () => {
    const client = new LiveClient({ base: 'http://there' });
    const answer = await client.call('next_case', {}, { giveUpMs: 0 });
    expect(answer).toMatchObject({ error: 'retry' });
  });
});

describe('the server clock', () => {
  it('believes the shortest of the last five round trips', () => {
    let now = 1_000;
    const clock = new ServerClock(() => now);
    const at = (ms: number): string => new Date(ms).toISOString();
    clock.greet(at(50_000));
    expect(clock.serverNow()).toBe(50_000);
    for (const [roundTrip, ahead] of [
      [80, 49_500],
      [20, 49_000],
      [200, 49_300],
    ] as const) {
      const t0 = now;
      now += roundTrip;
      clock.sample(t0, at(t0 + roundTrip / 2 + ahead));
    }
    expect(clock.offsetMs).toBe(49_000);
    for (let n = 0; n < 5; n++) {
      const t0 = now;
      now += 60;
      clock.sample(t0, at(t0 + 30 + 48_000));
    }
    expect(clock.offsetMs).toBe(48_000);
    now += 5_000;
    expect(clock.serverNow()).toBe(now + 48_000);
  });
});
