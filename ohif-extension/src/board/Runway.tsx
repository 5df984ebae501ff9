// "Time left": a mark for each study at the time it has left, in its site's lane.
import { type ReactElement, useMemo } from 'react';
import { useLive } from '../state/room';
import { Icon } from '../ui/icons';
import { SiteBadge } from '../ui/pieces';
import { nameParts } from '../ui/time';
import { type Lane, lanes, type Mark, named, place, TO_MS } from './runway';

const MIN = 60_000;
const AXIS: readonly [number, string][] = [
  [-15, '15 min over'],
  [0, 'due'],
  [15, '15 min'],
  [30, '30 min'],
  [60, '1 h'],
  [90, '1 h 30'],
];

function Sign({ mark, onOpen }: { mark: Mark; onOpen: (studyUid: string) => void }): ReactElement {
  const { row, face, x, line } = mark;
  const name = nameParts(row.patient?.name ?? '')[0] || row.accession_number || 'Study';
  const says = `${name}, ${row.procedure || row.modality}, ${face.words}${face.look === 'breached' || face.look === 'paused' ? '' : ' left'}`;
  return (
    <button
      type="button"
      className="rw-mark"
      data-s={face.look}
      tabIndex={-1}
      title={says}
      aria-label={says}
      style={{ '--x': `${x}%`, '--line': line } as React.CSSProperties}
      onClick={() => onOpen(row.study_uid)}
    >
      <Icon name={face.look} />
      {named(face) ? (
        <b>
          <bdi>{name}</bdi>, {face.words}
        </b>
      ) : null}
    </button>
  );
}

function LaneLine({ lane, onOpen }: { lane: Lane; onOpen: (studyUid: string) => void }): ReactElement {
  return (
    <div className="rw-lane">
      <span className="rw-site">
        <SiteBadge site={lane.site} />
        <small>{lane.open} open</small>
      </span>
      <div className="rw-track" data-lines={Math.max(1, ...lane.marks.map((mark) => mark.line + 1))}>
        {lane.marks.map((mark) => (
          <Sign key={mark.row.study_uid} mark={mark} onOpen={onOpen} />
        ))}
        {lane.more > 0 ? <small className="rw-more">and {lane.more} more</small> : null}
      </div>
    </div>
  );
}

/** The runway of the sites that are shown. */
export function Runway({
  site,
  nowMs,
  onOpen,
}: {
  site: string;
  nowMs: number;
  onOpen: (studyUid: string) => void;
}): ReactElement {
  const client = useLive();
  const beat = Math.floor(nowMs / 1000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn anew each second, or when something changed
  const all = useMemo(
    () =>
      lanes(
        [...client.rows.values()].filter((row) => !site || row.site.id === site),
        nowMs,
      ),
    [client.version, beat, site],
  );
  const near = all.reduce((sum, lane) => sum + lane.marks.length + lane.more, 0);
  const open = all.reduce((sum, lane) => sum + lane.open, 0);
  return (
    <section className="bd-box rw" aria-label="Time left">
      <h2>
        Time left{' '}
        <small>
          {near} of {open} are due within {TO_MS / MIN / 60} h
        </small>
        <span className="grow" />
        <small className="rw-key">
          <Icon name="breached" /> breached
        </small>
      </h2>
      {all.length === 0 ? <p className="bd-empty">Nothing is open.</p> : null}
      {all.length > 0 ? (
        <div className="rw-lanes">
          <div className="rw-axis" aria-hidden="true">
            {AXIS.map(([minutes, words]) => (
              <span
                key={words}
                data-due={minutes === 0}
                style={{ '--x': `${place(minutes * MIN)}%` } as React.CSSProperties}
              >
                {words}
              </span>
            ))}
          </div>
          {all.map((lane) => (
            <LaneLine key={lane.site.id} lane={lane} onOpen={onOpen} />
          ))}
        </div>
      ) : null}
    </section>
  );
}
