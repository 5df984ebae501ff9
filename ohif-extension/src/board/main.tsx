// The manager's board: every open study with its clock, who has it, and what to do about it. Without OHIF.
import { type ReactElement, useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import type { Answer, Reader, Row } from '../live/wire';
import { live, useLive, useNow } from '../state/room';
import { AiChip, aiFlag, ClockView, IdentityBlock, Presence, PriorityChip, RowName, SiteBadge } from '../ui/pieces';
import { LiveSign } from '../ui/status';
import { clockFace, preciseTime, zoneName } from '../ui/time';
import './board.css';
import { holder, lined, listed } from './order';

function Tiles(): ReactElement {
  const c = useLive().counters;
  const tiles: [string, number | undefined, boolean?][] = [
    ['Open', c?.open],
    ['Breached', c?.breached, (c?.breached ?? 0) > 0],
    ['Warned', c?.warned],
    ['No reader', c?.unread],
    ['Offered', c?.offered],
    ['Assigned', c?.assigned],
    ['Being read', c?.reading],
    ['Clock paused', c?.paused],
    ['Final today', c?.final_today],
  ];
  return (
    <section className="bd-tiles" aria-label="Counters">
      {tiles.map(([label, value, loud]) => (
        <div className="bd-tile" key={label} data-loud={Boolean(loud)}>
          <b>{value ?? '–'}</b>
          <span>{label}</span>
        </div>
      ))}
    </section>
  );
}

function Actions({ row, readers, nowMs }: { row: Row; readers: Reader[]; nowMs: number }): ReactElement {
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
  return (
    <div className="bd-act">
      <IdentityBlock row={row} nowMs={nowMs} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!who) setSaid('Choose a reader first.');
          else
            void tell(
              live().call(
                'assign',
                { study_uid, version, radiologist_id: who, override, ...because },
                { giveUpMs: 8000 },
              ),
              'Assigned.',
            );
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
        <button className="btn" type="submit">
          {override ? 'Assign anyway' : 'Assign'}
        </button>
        {row.sla && row.sla.state !== 'stopped' ? (
          <button
            className="btn"
            type="button"
            onClick={() => {
              if (!reason.trim()) setSaid(`Give a reason to ${paused ? 'resume' : 'pause'} the clock.`);
              else
                void tell(
                  live().call(
                    paused ? 'resume_clock' : 'pause_clock',
                    { study_uid, version, reason: reason.trim() },
                    { giveUpMs: 8000 },
                  ),
                  paused ? 'The clock runs again.' : 'The clock is paused.',
                );
            }}
          >
            {paused ? 'Resume clock' : 'Pause clock'}
          </button>
        ) : null}
      </form>
      {said ? <p role="status">{said}</p> : null}
    </div>
  );
}

function Studies({ nowMs }: { nowMs: number }): ReactElement {
  const client = useLive();
  const [open, setOpen] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const second = Math.floor(nowMs / 5000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new order each 5 s, or when something changed
  const rows = useMemo(() => listed(client.rows.values(), nowMs), [client.version, second]);
  const readers = lined(client.readers.values());
  const name = (id: string): string => client.readers.get(id)?.name ?? 'a reader';
  const manages = client.me?.role === 'manager';
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'j') setAt((n) => Math.min(rows.length - 1, n + 1));
      else if (event.key === 'k') setAt((n) => Math.max(0, n - 1));
      else if (event.key === 'Escape') setOpen(null);
      else if (event.key === 'Enter' && !(event.target instanceof HTMLButtonElement))
        setOpen(rows[at]?.study_uid ?? null);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [rows, at]);
  return (
    <section className="bd-box">
      <h2>
        Open studies <small>{rows.length}, what is due next first. J K move, Enter opens.</small>
      </h2>
      {rows.length === 0 ? <p className="bd-empty">Nothing is open. The next study appears here by itself.</p> : null}
      <ul className="bd-rows">
        {rows.map((row, index) => {
          const face = clockFace(row.sla, nowMs);
          const flag = aiFlag(row);
          const shown = open === row.study_uid;
          return (
            <li key={row.study_uid}>
              <div className="bd-row" data-on={index === at || shown} data-study={row.study_uid}>
                {face ? <ClockView face={face} /> : <span className="quiet">no clock yet</span>}
                <PriorityChip priority={row.priority} />
                <SiteBadge site={row.site} />
                {row.patient ? <RowName name={row.patient.name} /> : <span>{row.accession_number}</span>}
                <span className="cut">
                  {row.procedure || row.modality} {flag ? <AiChip result={flag} /> : null}
                </span>
                <span className="cut">{holder(row, name)}</span>
                {manages ? (
                  <button
                    className="btn"
                    type="button"
                    aria-expanded={shown}
                    onClick={() => {
                      setAt(index);
                      setOpen(shown ? null : row.study_uid);
                    }}
                  >
                    {shown ? 'Close' : 'Decide'}
                  </button>
                ) : null}
              </div>
              {shown && manages ? <Actions row={row} readers={readers} nowMs={nowMs} /> : null}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Readers(): ReactElement {
  const client = useLive();
  const readers = lined(client.readers.values());
  const there = readers.filter((r) => r.presence === 'online' || r.presence === 'reading').length;
  return (
    <section className="bd-box">
      <h2>
        Readers{' '}
        <small>
          {there} of {readers.length} present
        </small>
      </h2>
      {readers.length === 0 ? <p className="bd-empty">No reader belongs to this group yet.</p> : null}
      {readers.map((r) => (
        <div className="bd-reader" key={r.radiologist_id}>
          <Presence state={r.presence} />
          <b dir="auto">{r.name}</b>
          <span>
            {r.load} of {r.capacity}
          </span>
          <div className="bd-bar" data-full={r.load >= r.capacity}>
            <i style={{ '--p': `${Math.min(100, (r.load / r.capacity) * 100)}%` } as React.CSSProperties} />
          </div>
        </div>
      ))}
    </section>
  );
}

function Board(): ReactElement {
  const client = useLive();
  const nowMs = useNow();
  const down = client.status === 'offline' || client.status === 'stale';
  return (
    <>
      <header className="bd-top">
        <h1>Board</h1>
        <a href="/">Worklist</a>
        <LiveSign />
        <time>
          {preciseTime(nowMs)} {zoneName(nowMs)}
        </time>
      </header>
      <main className="bd">
        {down ? (
          <p className="bd-note">No connection: this is how it was. It catches up by itself; nothing is lost.</p>
        ) : null}
        <Tiles />
        <Studies nowMs={nowMs} />
        <Readers />
      </main>
    </>
  );
}

createRoot(document.querySelector('#app') ?? document.body).render(<Board />);
