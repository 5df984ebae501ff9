// The offers to the person at this desk: what is open, what became of the last one, and the two answers.
import type { LiveClient } from '../live/client';
import { type Answer, type DeclineReason, isDone, type Row } from '../live/wire';
import { getOfferTimes, postCommand, Refusal } from './api';
import { openStudy } from './navigate';
import { live, me, readerOf, rowOf } from './room';
import { holderOf } from './second';
import { playOffer } from './sound';

/** `open` and `sending` can still be accepted; the others say how it ended. */
export type OfferPhase = 'open' | 'sending' | 'taken' | 'expired' | 'withdrawn' | 'refused';

/** An offer as the card shows it. */
export interface OfferCard {
  offerId: string;
  row: Row;
  why: string;
  expiresAtMs: number;
  /** `performance.now()` when it was first shown here; its keys sleep until 0.7 s later. */
  seenAt: number;
  /** It was open already when the page came. */
  returned: boolean;
  wholeS: number;
  phase: OfferPhase;
  /** When it ended, server time. */
  endedAtMs: number;
  /** A sentence about how it ended. */
  says: string;
}

const SLEEP_MS = 700;
const SECOND_PATH_MS = 1_500;
const KEPT_MS = 10 * 60_000;
const USUAL_S: Record<string, number> = { STAT: 120, URGENT: 120, ROUTINE: 120 };

const ENDS: Record<string, OfferPhase> = { already_taken: 'taken', offer_expired: 'expired', not_found: 'withdrawn' };

/** What the desk needs of the page; tests give their own. */
export interface DeskPorts {
  live: LiveClient;
  userId: () => string | undefined;
  open: (studyUid: string) => void;
  row: (studyUid: string) => Row | undefined;
  readerName: (userId: string | null | undefined) => string;
  post: typeof postCommand;
  offerTimes: () => Promise<Record<string, number>>;
  sound: () => void;
}

/** Follows the connection and keeps the offer that a card or a strip shows. */
export class OfferDesk {
  /** The offer to show, the most urgent first; an ended one only while nothing is open. */
  card: OfferCard | null = null;
  /** How many are open. */
  count = 0;
  version = 0;

  readonly #ports: DeskPorts;
  readonly #cards = new Map<string, OfferCard>();
  /** Offers that were answered here: a row that is still on its way never brings them back. */
  readonly #answered = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #wholeS = USUAL_S;
  #settled = false;
  #asked = false;

  constructor(ports: DeskPorts) {
    this.#ports = ports;
    ports.live.subscribe(() => this.#look());
    ports.live.on('assignment_revoked', (event) => {
      const { offer_id, reason } = event.data;
      if (reason === 'declined' || this.#answered.has(offer_id) || this.#cards.get(offer_id)?.phase === 'sending')
        return;
      this.#end(
        offer_id,
        reason === 'expired' ? 'expired' : 'withdrawn',
        this.#afterwards(event.data.row ?? null, reason),
      );
    });
    this.#look();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether the card's keys are awake: a key that was meant for the viewer never accepts. */
  awake(card: OfferCard): boolean {
    return performance.now() - card.seenAt >= SLEEP_MS;
  }

  /** Close a card that has ended. */
  dismiss(): void {
    if (this.card && this.card.phase !== 'open' && this.card.phase !== 'sending') {
      this.#cards.delete(this.card.offerId);
      this.#choose();
    }
  }

  /** Take the offer, begin to read, and open the study. */
  async accept(card: OfferCard): Promise<void> {
    if (card.phase !== 'open') return;
    const { study_uid } = card.row;
    this.#change(card.offerId, { phase: 'sending', says: '' });
    const answer = await this.#send(study_uid, 'accept', { study_uid, offer_id: card.offerId });
    if (!isDone(answer)) {
      const phase = ENDS[answer.error] ?? (answer.error === 'retry' || answer.error === 'expired' ? 'open' : 'refused');
      const says =
        answer.error === 'already_taken'
          ? `${this.#ports.readerName(answer.by)} has it now. Nothing to do.`
          : (answer.why ?? answer.message);
      if (phase === 'open') this.#change(card.offerId, { phase, says });
      else this.#end(card.offerId, phase, says);
      return;
    }
    this.#answered.add(card.offerId);
    this.#cards.delete(card.offerId);
    this.#choose();
    void this.#send(study_uid, 'start_reading', { study_uid });
    this.#ports.open(study_uid);
  }

  /** Pass the offer on. Resolves with a sentence when it was refused. */
  async decline(card: OfferCard, reason: DeclineReason, note: string): Promise<string | null> {
    const { study_uid } = card.row;
    this.#answered.add(card.offerId);
    const fields = { study_uid, offer_id: card.offerId, reason, ...(note ? { note } : {}) };
    const answer = await this.#send(study_uid, 'decline', fields);
    if (isDone(answer) || answer.error === 'offer_expired') {
      this.#cards.delete(card.offerId);
      this.#look();
      return null;
    }
    this.#answered.delete(card.offerId);
    this.#look();
    return answer.message;
  }

  /** The socket first; over HTTP as well when the live feed is away, under the same key. */
  async #send<C extends 'accept' | 'decline' | 'start_reading'>(
    studyUid: string,
    command: C,
    fields: Parameters<LiveClient['call']>[1] & object,
  ): Promise<Answer> {
    const idem = crypto.randomUUID();
    const overSocket = this.#ports.live.call(command, fields as never, { idem });
    const overHttp = new Promise<Answer>((answered) => {
      setTimeout(async () => {
        if (this.#ports.live.status === 'live') return;
        const act = command === 'start_reading' ? 'start' : command;
        try {
          answered({ ok: true, ...(await this.#ports.post(studyUid, act, idem, fields)) });
        } catch (error) {
          if (error instanceof Refusal && error.code !== 'retry')
            answered({ error: error.code, message: error.message });
        }
      }, SECOND_PATH_MS);
    });
    return Promise.race([overSocket, overHttp]);
  }

  #look(): void {
    const { live, userId } = this.#ports;
    const me = userId();
    if (!me) return;
    if (!this.#asked) {
      this.#asked = true;
      void this.#ports.offerTimes().then(
        (times) => {
          this.#wholeS = { ...USUAL_S, ...times };
        },
        () => undefined,
      );
    }
    const open = new Set<string>();
    for (const row of this.#newest()) {
      const { offer } = row;
      if (!offer || offer.radiologist_id !== me || this.#answered.has(offer.offer_id)) continue;
      open.add(offer.offer_id);
      this.#seen(row, offer);
    }
    for (const card of this.#cards.values()) {
      const gone = card.phase === 'open' && !open.has(card.offerId) && live.status === 'live';
      if (gone) {
        const row = this.#ports.row(card.row.study_uid) ?? null;
        if (row && holderOf(row) === me) {
          this.#cards.delete(card.offerId); // taken in another window of hers
          continue;
        }
        this.#end(
          card.offerId,
          live.serverNow() >= card.expiresAtMs ? 'expired' : 'withdrawn',
          this.#afterwards(row, ''),
        );
      }
      if (card.endedAtMs && live.serverNow() - card.endedAtMs > KEPT_MS) this.#cards.delete(card.offerId);
    }
    this.#settled ||= live.status === 'live';
    this.#choose();
  }

  /** Every row once: two streams may tell of the same study, one of them later. */
  #newest(): Iterable<Row> {
    const { live } = this.#ports;
    const rows = new Map(live.rows);
    for (const [uid, row] of live.mine) if ((rows.get(uid)?.rev ?? -1) < row.rev) rows.set(uid, row);
    return rows.values();
  }

  #seen(row: Row, offer: NonNullable<Row['offer']>): void {
    const known = this.#cards.get(offer.offer_id);
    const expiresAtMs = Date.parse(offer.expires_at);
    if (known) {
      if (known.row !== row) this.#cards.set(offer.offer_id, { ...known, row, expiresAtMs, why: offer.why });
      return;
    }
    const leftS = Math.ceil((expiresAtMs - this.#ports.live.serverNow()) / 1000);
    this.#cards.set(offer.offer_id, {
      offerId: offer.offer_id,
      row,
      why: offer.why,
      expiresAtMs,
      seenAt: performance.now(),
      returned: !this.#settled,
      wholeS: Math.max(this.#wholeS[row.priority] ?? 0, leftS),
      phase: 'open',
      endedAtMs: 0,
      says: this.#settled ? '' : 'The offer is still yours.',
    });
    if (this.#settled) this.#ports.sound();
  }

  #afterwards(row: Row | null, reason: string): string {
    const asked = row?.offer?.radiologist_id;
    const next = asked ?? (row && holderOf(row));
    if (next && next !== this.#ports.userId())
      return `${this.#ports.readerName(next)} ${asked ? 'is asked' : 'has it'} now.`;
    return reason === 'cancelled'
      ? 'The order was cancelled. Nothing to do.'
      : 'It goes to the next reader. Nothing to do.';
  }

  #end(offerId: string, phase: OfferPhase, says: string): void {
    this.#change(offerId, { phase, says, endedAtMs: this.#ports.live.serverNow() });
  }

  #change(offerId: string, change: Partial<OfferCard>): void {
    const known = this.#cards.get(offerId);
    if (known) this.#cards.set(offerId, { ...known, ...change });
    this.#choose();
  }

  #choose(): void {
    const cards = [...this.#cards.values()];
    const open = cards.filter((card) => card.phase === 'open' || card.phase === 'sending');
    open.sort((a, b) => a.expiresAtMs - b.expiresAtMs);
    const ended = cards.filter((card) => card.endedAtMs).sort((a, b) => b.endedAtMs - a.endedAtMs);
    const card = open[0] ?? ended[0] ?? null;
    if (card === this.card && open.length === this.count) return;
    this.card = card;
    this.count = open.length;
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }
}

let desk: OfferDesk | null = null;

/** The page's desk, made at first use. */
export function offerDesk(): OfferDesk {
  desk ??= new OfferDesk({
    live: live(),
    userId: () => me()?.id,
    open: openStudy,
    row: rowOf,
    readerName: (userId) => readerOf(userId ?? null)?.name ?? 'Another reader',
    post: postCommand,
    offerTimes: getOfferTimes,
    sound: playOffer,
  });
  return desk;
}
