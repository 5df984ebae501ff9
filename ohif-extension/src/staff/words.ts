// Readers, hours and trials in words.
import { clockTime } from '../ui/time';
import type { Comparison, Mode, Profile, Shift, Version } from './calls';

const LEVEL = ['', 'learning', '', 'expert'];

/** "CT, MR expert": what a reader reads, and how well. */
export function skills(levels: Record<string, number>): string {
  const said = Object.entries(levels).map(([name, level]) => [name, LEVEL[level] ?? ''].filter(Boolean).join(' '));
  return said.join(', ') || 'all';
}

/** "US-ME, US-NH until 2026-12-31". */
export function licences(terms: Profile['licences']): string {
  const said = terms.map((term) => {
    const from = term.valid_from ? ` from ${term.valid_from}` : '';
    const to = term.valid_to ? ` until ${term.valid_to}` : '';
    return `${term.jurisdiction}${from}${to}`;
  });
  return said.join(', ') || 'none';
}

function when(at: string, nowMs: number): string {
  const day =
    new Date(at).toDateString() === new Date(nowMs).toDateString()
      ? ''
      : `${new Date(at).toLocaleDateString(undefined, { weekday: 'short' })} `;
  return `${day}${clockTime(at)}`;
}

/** The shift a reader is in, or the next one. */
export function hours(shifts: Shift[], radiologistId: string, nowMs: number): string {
  const hers = shifts.filter((shift) => shift.radiologist_id === radiologistId);
  const now = (at: Shift): boolean => Date.parse(at.starts_at) <= nowMs && nowMs < Date.parse(at.ends_at);
  const duty = hers.find((shift) => shift.kind === 'duty' && now(shift));
  if (duty) return `on duty until ${when(duty.ends_at, nowMs)}`;
  const call = hers.find((shift) => shift.kind === 'on_call' && now(shift));
  if (call) return `on call until ${when(call.ends_at, nowMs)}`;
  const next = hers.find((shift) => shift.kind === 'duty');
  return next ? `next ${when(next.starts_at, nowMs)} to ${clockTime(next.ends_at)}` : 'no shift in two days';
}

/** What a version is for. */
export function mode(version: Version): string {
  const words: Record<Version['mode'], string> = {
    draft: 'Draft, without effect',
    shadow: 'In the shadow: decides, acts on nothing',
    by_day: version.today ? 'By day: in force today' : 'By day: not today',
    live: version.today ? 'Live' : 'Live, but not today: another has the day',
    retired: 'Was live',
  };
  return words[version.mode];
}

/** What may be made of a version, in the order of the buttons. */
export function moves(version: Version): Mode[] {
  if (version.mode === 'live' || version.mode === 'retired') return [];
  return (['draft', 'shadow', 'by_day', 'live'] as const).filter((to) => to !== version.mode);
}

/** The trial of a version in sentences. */
export function comparison(it: Comparison): string[] {
  const said: string[] = [];
  if (it.decisions > 0) {
    const share = Math.round((100 * it.agreed) / it.decisions);
    said.push(`${it.agreed} of ${it.decisions} decisions alike (${share} %).`);
    if (it.only_shadow > 0) said.push(`${it.only_shadow} only it would have made.`);
    if (it.only_live > 0) said.push(`${it.only_live} it would have let wait.`);
  } else said.push('It has decided nothing in the shadow yet.');
  for (const arm of it.arms) {
    const late = arm.studies ? Math.round((100 * arm.breached) / arm.studies) : 0;
    const median = arm.tat_min_p50 === null ? '' : `, median ${Math.round(arm.tat_min_p50)} min to the first signature`;
    said.push(`Version ${arm.version}: ${arm.studies} studies, ${late} % breached${median}.`);
  }
  return said;
}
