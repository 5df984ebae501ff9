// The versions of the policy: what each is for, how it differs from the live one, what its trial shows, and what to make of it.
import { type ReactElement, useCallback, useEffect, useState } from 'react';
import { useLive } from '../state/room';
import { clockTime } from '../ui/time';
import {
  type Change,
  getComparison,
  getDiff,
  getVersions,
  type Mode,
  postDraft,
  postRollback,
  putMode,
  type Version,
} from './calls';
import { comparison, mode, moves } from './words';

const ACT: Record<Mode, string> = {
  draft: 'Back to draft',
  shadow: 'Try in the shadow',
  by_day: 'Try by day',
  live: 'Make live',
};

function shown(value: unknown): string {
  return value === null || value === undefined ? 'nothing' : JSON.stringify(value);
}

function Details({ version }: { version: Version }): ReactElement {
  const [changes, setChanges] = useState<Change[] | null>(null);
  const [trial, setTrial] = useState<string[]>([]);
  const live = useLive().me?.role;
  const manages = live === 'manager' || live === 'admin';
  useEffect(() => {
    let current = true;
    void getDiff(version.version).then((diff) => current && setChanges(diff.items));
    if (manages) void getComparison(version.version).then((it) => current && setTrial(comparison(it)));
    return () => {
      current = false;
    };
  }, [version.version, manages]);
  return (
    <div className="st-details">
      <h3>Beside the live version</h3>
      {changes?.length === 0 ? <p className="quiet">It is alike.</p> : null}
      <ul>
        {changes?.map((change) => (
          <li key={change.path}>
            {change.path}: {shown(change.before)} → <span className="strong">{shown(change.after)}</span>
          </li>
        ))}
      </ul>
      {trial.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
    </div>
  );
}

/** A new version is the text of the live one, changed. */
function Draft({ from, onMade }: { from: Version | undefined; onMade: (said: string) => void }): ReactElement {
  const [text, setText] = useState('');
  const [note, setNote] = useState('');
  const make = (): void => {
    let policy: object;
    try {
      policy = JSON.parse(text) as object;
    } catch (error) {
      onMade(`This is not JSON: ${(error as Error).message}`);
      return;
    }
    postDraft(policy, note).then(
      (made) => {
        setText('');
        onMade(`Version ${made.version} is a draft.`);
      },
      (error: Error) => onMade(error.message),
    );
  };
  return (
    <section className="bd-box" aria-label="New version">
      <h2>New version</h2>
      <div className="st-pad">
        <button className="btn" type="button" onClick={() => setText(JSON.stringify(from?.policy ?? {}, null, 2))}>
          Begin with {from ? `version ${from.version}` : 'the defaults'}
        </button>
        <label>
          Note{' '}
          <input className="input" maxLength={200} value={note} onChange={(event) => setNote(event.target.value)} />
        </label>
        <label className="st-wide">
          <span className="vh">The policy as JSON</span>
          <textarea
            className="input st-json"
            rows={12}
            spellCheck={false}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        <button className="btn go" type="button" disabled={!text.trim()} onClick={make}>
          Keep as draft
        </button>
      </div>
    </section>
  );
}

/** The list, and a new draft. */
export function Rules(): ReactElement {
  const role = useLive().me?.role;
  const manages = role === 'manager' || role === 'admin';
  const [versions, setVersions] = useState<Version[] | null>(null);
  const [open, setOpen] = useState<number | null>(null);
  const [said, setSaid] = useState('');
  const read = useCallback((): void => {
    getVersions().then(setVersions, (error: Error) => setSaid(error.message));
  }, []);
  useEffect(read, [read]);
  const tell = (doing: Promise<Version>): void => {
    doing
      .then(
        (version) => setSaid(`Version ${version.version}: ${mode(version)}.`),
        (error: Error) => setSaid(error.message),
      )
      .finally(read);
  };
  return (
    <>
      <section className="bd-box st-box" aria-label="Policy versions">
        <h2>
          Policy <small>{versions?.length === 0 ? 'the defaults hold: nobody has set another' : ''}</small>
        </h2>
        <ul className="st-versions">
          {versions?.map((version) => (
            <li key={version.version} data-live={version.today}>
              <div className="st-version">
                <b>{version.version}</b>
                <span className={version.today ? 'strong' : ''}>{mode(version)}</span>
                <span className="quiet">
                  {version.note} {new Date(version.at).toLocaleDateString()} {clockTime(version.at)}
                </span>
                <button
                  className="btn bare"
                  type="button"
                  aria-expanded={open === version.version}
                  onClick={() => setOpen(open === version.version ? null : version.version)}
                >
                  {open === version.version ? 'Close' : 'Compare'}
                </button>
                {manages
                  ? moves(version).map((to) => (
                      <button
                        key={to}
                        className="btn"
                        type="button"
                        onClick={() => tell(putMode(version.version, to, version.mode))}
                      >
                        {ACT[to]}
                      </button>
                    ))
                  : null}
                {manages && version.mode === 'retired' ? (
                  <button className="btn" type="button" onClick={() => tell(postRollback(version.version))}>
                    Bring back
                  </button>
                ) : null}
              </div>
              {open === version.version ? <Details version={version} /> : null}
            </li>
          ))}
        </ul>
        <p role="status" className="st-said">
          {said}
        </p>
      </section>
      {manages ? (
        <Draft
          from={versions?.find((version) => version.mode === 'live')}
          onMade={(words) => {
            setSaid(words);
            read();
          }}
        />
      ) : null}
    </>
  );
}
