// What if: a manager asks the simulator about the night as it stands; the answer changes nothing.
import { type ReactElement, useState } from 'react';
import { ask } from '../state/api';
import { useLive } from '../state/room';
import { lined } from './order';
import { type Asked, body, type Forecast, felt, type Kind, sentence } from './whatif';

const KINDS: [Kind, string][] = [
  ['close_shift', 'a reader leaves now'],
  ['add_reader', 'one more reader reads'],
  ['send_studies', 'a site sends more studies'],
  ['scale_arrivals', 'more comes than usual'],
];
const START: Asked = {
  kind: 'close_shift',
  reader: '',
  site: '',
  specialty: '',
  modality: 'CT',
  number: 40,
  hours: 4,
};

/** The form and its answer; only who may ask sees it. */
export function WhatIf({ sites, nowMs }: { sites: [string, string][]; nowMs: number }): ReactElement | null {
  const client = useLive();
  const [asked, setAsked] = useState(START);
  const [said, setSaid] = useState<Forecast | null>(null);
  const [status, setStatus] = useState('');
  const role = client.me?.role;
  if (role !== 'manager' && role !== 'admin') return null;
  const put = (part: Partial<Asked>): void => setAsked({ ...asked, ...part });
  const forecast = async (): Promise<void> => {
    const question = body(asked, nowMs);
    if (!question) {
      setStatus(asked.kind === 'close_shift' ? 'Choose a reader first.' : 'Choose a site and a number first.');
      return;
    }
    setSaid(null);
    setStatus('Living the next hours many times over…');
    try {
      setSaid(await ask<Forecast>('/api/what-if', { method: 'POST', body: JSON.stringify(question) }));
      setStatus('');
    } catch (refusal) {
      setStatus(refusal instanceof Error ? refusal.message : 'The server did not answer.');
    }
  };
  const site = (all: string): ReactElement => (
    <label>
      Site
      <select className="input" value={asked.site} onChange={(event) => put({ site: event.target.value })}>
        <option value="">{all}</option>
        {sites.map(([id, name]) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
  const number = (words: string): ReactElement => (
    <label>
      {words}
      <input
        className="input"
        type="number"
        min={1}
        max={1000}
        value={asked.number}
        onChange={(event) => put({ number: Number(event.target.value) })}
      />
    </label>
  );
  return (
    <section className="bd-box" data-part="whatif">
      <h2>What if</h2>
      <form
        className="bd-ask"
        onSubmit={(event) => {
          event.preventDefault();
          void forecast();
        }}
      >
        <label>
          Change
          <select
            className="input"
            value={asked.kind}
            onChange={(event) => put({ kind: event.target.value as Kind, number: 40 })}
          >
            {KINDS.map(([kind, words]) => (
              <option key={kind} value={kind}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {asked.kind === 'close_shift' ? (
          <label>
            Reader
            <select className="input" value={asked.reader} onChange={(event) => put({ reader: event.target.value })}>
              <option value="">Choose</option>
              {lined(client.readers.values()).map((r) => (
                <option key={r.radiologist_id} value={r.radiologist_id}>
                  {r.name}
                </option>
              ))}
            </select>
          </label>
        ) : null}
        {asked.kind === 'add_reader' ? (
          <label>
            Reads
            <select
              className="input"
              value={asked.specialty}
              onChange={(event) => put({ specialty: event.target.value })}
            >
              <option value="">everything</option>
              {['neuro', 'chest', 'body', 'msk', 'breast'].map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        ) : null}
        {asked.kind === 'send_studies' ? (
          <>
            {site('Choose')}
            {number('Studies, CT')}
          </>
        ) : null}
        {asked.kind === 'scale_arrivals' ? (
          <>
            {site('All sites')}
            {number('Per cent more')}
          </>
        ) : null}
        <label>
          Until
          <select
            className="input"
            value={asked.hours}
            onChange={(event) => put({ hours: Number(event.target.value) })}
          >
            {[2, 4, 8, 12].map((hours) => (
              <option key={hours} value={hours}>
                {hours} hours from now
              </option>
            ))}
          </select>
        </label>
        <button className="btn" type="submit">
          Forecast
        </button>
      </form>
      <p className="bd-said" role="status">
        {said ? <b>{sentence(said)}</b> : status}
      </p>
      {said ? (
        <ul className="bd-felt">
          {said.priorities.map((p) => (
            <li key={p.priority}>
              {p.priority} {p.mean < 0 ? '−' : '+'}
              {Math.abs(Math.round(p.mean))}
            </li>
          ))}
          {felt(said).map((line) => (
            <li key={line} dir="auto">
              {line}
            </li>
          ))}
          <li className="quiet">
            {said.nights} nights in {said.took_s} s. A forecast changes no clock, no list and no assignment.
          </li>
        </ul>
      ) : null}
    </section>
  );
}
