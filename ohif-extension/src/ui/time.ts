// Times as people read them: "9 min 40 s left", "6 min over", "03:14 CET". Pure.
import type { Clock, Patient } from '../live/wire';

/** How a clock looks; the fill of its shape grows with urgency. */
export type ClockLook = 'calm' | 'warn' | 'urgent' | 'breached' | 'paused';

/** What a clock shows at one moment. */
export interface ClockFace {
  look: ClockLook;
  /** "9 min 40 s", "6 min over", "paused". */
  words: string;
  /** Milliseconds left, negative when over; what clocks are sorted by. */
  leftMs: number;
  /** The share of the time that is left, 0 to 1. */
  share: number;
}

const MIN = 60_000;

/** A length of time: seconds under ten minutes, then whole minutes, then hours. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return minutes(ms);
}

/** A length of time in whole minutes. */
export function minutes(ms: number): string {
  const min = Math.max(0, Math.floor(ms / MIN));
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h >= 48) return `${Math.floor(h / 24)} d ${h % 24} h`;
  return `${h} h ${String(min % 60).padStart(2, '0')} min`;
}

/** What the clock shows now; null when there is none, or it has stopped. The server alone says breached. */
export function clockFace(sla: Clock | null, nowMs: number): ClockFace | null {
  if (!sla || sla.state === 'stopped') return null;
  const due = sla.due_at ? Date.parse(sla.due_at) : Number.NaN;
  const leftMs = Number.isNaN(due) ? Number.POSITIVE_INFINITY : due - nowMs;
  const whole = due - Date.parse(sla.started_at);
  const share = Number.isFinite(leftMs) && whole > 0 ? Math.min(1, Math.max(0, leftMs / whole)) : 0;
  if (sla.state === 'paused') return { look: 'paused', words: 'paused', leftMs, share };
  if (sla.state === 'breached') {
    const over = -leftMs;
    const words = over < MIN ? `${Math.max(0, Math.floor(over / 1000))} s over` : `${minutes(over)} over`;
    return { look: 'breached', words, leftMs, share: 0 };
  }
  const look = leftMs < 10 * MIN ? 'urgent' : leftMs < 30 * MIN ? 'warn' : 'calm';
  return { look, words: duration(leftMs), leftMs, share };
}

const hourMinute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const withSeconds = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const ZONES = [undefined, 'en-GB', 'en-US', 'en-AU', 'en-IN', 'en-ZA', 'en-CA'].map(
  (locale) => new Intl.DateTimeFormat(locale, { hour: '2-digit', timeZoneName: 'short' }),
);

/** "03:14" in the reader's own zone. */
export function clockTime(at: number | string): string {
  return hourMinute.format(new Date(at));
}

/** "03:14:09" in the reader's own zone. */
export function preciseTime(at: number | string): string {
  return withSeconds.format(new Date(at));
}

/** The short name of the reader's own zone, "CET"; not every locale knows every name. */
export function zoneName(at: number = Date.now()): string {
  const names = ZONES.map(
    (zone) => zone.formatToParts(new Date(at)).find((part) => part.type === 'timeZoneName')?.value ?? '',
  );
  return names.find((name) => !/^(GMT|UTC)[+-]/.test(name)) ?? names[0] ?? '';
}

/** Whole years between a birth date and now; null when it is not known. */
export function age(birthDate: string | null, nowMs: number): number | null {
  if (!birthDate) return null;
  const born = new Date(`${birthDate}T00:00:00Z`);
  if (Number.isNaN(born.getTime())) return null;
  const now = new Date(nowMs);
  const before =
    now.getUTCMonth() < born.getUTCMonth() ||
    (now.getUTCMonth() === born.getUTCMonth() && now.getUTCDate() < born.getUTCDate());
  return now.getUTCFullYear() - born.getUTCFullYear() - (before ? 1 : 0);
}

/** "65 y F" for rows. */
export function ageSex(patient: Patient | null, nowMs: number): string {
  if (!patient) return '';
  const years = age(patient.birth_date, nowMs);
  return [years === null ? null : `${years} y`, patient.sex].filter(Boolean).join(' ');
}

const SEXES: Record<string, string> = { F: 'Female', M: 'Male', O: 'Other', X: 'Other' };

/** "Female, 65 y" for the identity block. */
export function sexAge(patient: Patient, nowMs: number): string {
  const years = age(patient.birth_date, nowMs);
  const sex = patient.sex ? (SEXES[patient.sex] ?? patient.sex) : 'Sex not known';
  return years === null ? sex : `${sex}, ${years} y`;
}

/** The family name and the rest, of the first script that has it; "PHANTOM^Iris" and "PHANTOM, Iris" alike. */
export function nameParts(all: string): [family: string, given: string] {
  const name = all.split('=').find(Boolean) ?? '';
  const parts = name.includes('^') ? name.split('^') : name.split(/,\s*/);
  const [family = '', ...rest] = parts.map((part) => part.trim());
  return [family, rest.filter(Boolean).join(' ')];
}

/** "PHANTOM, Iris". */
export function shownName(name: string): string {
  const [family, given] = nameParts(name);
  return given ? `${family}, ${given}` : family || 'Name not known';
}
