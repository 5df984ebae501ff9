// Why this study came to this reader: one line, and the assigner's own account when opened.
import { type ReactElement, useState } from 'react';
import { getExplanation } from '../state/api';
import { Icon } from './icons';

type Line = [label: string, words: string];

const LABELS: Record<string, string> = {
  factors: 'Your reasons',
  your_time: 'Your time',
  your_case_now: 'Your case now',
  why_not_others: 'Why not others',
  runners_up: 'Why not others',
  fair_share: 'Fair share',
  would_change: 'Would change',
  what_would_change: 'Would change',
  what_would_change_it: 'Would change',
  excluded: 'Cannot take it',
};

const SILENT = new Set([
  'study_uid',
  'offer_id',
  'radiologist_id',
  'at',
  'version',
  'why',
  'decided_at',
  'kind',
  'rev',
  'status',
]);

function label(key: string): string {
  return LABELS[key] ?? `${key.charAt(0).toUpperCase()}${key.slice(1).replaceAll('_', ' ')}`;
}

/** Any JSON value as words: the account's form may grow without this page knowing. */
export function words(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(2);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) {
    const parts = value.map(words).filter(Boolean);
    return parts.join(parts.some((part) => /[.,]/.test(part)) ? ' ' : ', ');
  }
  const it = value as Record<string, unknown>;
  const head = words(it.name ?? it.label ?? it.factor);
  const body = words(it.why_not ?? it.why ?? it.says ?? it.detail ?? it.value ?? it.reason ?? it.score);
  if (head || body) return [head, body].filter(Boolean).join(': ') + (head && body && !/[.]$/.test(body) ? '.' : '');
  return Object.entries(it)
    .filter(([key]) => !SILENT.has(key))
    .map(([key, inner]) => `${label(key).toLowerCase()} ${words(inner)}`)
    .join(', ');
}

/** What spoke for this reader, from the assigner's factors. */
function factorWords(factors: unknown): string {
  if (!Array.isArray(factors)) return words(factors);
  const by = new Map(factors.map((one: Record<string, unknown>) => [String(one.name), one.value ?? one.why]));
  const parts: string[] = [];
  const specialty = by.get('specialty');
  if (specialty !== undefined)
    parts.push(specialty === 'any' ? 'any reader may have it' : `it asks for ${words(specialty)}`);
  if (by.has('load')) parts.push(`you have ${words(by.get('load'))} of ${words(by.get('capacity'))} studies`);
  for (const [name, value] of by) {
    if (['specialty', 'load', 'capacity', 'priority', 'acuity'].includes(name)) continue;
    parts.push(`${name.replaceAll('_', ' ')} ${words(value)}`);
  }
  const said = parts.join(', ');
  return said && `${said.charAt(0).toUpperCase()}${said.slice(1)}.`;
}

function lines(account: Record<string, unknown>): Line[] {
  return Object.entries(account)
    .filter(([key]) => !SILENT.has(key))
    .map(([key, value]): Line => [label(key), key === 'factors' ? factorWords(value) : words(value)])
    .filter(([, said]) => said !== '');
}

/** The line, and what is behind it. */
export function WhyYou({
  studyUid,
  why,
  open = false,
}: {
  studyUid: string;
  why: string;
  open?: boolean;
}): ReactElement {
  const [account, setAccount] = useState<Line[] | null>(null);
  const [failed, setFailed] = useState('');
  const ask = (opened: boolean): void => {
    if (!opened || account) return;
    getExplanation(studyUid).then(
      (said) => setAccount(lines(said)),
      (error: Error) => setFailed(error.message),
    );
  };
  return (
    <details className="why" open={open} onToggle={(event) => ask(event.currentTarget.open)}>
      <summary>
        <Icon name="chev" />
        <span>
          <b>Why you:</b> {why}
        </span>
      </summary>
      {failed ? <p className="quiet">{failed}</p> : null}
      {account ? (
        <table>
          <tbody>
            {account.map(([head, said]) => (
              <tr key={head}>
                <th scope="row">{head}</th>
                <td>{said}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </details>
  );
}
