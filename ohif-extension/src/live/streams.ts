// Which streams are followed and how far: order, gaps and acknowledgements, without a socket.

import { applyEvent, emptyView, type View, viewOf } from './view';
import type { Ev, Snapshot, StreamState } from './wire';

interface Followed {
  view: View;
  /** The last event applied; null until a snapshot came. */
  seq: number | null;
  /** The first event that the server will not repeat: until then the view is old. */
  head: number;
  waiting: boolean;
  /** A gap was seen and the server was asked to go on from `seq`. */
  asked: boolean;
}

/** What an arriving event did. */
export type Effect = 'applied' | 'ignored' | 'gap';

/** The streams of one client, kept over reconnects. */
export class Streams {
  epoch: string | null = null;
  readonly #followed = new Map<string, Followed>();

  /** Begin to follow a stream. */
  follow(stream: string): void {
    if (!this.#followed.has(stream)) {
      this.#followed.set(stream, { view: emptyView(), seq: null, head: 0, waiting: true, asked: false });
    }
  }

  /** Stop following a stream. */
  forget(stream: string): void {
    this.#followed.delete(stream);
  }

  /** Every followed stream with the last event applied. */
  offsets(): Record<string, number | null> {
    return Object.fromEntries([...this.#followed].map(([stream, followed]) => [stream, followed.seq]));
  }

  /** The view of the first followed stream of these kinds. */
  view(...kinds: string[]): View | undefined {
    for (const kind of kinds) {
      for (const [stream, followed] of this.#followed) if (stream.startsWith(`${kind}:`)) return followed.view;
    }
    return undefined;
  }

  /** The views of all followed streams of a kind. */
  views(kind: string): View[] {
    return [...this.#followed].filter(([stream]) => stream.startsWith(`${kind}:`)).map(([, followed]) => followed.view);
  }

  /** The view of one stream. */
  of(stream: string): View | undefined {
    return this.#followed.get(stream)?.view;
  }

  /** Every view is old until the server has said how it goes on. */
  disconnected(): void {
    for (const followed of this.#followed.values()) {
      followed.waiting = true;
      followed.asked = false;
    }
  }

  /** The server accepted these streams and will replay or send them whole. */
  begin(streams: Record<string, StreamState>): void {
    for (const [stream, state] of Object.entries(streams)) {
      this.follow(stream);
      const followed = this.#followed.get(stream);
      if (!followed) continue;
      followed.asked = false;
      followed.head = state.head;
      followed.waiting = state.mode === 'snapshot' || (followed.seq ?? 0) < state.head;
      if (state.mode === 'resume') followed.seq ??= 0;
    }
  }

  /** Whether every view is as the server has it. */
  get current(): boolean {
    for (const followed of this.#followed.values()) if (followed.waiting) return false;
    return true;
  }

  /** Replace a view. */
  replace(snapshot: Snapshot): void {
    const followed = this.#followed.get(snapshot.s);
    if (!followed) return;
    followed.view = viewOf(snapshot);
    followed.seq = snapshot.as_of_seq;
    followed.waiting = false;
  }

  /** Apply an event in its turn. A gap is said once; what follows it waits for the replay. */
  apply(event: Ev): Effect {
    const followed = this.#followed.get(event.s);
    if (!followed || followed.seq === null || event.seq <= followed.seq) return 'ignored';
    if (event.seq !== followed.seq + 1) {
      const effect = followed.asked ? 'ignored' : 'gap';
      followed.asked = true;
      followed.waiting = true;
      return effect;
    }
    applyEvent(followed.view, event);
    followed.seq = event.seq;
    if (event.seq >= followed.head) followed.waiting = false;
    return 'applied';
  }
}
