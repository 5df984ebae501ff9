// What the page asks of REST: readers and their shifts, sheets, and the versions of the policy.
import { ask } from '../state/api';

/** A reader with her profile. */
export interface Profile {
  radiologist_id: string;
  name: string;
  email: string;
  role: string;
  licences: { jurisdiction: string; valid_from: string | null; valid_to: string | null }[];
  privileges: { site: string; valid_from: string | null; valid_to: string | null }[];
  subspecialties: Record<string, number>;
  modalities: Record<string, number>;
  capacity: number | null;
  conflicts: { about: string; of: string }[];
  version: number;
}

/** When a reader works. */
export interface Shift {
  shift_id: string;
  radiologist_id: string;
  starts_at: string;
  ends_at: string;
  kind: 'duty' | 'on_call';
}

/** What a sheet did, or would do. */
export interface Taken {
  rows: number;
  changed: number;
  applied: boolean;
  errors: { line: number; column: string; what: string; cure: string }[];
}

export type Mode = 'draft' | 'shadow' | 'by_day' | 'live';

/** A version of the policy. */
export interface Version {
  version: number;
  mode: Mode | 'retired';
  today: boolean;
  by: string | null;
  at: string;
  live_at: string | null;
  note: string;
  policy: Record<string, unknown>;
}

/** A value that differs between two versions. */
export interface Change {
  path: string;
  before: unknown;
  after: unknown;
}

/** A version beside the live one. */
export interface Comparison {
  live_version: number;
  decisions: number;
  agreed: number;
  only_live: number;
  only_shadow: number;
  arms: { version: number; studies: number; breached: number; signed: number; tat_min_p50: number | null }[];
}

interface Page<T> {
  items: T[];
  next: string | null;
}

async function all<T>(path: string): Promise<T[]> {
  const found: T[] = [];
  let after: string | null = null;
  do {
    const more: string = after === null ? '' : `&after=${encodeURIComponent(after)}`;
    const page: Page<T> = await ask<Page<T>>(`${path}${path.includes('?') ? '&' : '?'}limit=200${more}`);
    found.push(...page.items);
    after = page.next;
  } while (after !== null);
  return found;
}

const json = (body: object): RequestInit => ({ body: JSON.stringify(body) });
const DAY_MS = 86_400_000;

export const getProfiles = (): Promise<Profile[]> => all('/api/readers');

/** The shifts of the next two days. */
export const getShifts = (nowMs: number): Promise<Shift[]> =>
  all(`/api/shifts?from=${new Date(nowMs).toISOString()}&to=${new Date(nowMs + 2 * DAY_MS).toISOString()}`);

/** Change parts of a reader's profile; the rest stays, and `stale_version` is thrown if it was changed meanwhile. */
export const putProfile = (reader: Profile, change: Partial<Profile>): Promise<Profile> => {
  const { radiologist_id, name: _name, email: _email, role: _role, ...profile } = reader;
  return ask(`/api/readers/${encodeURIComponent(radiologist_id)}`, {
    method: 'PUT',
    ...json({ ...profile, ...change }),
  });
};

/** Take a sheet of readers or shifts, or only see what it would do. */
export const postSheet = (of: 'readers' | 'shifts', text: string, dryRun: boolean): Promise<Taken> =>
  ask(`/api/${of}/import?dry_run=${dryRun}`, { method: 'POST', body: text, headers: { 'Content-Type': 'text/csv' } });

const of = (version: number): string => `/api/policy/versions/${version}`;

export const getVersions = (): Promise<Version[]> => all('/api/policy/versions');

/** Add a version without effect. */
export const postDraft = (policy: object, note: string): Promise<Version> =>
  ask('/api/policy/versions', { method: 'POST', ...json({ policy, note }) });

/** Change what a version is for; `was` is what was seen. */
export const putMode = (version: number, mode: Mode, was: string): Promise<Version> =>
  ask(`${of(version)}/mode`, { method: 'PUT', ...json({ mode, was }) });

/** Bring a version back that was live. */
export const postRollback = (version: number): Promise<Version> =>
  ask(`${of(version)}/rollback`, { method: 'POST', ...json({}) });

/** How a version differs from the live one. */
export const getDiff = (version: number): Promise<{ against: number; items: Change[] }> => ask(`${of(version)}/diff`);

export const getComparison = (version: number): Promise<Comparison> => ask(`${of(version)}/comparison?limit=1`);
