// The few REST calls that the screens make beside the socket; a refusal is an error with the server's code and sentence.
import type { Row, SecondRead } from '../live/wire';
import { toLogin } from './room';

/** What the server refused, and why. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** The four parts of a report. */
export interface Sections {
  technique: string;
  comparison: string;
  findings: string;
  impression: string;
}

/** A text that was added after the final signature. */
export interface Addendum {
  text: string;
  signed_by?: string | null;
  by?: string | null;
  signed_at?: string;
  at?: string;
}

/** A report as REST tells it. */
export interface Report {
  report_id: string;
  study_uid: string;
  status: 'draft' | 'prelim' | 'final';
  version: number;
  sections: Partial<Sections>;
  signed_by: string | null;
  signed_at: string | null;
  addenda: Addendum[];
}

/** One line of a study's journal. */
export interface Step {
  version: number;
  type: string;
  at: string;
  by: string | null;
  data: Record<string, unknown>;
}

/** Ask the server; a refusal is thrown. */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = {
    Accept: 'application/json',
    ...(init.body ? { 'Content-Type': 'application/json' } : {}),
    ...init.headers,
  };
  const response = await fetch(path, { credentials: 'same-origin', ...init, headers });
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string };
  if (response.status === 401) toLogin();
  throw new Refusal(
    problem.code ?? 'retry',
    problem.detail ?? problem.title ?? 'The server did not answer.',
    response.status,
  );
}

const of = (studyUid: string): string => encodeURIComponent(studyUid);

/** The row of a study that may no longer be open. */
export const getStudy = (studyUid: string): Promise<Row> => ask(`/api/studies/${of(studyUid)}`);

/** Why the last decision about the study was made; its form is the assigner's. */
export const getExplanation = (studyUid: string): Promise<Record<string, unknown>> =>
  ask(`/api/studies/${of(studyUid)}/explanation`);

/** The study's journal. */
export const getHistory = async (studyUid: string): Promise<Step[]> =>
  (await ask<{ items: Step[] }>(`/api/studies/${of(studyUid)}/history?limit=200`)).items;

/** The report that the row names, null when it names none; without a row the final one, or the newest. */
export const getReport = async (studyUid: string, row: Row | undefined): Promise<Report | null> => {
  if (row && !row.report) return null;
  const { items } = await ask<{ items: Report[] }>(`/api/reports?study_uid=${of(studyUid)}`);
  const wanted = row?.report?.report_id;
  const found = wanted ? items.find((one) => one.report_id === wanted) : items.find((one) => one.status === 'final');
  return found ?? (wanted ? null : (items[0] ?? null));
};

/** A signed text of a study that is read more than once. */
export interface Reading {
  report_id: string;
  version: number;
  radiologist_id: string;
  at: string;
  sections: Partial<Sections>;
}

/** The signed texts, the first one first, and how far the comparison is. */
export interface Readings {
  kind: SecondRead['kind'] | null;
  state: SecondRead['state'] | null;
  blind: boolean;
  items: Reading[];
}

/** What may be compared; a blind second reader gets nothing before she has signed. */
export const getReadings = (studyUid: string): Promise<Readings> => ask(`/api/studies/${of(studyUid)}/readings`);

/** How long an offer is open, in seconds by priority. */
export const getOfferTimes = async (): Promise<Record<string, number>> =>
  (await ask<{ offer_open_s: Record<string, number> }>('/api/policy')).offer_open_s;

/** A command over the second path; the same key as on the socket, so that it takes effect once. */
export const postCommand = (studyUid: string, act: string, idem: string, body: object): Promise<{ version: number }> =>
  ask(`/api/studies/${of(studyUid)}/${act}`, {
    method: 'POST',
    headers: { 'Idempotency-Key': idem },
    body: JSON.stringify(body),
  });

/** End this log-in with all its sockets. */
export const logout = (): Promise<unknown> => ask('/api/auth/logout', { method: 'POST' });

/** Begin a session in another group of the same person. */
export const switchTenant = (tenant: string): Promise<unknown> =>
  ask('/api/auth/tenant', { method: 'POST', body: JSON.stringify({ tenant }) });
