// The assigner's account of a decision as sentences: your time, your case now, why not others, fair share, what would change.
import type { Row } from '../live/wire';
import { clockFace, shownName } from './time';

/** A line of the open view. */
export type Line = [label: string, words: string];

/** What the server says of a decision; fields that a newer server adds are shown too. */
export type Account = Record<string, unknown>;

interface Hers {
  kind?: string;
  minutes?: number;
  ahead_min?: number;
  now_min?: number;
  spare_min?: number | null;
  share_min?: number | null;
}

interface RunnerUp {
  name?: string;
  why_not?: string;
}

const SHOWN = 3;
const EVEN_MIN = 5; // less than this beyond or below her share is even

/** Everything that has a sentence of its own, or is for machines. */
const KNOWN = new Set([
  'study_uid',
  'offer_id',
  'radiologist_id',
  'at',
  'version',
  'why',
  'why_her',
  'decided_at',
  'kind',
  'rev',
  'status',
  'policy_version',
  'seed',
  'digest',
  'factors',
  'points',
  'position',
  'of',
  'you',
  'runners_up',
  'would_change',
]);

/** Minutes as people say them. */
function about(minutes: number): string {
  return minutes < 1 ? 'less than a minute' : `about ${Math.round(minutes)} min`;
}

function time(you: Hers): string {
  if (typeof you.minutes !== 'number') return '';
  const [modality, region] = (you.kind ?? '').split('/');
  const kind = [modality, region === 'any' ? '' : region].filter(Boolean).join(' ');
  return `${cap(about(you.minutes))} for ${kind || 'one'} like this.`;
}

function caseNow(you: Hers, reading: Row | null, nowMs: number): string {
  if (typeof you.ahead_min !== 'number') return '';
  const inTime =
    typeof you.spare_min !== 'number'
      ? ''
      : you.spare_min < 0
        ? 'It would be late.'
        : `Still on time, with ${Math.round(you.spare_min)} min to spare.`;
  const parts: string[] = [];
  if (reading) {
    const face = clockFace(reading.sla, nowMs);
    const who = reading.patient ? shownName(reading.patient.name) : 'On the screen';
    const left = face
      ? `${face.words}${face.look === 'breached' || face.look === 'paused' ? '' : ' left'}`
      : 'no clock';
    parts.push(`${who}: ${left}${you.now_min ? `, ${about(you.now_min)} of work` : ''}.`);
  } else if (you.now_min) parts.push(`${cap(about(you.now_min))} of work left.`);
  const rest = you.ahead_min - (you.now_min ?? 0);
  if (rest >= 1) parts.push(`${cap(about(rest))} more in hand.`);
  if (!parts.length) parts.push('Nothing in hand.');
  return [...parts, inTime].filter(Boolean).join(' ');
}

function cap(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

function others(list: unknown): string {
  if (!Array.isArray(list)) return '';
  const named = (list as RunnerUp[]).filter((one) => one.name && one.why_not);
  const more = named.length - SHOWN;
  const said = named.slice(0, SHOWN).map((one) => `${one.name}: ${one.why_not}.`);
  return [...said, more > 0 ? `${more} more.` : ''].filter(Boolean).join(' ');
}

function share(you: Hers): string {
  if (typeof you.share_min !== 'number') return '';
  const minutes = Math.round(Math.abs(you.share_min));
  if (minutes < EVEN_MIN) return 'Even with the team.';
  return `${minutes} min ${you.share_min < 0 ? 'below' : 'above'} your share of the team's work.`;
}

/** Any JSON value as words: the account's form may grow without this page knowing. */
export function words(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(2);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.map(words).filter(Boolean).join(', ');
  return Object.entries(value as Record<string, unknown>)
    .map(([key, inner]) => `${key.replaceAll('_', ' ')} ${words(inner)}`)
    .join(', ');
}

/** The lines of the open view, in their order; what the server does not say has none. */
export function lines(account: Account, reading: Row | null, nowMs: number): Line[] {
  const you = (account.you ?? {}) as Hers;
  const said: Line[] = [
    ['Your time', time(you)],
    ['Your case now', caseNow(you, reading, nowMs)],
    ['Why not others', others(account.runners_up)],
    ['Fair share', share(you)],
    ['Would change', words(account.would_change)],
  ];
  for (const [key, value] of Object.entries(account))
    if (!KNOWN.has(key)) said.push([cap(key.replaceAll('_', ' ')), words(value)]);
  return said.filter(([, sentence]) => sentence !== '');
}

/** One sentence for a colleague: why this reader was asked, and what would change it. */
export function sentence(account: Account, name: string): string {
  const why = words(account.why_her ?? account.why);
  return `${name}: ${why.charAt(0).toLowerCase()}${why.slice(1)} ${words(account.would_change)}`.trim();
}
