// The live client: one socket that follows streams, stays current over reconnects, and sends commands
// that take effect once. The socket is a hint, the server's journal is the truth.

import { Acks } from './acks';
import { ServerClock } from './clock';
import { randomId, tabId } from './ids';
import { Link } from './link';
import { type Me, SessionError, type SessionSource, socketTicket, streamsOf, whoAmI } from './session';
import { Streams } from './streams';
import { emptyView, type View } from './view';
import {
  type Answer,
  type Commands,
  type Counters,
  DEADLINE_MS,
  type Ev,
  type EventData,
  type Hello,
  PROTO,
  type Reader,
  type Reauthed,
  type Refused,
  type Row,
  type Snapshot,
  type Subscribed,
  type TimeAnswer,
} from './wire';

/** `stale`: what is shown may be old, and the client is catching up. `offline`: there is no connection. */
export type LiveStatus = 'live' | 'connecting' | 'offline' | 'stale';

/** What a listener may be told: each event type with its event, and the client's own. */
export type LiveEvents = { [T in keyof EventData]: Ev & { type: T; data: EventData[T] } } & {
  /** A breach, once, whether it came as an alert or as an event. */
  breach: { alert_id: string; study_uid: string; due_at: string; provisional: boolean };
  /** Streams that the server refused, each with its code. */
  refused: Record<string, string>;
  /** The session has ended; log in again. */
  ended: { code: string };
};

export interface LiveOptions {
  /** Where the server is; the page's own origin by default. */
  base?: string;
  /** A bearer token instead of the session's cookie (walls, tests). */
  token?: string;
  /** The streams to follow besides the own one; by role by default. */
  streams?: string[];
  /** How long to wait before connecting again; tests make it short. */
  backoffMs?: (attempt: number) => number;
}

export interface CallOptions {
  /** The idempotency key; made here by default. */
  idem?: string;
  deadlineMs?: number;
  /** How long to go on trying while the server is away. */
  giveUpMs?: number;
}

const OFFLINE_AFTER_MS = 4_000;
const SAMPLE_EVERY_MS = 12_000;
const REAUTH_MOST_MS = 3_600_000;
const AGAIN = new Set(['retry', 'overloaded', 'expired']);
const KNOWN_IDS = 4_096;

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const usualBackoffMs = (attempt: number): number => Math.min(5_000, 200 * 2 ** attempt) * (0.5 + Math.random() / 2);

/** A connection to the reading room that is kept current. */
export class LiveClient {
  readonly tab = tabId();
  /** Raised by every change; a cheap snapshot for `useSyncExternalStore`. */
  version = 0;
  status: LiveStatus = 'connecting';
  me: Me | null = null;
  hello: Hello | null = null;

  readonly #source: SessionSource;
  readonly #options: LiveOptions;
  readonly #streams = new Streams();
  readonly #clock = new ServerClock();
  readonly #acks = new Acks((s, seq) => this.#link?.say('ack', { s, seq }));
  readonly #listeners = new Set<() => void>();
  readonly #handlers = new Map<string, Set<(payload: never) => void>>();
  readonly #seen = new Set<string>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #link: Link | null = null;
  #running = false;
  #lostAt: number | null = null;
  #awaitLive: (() => void)[] = [];

  constructor(options: LiveOptions = {}) {
    this.#options = options;
    this.#source = { base: options.base ?? '', token: options.token };
  }

  // -- what is shown ------------------------------------------------------------------------------
  /** The rows of the worklist: the tenant's, the sites' or the wall's; else the own ones. */
  get rows(): Map<string, Row> {
    const sites = this.#streams.views('site');
    if (sites.length > 1) return new Map(sites.flatMap((view) => [...view.rows]));
    return this.#main.rows;
  }

  /** The rows offered or assigned to the person. */
  get mine(): Map<string, Row> {
    return (this.#streams.view('user') ?? emptyView()).rows;
  }

  get readers(): Map<string, Reader> {
    return this.#main.readers;
  }

  get counters(): Counters | null {
    return this.#main.counters;
  }

  /** The view of one stream that is followed. */
  view(stream: string): View | undefined {
    return this.#streams.of(stream);
  }

  /** The server's time now, in Unix milliseconds. */
  serverNow(): number {
    return this.#clock.serverNow();
  }

  get #main(): View {
    return this.#streams.view('tenant', 'site', 'wall', 'user') ?? emptyView();
  }

  // -- listening ----------------------------------------------------------------------------------
  /** Be called after every change. Returns how to stop. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Be called with each event of a type, once even if several streams carry it. Returns how to stop. */
  on<T extends keyof LiveEvents>(type: T, handler: (payload: LiveEvents[T]) => void): () => void {
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(handler as (payload: never) => void));
    return () => handlers.delete(handler as (payload: never) => void);
  }

  // -- the connection -----------------------------------------------------------------------------
  /** Connect and stay connected until {@link close}. Resolves when everything shown is current, or the session ended. */
  async connect(): Promise<void> {
    const live = new Promise<void>((done) => this.#awaitLive.push(done));
    if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
    await live;
  }

  /** End the connection. */
  close(): void {
    this.#running = false;
    this.#acks.flush();
    this.#link?.close();
    this.#lost();
    this.#become('offline');
  }

  /** Follow one more stream, such as `study:UID`. */
  async follow(stream: string): Promise<void> {
    this.#streams.follow(stream);
    await this.#resubscribe(stream);
  }

  /** Stop following a stream. */
  async unfollow(stream: string): Promise<void> {
    this.#streams.forget(stream);
    this.#changed();
    await this.#link?.ask('unsubscribe', { streams: [stream] }).catch(() => undefined);
  }

  /** Send a command until it is answered; the same idempotency key makes it take effect once. */
  async call<C extends keyof Commands>(command: C, fields: Commands[C], options: CallOptions = {}): Promise<Answer> {
    const deadline_ms = options.deadlineMs ?? DEADLINE_MS;
    const payload = { ...fields, idem: options.idem ?? randomId(), deadline_ms };
    const giveUp = performance.now() + (options.giveUpMs ?? 60_000);
    let last: Refused = { error: 'retry', message: 'The reading room cannot be reached. Nothing was changed.' };
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await this.#ask<Answer>(command, payload, deadline_ms + 2_000);
        if (!('error' in answer && AGAIN.has(answer.error))) return answer;
        last = answer as Refused;
      } catch {
        // the connection was lost or nothing came in time: the same command is sent again
      }
      if (performance.now() >= giveUp || !this.#running) return last;
      await sleep(Math.min(1_000, 100 * 2 ** attempt));
    }
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (this.#running) {
      try {
        if (await this.#once()) attempt = 0;
      } catch (error) {
        if (error instanceof SessionError && error.code === 'unauthenticated') {
          this.#running = false;
          this.#become('offline');
          this.#tell('ended', { code: error.code });
          for (const done of this.#awaitLive.splice(0)) done();
          return;
        }
      }
      if (!this.#running) return;
      this.#lost();
      await sleep((this.#options.backoffMs ?? usualBackoffMs)(attempt++));
    }
  }

  /** One connection, from the ticket to its end; whether the server said hello. */
  async #once(): Promise<boolean> {
    await this.#identify();
    const ticket = await socketTicket(this.#source);
    if (!this.#running) return false;
    let greeted = false;
    const device = typeof navigator === 'undefined' ? '' : navigator.userAgent.slice(0, 200);
    const offsets = this.#streams.offsets();
    const auth = { ticket, proto: PROTO, tab: this.tab, device, epoch: this.#streams.epoch, offsets } as const;
    const link = new Link(this.#source.base, auth, {
      hello: (hello) => {
        greeted = true;
        this.#greeted(hello);
      },
      snapshot: (snapshot) => this.#snapshot(snapshot),
      event: (event) => this.#event(event),
      alert: (alert) => this.#breach({ ...alert, alert_id: alert.id }),
    });
    this.#link = link;
    await link.ended;
    link.close();
    return greeted;
  }

  async #identify(): Promise<void> {
    if (this.#options.streams) for (const stream of this.#options.streams) this.#streams.follow(stream);
    else if (!this.#options.token && !this.me) {
      this.me = await whoAmI(this.#source);
      for (const stream of streamsOf(this.me)) this.#streams.follow(stream);
    }
  }

  #ask<T>(event: string, payload: object, timeoutMs?: number): Promise<T> {
    return this.#link ? this.#link.ask<T>(event, payload, timeoutMs) : Promise.reject(new Error('not connected'));
  }

  // -- what the server says -----------------------------------------------------------------------
  #greeted(hello: Hello): void {
    this.hello = hello;
    this.#streams.epoch = hello.epoch;
    this.#clock.greet(hello.server_time);
    this.#started(hello);
    for (const stream of Object.keys(this.#streams.offsets())) {
      if (!(stream in hello.streams)) void this.#resubscribe(stream); // followed while this connection was made
    }
    void this.#sampleClock(5);
    this.#reauthBefore(hello.expires_at);
  }

  #started(answer: Pick<Subscribed, 'streams' | 'refused'>): void {
    for (const stream of Object.keys(answer.refused)) this.#streams.forget(stream);
    if (Object.keys(answer.refused).length > 0) this.#tell('refused', answer.refused);
    this.#streams.begin(answer.streams);
    this.#settle();
  }

  #snapshot(snapshot: Snapshot): void {
    this.#streams.replace(snapshot);
    this.#acks.applied(snapshot.s, snapshot.as_of_seq);
    this.#settle();
  }

  #event(event: Ev): void {
    const effect = this.#streams.apply(event);
    if (effect === 'gap') void this.#resubscribe(event.s);
    if (effect !== 'applied') return;
    this.#acks.applied(event.s, event.seq);
    this.#settle();
    if (!this.#first(event.id)) return;
    this.#tell(event.type as keyof EventData, event as never);
    if (event.type === 'sla_breached') {
      const { study_uid, due_at, alert_id } = event.data as unknown as EventData['sla_breached'];
      this.#breach({ alert_id: alert_id ?? event.id, study_uid, due_at: due_at ?? event.ts, provisional: false });
    }
  }

  #breach(breach: LiveEvents['breach']): void {
    const { alert_id, study_uid, due_at, provisional } = breach;
    if (this.#first(`breach ${alert_id}`)) this.#tell('breach', { alert_id, study_uid, due_at, provisional });
  }

  async #resubscribe(stream: string): Promise<void> {
    const link = this.#link;
    if (!link?.connected || !this.hello) return; // the next connection names it
    try {
      const streams = { [stream]: this.#streams.offsets()[stream] ?? null };
      const answer = await link.ask<Subscribed | Refused>('subscribe', { streams });
      if ('error' in answer) link.close();
      else this.#started(answer);
    } catch {
      link.close(); // begin again from the offsets
    }
  }

  #reauthBefore(expiresAt: string): void {
    const leftMs = Date.parse(expiresAt) - this.serverNow();
    this.#later(Math.min(REAUTH_MOST_MS, Math.max(5_000, leftMs / 2)), () => this.#reauth(expiresAt));
  }

  async #reauth(expiresAt: string): Promise<void> {
    try {
      const answer = await this.#ask<Reauthed | Refused>('reauth', { ticket: await socketTicket(this.#source) });
      this.#reauthBefore('error' in answer ? expiresAt : answer.expires_at);
    } catch {
      this.#later(5_000, () => this.#reauth(expiresAt));
    }
  }

  async #sampleClock(samples: number): Promise<void> {
    for (let n = 0; n < samples; n++) {
      try {
        const t0 = performance.now();
        const answer = await this.#ask<TimeAnswer>('time', { t0 });
        this.#clock.sample(t0, answer.server_time);
      } catch {
        return;
      }
    }
    this.#later(SAMPLE_EVERY_MS, () => this.#sampleClock(1));
  }

  // -- what follows from it -----------------------------------------------------------------------
  #lost(): void {
    this.#acks.clear();
    this.#streams.disconnected();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    if (!this.#running) return;
    this.#lostAt ??= performance.now();
    const gone = performance.now() - this.#lostAt >= OFFLINE_AFTER_MS;
    this.#become(gone ? 'offline' : this.hello ? 'stale' : 'connecting');
  }

  #settle(): void {
    if (this.#link?.connected && this.#streams.current) {
      this.#lostAt = null;
      this.#become('live');
      for (const done of this.#awaitLive.splice(0)) done();
    } else if (this.status !== 'connecting') this.#become('stale');
    else this.#changed();
  }

  #become(status: LiveStatus): void {
    this.status = status;
    this.#changed();
  }

  #changed(): void {
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }

  #tell<T extends keyof LiveEvents>(type: T, payload: LiveEvents[T]): void {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) handler(payload as never);
  }

  #first(id: string): boolean {
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > KNOWN_IDS) for (const old of this.#seen) if (this.#seen.delete(old)) break;
    return true;
  }

  #later(ms: number, act: () => unknown): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }
}
