// The board as it was: a manager names an instant, and sees it as past and to read only, beside nothing that acts.
import { type ReactElement, useState } from 'react';
import type { Counters, Presence as PresenceWord, Row } from '../live/wire';
import { ask } from '../state/api';
import { shortName, useLive } from '../state/room';
import { Presence, PriorityChip, RowName, SiteBadge } from '../ui/pieces';
import { clockTime, zoneName } from '../ui/time';
import { holder, listed } from './order';
import { RowClock } from './RowClock';

/** The board as REST tells it of an instant. */
export interface PastBoard {
  at: string;
  items: Row[];
  counters: Counters;
  readers: { radiologist_id: string; presence: PresenceWord; load: number; study_uid: string | null }[];
}

const COUNTED: [keyof Counters, string][] = [
  ['open', 'open'],
  ['breached', 'breached'],
  ['unread', 'without a reader'],
  ['offered', 'offered'],
  ['assigned', 'assigned'],
  ['reading', 'being read'],
  ['final_today', 'final that day'],
];

/** The choice of an instant; only who may ask sees it. */
export function AsOf({ onShow }: { onShow: (board: PastBoard) => void }): ReactElement | null {
  const client = useLive();
  const [when, setWhen] = useState('');
  const [wrong, setWrong] = useState('');
  const role = client.me?.role;
  if (role !== 'manager' && role !== 'admin') return null;
  const show = async (): Promise<void> => {
    if (!when) {
      setWrong('Choose a date and a time first.');
      return;
    }
    if (Date.parse(when) > Date.now()) {
      setWrong('This instant is still to come.');
      return;
    }
    try {
      onShow(await ask<PastBoard>(`/api/board/past?at=${new Date(when).toISOString()}`));
      setWrong('');
    } catch (refusal) {
      setWrong(refusal instanceof Error ? refusal.message : 'The server did not answer.');
    }
  };
  return (
    <section className="bd-box" data-part="past">
      <h2>Look back</h2>
      <form
        className="bd-ask"
        onSubmit={(event) => {
          event.preventDefault();
          void show();
        }}
      >
        <label>
          As of, {zoneName()}
          <input
            className="input"
            type="datetime-local"
            step={1}
            value={when}
            onChange={(event) => setWhen(event.target.value)}
          />
        </label>
        <button className="btn" type="submit">
          Show
        </button>
      </form>
      <p className="bd-said" role="status">
        {wrong}
      </p>
    </section>
  );
}

/** What stood on the board then. */
export function Past({ board, onBack }: { board: PastBoard; onBack: () => void }): ReactElement {
  const client = useLive();
  const atMs = Date.parse(board.at);
  const name = (id: string): string => client.readers.get(id)?.name ?? 'a reader';
  return (
    <section className="bd-past" aria-label="The board as it was">
      <p className="bd-note" role="status">
        <b>
          Past: {new Date(atMs).toLocaleDateString()} {clockTime(atMs)} {zoneName(atMs)}
        </b>
        <span>As it was, to read only. Names and numbers of patients are today's.</span>
        <button className="btn" type="button" onClick={onBack}>
          Back to now
        </button>
      </p>
      <p className="bd-counted">
        {COUNTED.map(([key, words]) => (
          <span key={key}>
            <b>{board.counters[key]}</b> {words}
          </span>
        ))}
      </p>
      <div className="bd-cols">
        <section className="bd-box bd-list" aria-label="Studies that were open">
          <h2>
            Open then <small>{board.items.length.toLocaleString()}</small>
          </h2>
          {board.items.length === 0 ? <p className="bd-empty">Nothing was open.</p> : null}
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
          <ul className="bd-rows" tabIndex={0} aria-label="Studies that were open, what was due next first">
            {listed(board.items, atMs).map((row) => (
              <li className="bd-row" key={row.study_uid} data-study={row.study_uid}>
                <RowClock row={row} nowMs={atMs} />
                <PriorityChip priority={row.priority} />
                <SiteBadge site={row.site} />
                {row.patient ? <RowName name={row.patient.name} /> : <span>{row.accession_number}</span>}
                <span className="cut">{row.procedure || row.modality}</span>
                <span className="cut">{holder(row, name)}</span>
              </li>
            ))}
          </ul>
        </section>
        <section className="bd-box bd-side" aria-label="Readers then">
          <h2>
            Readers then <span className="grow" />
            <small>studies</small>
          </h2>
          {board.readers.map((r) => (
            <div className="bd-reader" key={r.radiologist_id}>
              <Presence state={r.presence} />
              <b dir="auto" className="cut">
                {shortName(name(r.radiologist_id))}
              </b>
              <span className="quiet">{r.study_uid ? 'reading' : ''}</span>
              <span className="strong">{r.load}</span>
            </div>
          ))}
        </section>
      </div>
    </section>
  );
}
