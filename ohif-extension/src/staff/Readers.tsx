// The readers of the group: what each may read, when she works, how much she holds; and sheets that set it all at once.
import { type ReactElement, useCallback, useEffect, useRef, useState } from 'react';
import { useLive, useNow } from '../state/room';
import { Presence } from '../ui/pieces';
import { getProfiles, getShifts, type Profile, postSheet, putProfile, type Shift, type Taken } from './calls';
import { Edit } from './Edit';
import { hours, licences, skills } from './words';

function Line({
  reader,
  shifts,
  nowMs,
  manages,
  onChanged,
  onEdit,
}: {
  reader: Profile;
  shifts: Shift[];
  nowMs: number;
  manages: boolean;
  onChanged: (said: string) => void;
  onEdit: () => void;
}): ReactElement {
  const seen = useLive().readers.get(reader.radiologist_id);
  const [text, setText] = useState(reader.capacity === null ? '' : String(reader.capacity));
  const asked = useRef(reader.capacity); // Enter asks, and leaving the field must not ask again with the version of before
  const set = (): void => {
    const wanted = text.trim() === '' ? null : Number(text);
    if (wanted === asked.current) return;
    asked.current = wanted;
    putProfile(reader, { capacity: wanted }).then(
      () => onChanged(`${reader.name} holds ${wanted === null ? 'what the policy says' : wanted} at a time.`),
      (error: Error) => {
        asked.current = reader.capacity;
        onChanged(error.message);
      },
    );
  };
  return (
    <tr>
      <th scope="row" dir="auto">
        {reader.name}
      </th>
      <td>{seen ? <Presence state={seen.presence} /> : ''}</td>
      <td>{hours(shifts, reader.radiologist_id, nowMs)}</td>
      <td>{licences(reader.licences)}</td>
      <td>{skills(reader.subspecialties)}</td>
      <td>{skills(reader.modalities)}</td>
      <td>
        {manages ? (
          <input
            className="input"
            type="number"
            min={1}
            max={1000}
            aria-label={`Studies at a time, ${reader.name}`}
            placeholder={seen ? String(seen.capacity) : ''}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onBlur={set}
            onKeyDown={(event) => {
              if (event.key === 'Enter') set();
            }}
          />
        ) : (
          (reader.capacity ?? seen?.capacity ?? '')
        )}
      </td>
      <td>
        {manages ? (
          <button className="btn" type="button" aria-label={`Edit ${reader.name}`} onClick={onEdit}>
            Edit
          </button>
        ) : null}
      </td>
    </tr>
  );
}

/** A sheet is tried first; what is wrong with it is listed, and only a whole one may be taken. */
function Sheets({ onTaken }: { onTaken: (said: string) => void }): ReactElement {
  const [of, setOf] = useState<'readers' | 'shifts'>('shifts');
  const [text, setText] = useState('');
  const [tried, setTried] = useState<Taken | null>(null);
  const [failed, setFailed] = useState('');
  const send = (dryRun: boolean): void => {
    setFailed('');
    postSheet(of, text, dryRun).then(
      (taken) => {
        setTried(dryRun ? taken : null);
        if (!dryRun) {
          setText('');
          onTaken(`${taken.changed} of ${taken.rows} rows changed something.`);
        }
      },
      (error: Error) => setFailed(error.message),
    );
  };
  const change = (said: string): void => {
    setText(said);
    setTried(null);
  };
  const good = tried !== null && tried.errors.length === 0 && tried.changed > 0;
  return (
    <section className="bd-box st-sheet" aria-label="Sheets">
      <h2>
        Sheets <small>CSV, taken whole or not at all</small>
      </h2>
      <div className="st-pad">
        <label>
          Of{' '}
          <select
            className="input"
            value={of}
            onChange={(event) => {
              setOf(event.target.value as 'readers' | 'shifts');
              setTried(null);
            }}
          >
            <option value="shifts">shifts: email, starts, ends, kind, breaks, time_zone</option>
            <option value="readers">readers: email, licences, privileges, subspecialties, modalities, capacity</option>
          </select>
        </label>
        <label>
          From a file{' '}
          <input
            type="file"
            accept=".csv,text/csv"
            onChange={(event) => void event.target.files?.[0]?.text().then(change)}
          />
        </label>
        <label className="st-wide">
          <span className="vh">The sheet</span>
          <textarea
            className="input"
            rows={4}
            spellCheck={false}
            placeholder="email,starts,ends"
            value={text}
            onChange={(event) => change(event.target.value)}
          />
        </label>
        <button className="btn" type="button" disabled={!text.trim()} onClick={() => send(true)}>
          Try
        </button>
        <button className="btn go" type="button" disabled={!good} onClick={() => send(false)}>
          Take
        </button>
        <p role="status">
          {failed ||
            (tried &&
              (tried.errors.length > 0
                ? `${tried.errors.length} wrong in ${tried.rows} rows: nothing is taken.`
                : `${tried.changed} of ${tried.rows} rows would change something.`))}
        </p>
        {tried && tried.errors.length > 0 ? (
          <ol className="st-wrong">
            {tried.errors.map((e) => (
              <li key={`${e.line} ${e.column} ${e.what}`}>
                Line {e.line}, {e.column || 'the row'}: {e.what} <span className="quiet">{e.cure}</span>
              </li>
            ))}
          </ol>
        ) : null}
      </div>
    </section>
  );
}

/** The table and the sheets. */
export function Readers(): ReactElement {
  const nowMs = useNow(60_000);
  const role = useLive().me?.role;
  const manages = role === 'manager' || role === 'admin';
  const [readers, setReaders] = useState<Profile[] | null>(null);
  const [shifts, setShifts] = useState<Shift[]>([]);
  const [said, setSaid] = useState('');
  const [edited, setEdited] = useState<Profile | null>(null);
  const read = useCallback((): void => {
    Promise.all([getProfiles(), getShifts(Date.now())]).then(
      ([people, times]) => {
        setReaders(people);
        setShifts(times);
      },
      (error: Error) => setSaid(error.message),
    );
  }, []);
  useEffect(read, [read]);
  const changed = (words: string): void => {
    setSaid(words);
    setEdited(null);
    read();
  };
  return (
    <>
      <section className="bd-box st-box" aria-label="Readers">
        <h2>
          Readers <small>{readers?.length ?? ''}</small>
        </h2>
        <table className="st-table">
          <thead>
            <tr>
              {['Name', 'Presence', 'Hours', 'Licences', 'Subspecialties', 'Modalities', 'At a time', 'Profile'].map(
                (head) => (
                  <th key={head} scope="col">
                    {head}
                  </th>
                ),
              )}
            </tr>
          </thead>
          <tbody>
            {readers?.map((reader) => (
              <Line
                key={`${reader.radiologist_id} ${reader.version}`}
                reader={reader}
                shifts={shifts}
                nowMs={nowMs}
                manages={manages}
                onChanged={changed}
                onEdit={() => setEdited(reader)}
              />
            ))}
          </tbody>
        </table>
        <p role="status" className="st-said">
          {said}
        </p>
      </section>
      {manages ? <Sheets onTaken={changed} /> : null}
      {edited ? <Edit reader={edited} onClose={() => changed('')} onSaved={changed} /> : null}
    </>
  );
}
