// What a manager may do about one study: give it to a reader, stop or start its clock.
import { type ReactElement, useState } from 'react';
import type { Answer, Row } from '../live/wire';
import { live, useLive } from '../state/room';
import { IdentityBlock, SiteBadge } from '../ui/pieces';
import { Readings } from '../ui/readings';
import { lined } from './order';

const GIVE_UP_MS = 8000;

/** The card below the list: whom it is about, and the choices. */
export function Decide({ row, nowMs, onClose }: { row: Row; nowMs: number; onClose: () => void }): ReactElement {
  const readers = lined(useLive().readers.values());
  const [who, setWho] = useState('');
  const [reason, setReason] = useState('');
  const [override, setOverride] = useState(false);
  const [said, setSaid] = useState('');
  const tell = async (doing: Promise<Answer>, done: string): Promise<void> => {
    setSaid('');
    const answer = await doing;
    if ('error' in answer) {
      setOverride(answer.error === 'not_eligible');
      setSaid(answer.message);
    } else setSaid(done);
  };
  const { study_uid, version } = row;
  const paused = row.sla?.state === 'paused';
  const because = reason.trim() ? { reason: reason.trim() } : {};
  const assign = (): void => {
    if (!who) setSaid('Choose a reader first.');
    else
      void tell(
        live().call(
          'assign',
          { study_uid, version, radiologist_id: who, override, ...because },
          { giveUpMs: GIVE_UP_MS },
        ),
        'Assigned.',
      );
  };
  const clock = (): void => {
    if (!reason.trim()) setSaid(`Give a reason to ${paused ? 'resume' : 'pause'} the clock.`);
    else
      void tell(
        live().call(
          paused ? 'resume_clock' : 'pause_clock',
          { study_uid, version, reason: reason.trim() },
          { giveUpMs: GIVE_UP_MS },
        ),
        paused ? 'The clock runs again.' : 'The clock is paused.',
      );
  };
  return (
    <section className="bd-act" aria-label="Decide">
      <div>
        <IdentityBlock row={row} nowMs={nowMs} />
        <SiteBadge site={row.site} full />
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          assign();
        }}
      >
        <label>
          Reader
          <select className="input" value={who} onChange={(event) => setWho(event.target.value)}>
            <option value="">Choose</option>
            {readers.map((r) => (
              <option key={r.radiologist_id} value={r.radiologist_id}>
                {r.name}, {r.presence}, {r.load} of {r.capacity}
              </option>
            ))}
          </select>
        </label>
        <label>
          Reason
          <input className="input" value={reason} onChange={(event) => setReason(event.target.value)} maxLength={400} />
        </label>
        <button className="btn go" type="submit">
          {override ? 'Assign anyway' : 'Assign'}
        </button>
        {row.sla && row.sla.state !== 'stopped' ? (
          <button className="btn" type="button" onClick={clock}>
            {paused ? 'Resume clock' : 'Pause clock'}
          </button>
        ) : null}
        <button className="btn bare" type="button" onClick={onClose}>
          Close <kbd>Esc</kbd>
        </button>
      </form>
      <p role="status">{said}</p>
      <Readings row={row} />
    </section>
  );
}
