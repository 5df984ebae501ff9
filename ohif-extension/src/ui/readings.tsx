// Two readings side by side: what each says, where they differ, and the word that settles them.
import { type ReactElement, useEffect, useState } from 'react';
import { isDone, type Row, type Settle } from '../live/wire';
import { type Readings as Found, getReadings } from '../state/api';
import { PARTS } from '../state/draft';
import { live, me, readerOf } from '../state/room';
import { holderOf, secondWords } from '../state/second';
import { Button } from './controls';
import { Icon } from './icons';
import { preciseTime } from './time';

/** Where a row has little room. */
const SHORT: Record<string, string> = { 'Second read': '2nd', 'Compare readings': 'Compare' };

/** "Second read", "Co-sign" and what follows, as rows and cards show it. */
export function SecondTag({ row, short = false }: { row: Row; short?: boolean }): ReactElement | null {
  const words = secondWords(row);
  if (!words) return null;
  return (
    <span className="second-tag" data-second={row.second_read?.state} title={short ? words : undefined}>
      <Icon name={row.second_read?.state === 'discordant' ? 'warn' : 'link'} />
      {short ? (SHORT[words] ?? words) : words}
    </span>
  );
}

function useReadings(row: Row): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  const { study_uid, version, status } = row;
  const some = row.second_read != null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again after each step
  useEffect(() => {
    let gone = false;
    if (some)
      getReadings(study_uid).then(
        (items) => !gone && setFound(items),
        () => undefined,
      );
    return () => {
      gone = true;
    };
  }, [study_uid, version, status, some]);
  return some ? found : null;
}

const same = (a = '', b = ''): boolean =>
  a.toLowerCase().split(/\s+/).join(' ') === b.toLowerCase().split(/\s+/).join(' ');

/** The signed texts; nothing while there is none to show. */
export function Readings({ row }: { row: Row }): ReactElement | null {
  const found = useReadings(row);
  const [said, setSaid] = useState('');
  const items = found?.items ?? [];
  if (!found || items.length === 0) return null;
  const who = me();
  const [first, second] = items;
  const differs = (part: (typeof PARTS)[number]): boolean =>
    second !== undefined && !same(first?.sections[part], second.sections[part]);
  const settle = async (outcome: Settle['outcome']): Promise<void> => {
    const answer = await live().call('settle', { study_uid: row.study_uid, version: row.version, outcome });
    setSaid(isDone(answer) ? '' : answer.message);
  };
  const hers = found.state === 'compare' && holderOf(row) === who?.id;
  const manages = who?.role === 'manager' && (found.state === 'compare' || found.state === 'discordant');
  const name = (id: string): string => (id === who?.id ? 'You' : (readerOf(id)?.name ?? 'Another reader'));
  return (
    <section className="readings" aria-label="Readings" data-state={found.state ?? ''}>
      <div className="both">
        {items.map((one, at) => (
          <article key={`${one.report_id} ${one.version}`}>
            <h3>
              {at === 0 ? 'First' : 'Second'}: <bdi>{name(one.radiologist_id)}</bdi>{' '}
              <span className="quiet">{preciseTime(one.at)}</span>
            </h3>
            {PARTS.filter((part) => one.sections[part] || differs(part)).map((part) => (
              <p key={part} data-differs={differs(part)}>
                <b className="label">
                  {differs(part) ? <Icon name="warn" /> : null}
                  {part.charAt(0).toUpperCase() + part.slice(1)}
                  {differs(part) ? ' differs' : ''}
                </b>
                <span dir="auto">{one.sections[part] || 'nothing'}</span>
              </p>
            ))}
          </article>
        ))}
      </div>
      {said ? <p role="alert">{said}</p> : null}
      {hers || manages ? (
        <div className="ft">
          {hers ? <span className="grow">Both have signed. Do they say the same?</span> : <span className="grow" />}
          {hers ? (
            <>
              <Button look="go" onPress={() => void settle('agree')}>
                They agree
              </Button>
              <Button onPress={() => void settle('discordant')}>They differ</Button>
            </>
          ) : null}
          {manages ? (
            <>
              <Button onPress={() => void settle('first')}>First stands</Button>
              <Button onPress={() => void settle('second')}>Second stands</Button>
            </>
          ) : null}
        </div>
      ) : null}
    </section>
  );
}
