// Applying the events after a snapshot gives the snapshot of now: for any history, also with repeats.

import { describe, expect, it } from 'vitest';
import { Streams } from './streams';
import { applyEvent, emptyView, type View, viewOf } from './view';
import type { Counters, Ev, Reader, Row, Snapshot } from './wire';

/** A small generator with a seed, so that a failure can be repeated (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  };
}

/** What the server holds: written here without the client's code. */
class Server {
  seq = 0;
  readonly events: Ev[] = [];
  readonly #rows = new Map<string, Row>();
  readonly #readers = new Map<string, Reader>();
  readonly #messages: unknown[] = [];
  #counters = { open: 0 } as Counters;
  #lock: unknown = null;

  constructor(
    readonly stream: string,
    readonly roll: (sides: number) => number,
  ) {}

  happen(): void {
    this.seq += 1;
    const uid = this.stream.startsWith('study:') ? '1.1' : `1.${this.roll(5)}`;
    const row = { study_uid: uid, rev: this.seq, report: this.roll(2) ? { report_id: 'r', version: this.seq } : null };
    const data: Record<string, unknown> = {};
    switch (this.roll(7)) {
      case 0:
        if (this.stream.startsWith('study:')) break;
        Object.assign(data, { study_uid: uid, row: null });
        this.#rows.delete(uid);
        break;
      case 1: {
        const reader = { radiologist_id: `r${this.roll(3)}`, load: this.roll(9) } as Reader;
        data['reader'] = reader;
        this.#readers.set(reader.radiologist_id, reader);
        break;
      }
      case 2:
        data['counters'] = this.#counters = { open: this.roll(99) } as Counters;
        break;
      case 3:
        data['lock'] = this.#lock = this.roll(2) ? { user_id: 'u', tab: 't', until: 'then' } : null;
        break;
      case 4:
        data['message'] = { message_id: `m${this.seq}` };
        this.#messages.push(data['message']);
        break;
      default:
        Object.assign(data, { study_uid: uid, row });
        this.#rows.set(uid, row as unknown as Row);
    }
    const type = this.roll(9) ? 'study_changed' : 'of_a_later_version';
    this.events.push({ s: this.stream, seq: this.seq, id: `e${this.seq}`, type, v: 1, ts: '', data });
  }

  snapshot(): Snapshot {
    const study = this.stream.startsWith('study:');
    const row = this.#rows.get('1.1') ?? null;
    const rows = study ? { row, report: row?.report ?? null } : { rows: [...this.#rows.values()] };
    const rest = { readers: [...this.#readers.values()], counters: this.#counters, lock: this.#lock };
    const data = structuredClone({ ...rows, ...rest, messages: this.#messages });
    return { s: this.stream, as_of_seq: this.seq, data };
  }
}

function shown(view: View | undefined): unknown {
  if (!view) return undefined;
  const rows = [...view.rows].sort(([a], [b]) => a.localeCompare(b));
  const readers = [...view.readers].sort(([a], [b]) => a.localeCompare(b));
  return { ...view, rows, readers };
}

describe.each(['tenant:t', 'study:1.1'])('a view of %s', (stream) => {
  it('is the snapshot of now after the events since a snapshot of then', () => {
    for (let seed = 0; seed < 300; seed++) {
      const roll = dice(seed);
      const server = new Server(stream, roll);
      for (let n = roll(20); n > 0; n--) server.happen();
      const then = server.snapshot();
      const streams = new Streams();
      streams.follow(stream);
      streams.begin({ [stream]: { mode: 'snapshot', head: then.as_of_seq } });
      streams.replace(then);
      for (let n = roll(30); n > 0; n--) server.happen();
      for (const event of server.events) {
        streams.apply(event);
        if (roll(4) === 0) streams.apply(event); // said twice, applied once
      }
      expect(shown(streams.of(stream)), `seed ${seed}`).toEqual(shown(viewOf(server.snapshot())));
      expect(streams.current).toBe(true);
    }
  });
});

describe('streams', () => {
  const event = (seq: number): Ev => ({
    s: 'tenant:t',
    seq,
    id: `e${seq}`,
    type: 'study_changed',
    v: 1,
    ts: '',
    data: { study_uid: `1.${seq}`, row: { study_uid: `1.${seq}` } },
  });

  it('say a gap once, and go on when it is closed', () => {
    const streams = new Streams();
    streams.begin({ 'tenant:t': { mode: 'resume', head: 0 } });
    expect(streams.apply(event(1))).toBe('applied');
    expect(streams.apply(event(3))).toBe('gap');
    expect(streams.current).toBe(false);
    expect(streams.apply(event(4))).toBe('ignored');
    expect(streams.offsets()).toEqual({ 'tenant:t': 1 });
    streams.begin({ 'tenant:t': { mode: 'resume', head: 4 } });
    for (const seq of [2, 3, 4]) expect(streams.apply(event(seq))).toBe('applied');
    expect(streams.current).toBe(true);
    expect(streams.apply(event(6))).toBe('gap');
  });

  it('are old from the loss of a connection until the head is reached again', () => {
    const streams = new Streams();
    streams.begin({ 'tenant:t': { mode: 'resume', head: 0 } });
    expect(streams.current).toBe(true);
    streams.disconnected();
    expect(streams.current).toBe(false);
    streams.begin({ 'tenant:t': { mode: 'resume', head: 2 } });
    streams.apply(event(1));
    expect(streams.current).toBe(false);
    streams.apply(event(2));
    expect(streams.current).toBe(true);
  });

  it('ignore what they do not follow or have no snapshot of', () => {
    const streams = new Streams();
    expect(streams.apply(event(1))).toBe('ignored');
    streams.follow('tenant:t');
    expect(streams.apply(event(1))).toBe('ignored');
    expect(streams.offsets()).toEqual({ 'tenant:t': null });
  });
});

it('leaves an empty view empty when nothing of it changed', () => {
  const view = emptyView();
  applyEvent(view, { s: 'user:u', seq: 1, id: 'e', type: 'unknown', v: 9, ts: '', data: { study_uid: '1' } });
  expect(view).toEqual(emptyView());
});
