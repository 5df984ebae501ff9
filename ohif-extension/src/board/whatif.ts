// What if, as the server is asked and as it is said: pure, so that it can be tested without a page.

/** A mean over nights, and the 80 % range of single nights. */
export interface Figure {
  mean: number;
  low: number;
  high: number;
}

/** The parts of a forecast that the board shows. */
export interface Forecast {
  until: string;
  nights: number;
  took_s: number;
  planned: Figure;
  changed: Figure;
  difference: Figure;
  priorities: (Figure & { priority: string })[];
  sites: (Figure & { site: { id: string; name: string } })[];
  readers: { radiologist_id: string; name: string; minutes: Figure }[];
  assumes: string[];
}

/** What a manager may ask. */
export type Kind = 'close_shift' | 'add_reader' | 'send_studies' | 'scale_arrivals';

/** The form as it stands. */
export interface Asked {
  kind: Kind;
  reader: string;
  site: string;
  specialty: string;
  modality: string;
  number: number;
  hours: number;
}

/** The request's body; null while something is still to be chosen. */
export function body(asked: Asked, nowMs: number): object | null {
  const until = new Date(nowMs + asked.hours * 3_600_000).toISOString();
  const site = asked.site ? { site: asked.site } : {};
  const change = ((): object | null => {
    switch (asked.kind) {
      case 'close_shift':
        return asked.reader ? { radiologist_id: asked.reader } : null;
      case 'add_reader':
        return { until, ...(asked.specialty ? { specialty: asked.specialty } : {}) };
      case 'send_studies':
        return asked.site && asked.number >= 1 ? { ...site, count: asked.number, modality: asked.modality } : null;
      case 'scale_arrivals':
        return { ...site, factor: 1 + asked.number / 100 };
    }
  })();
  return change && { until, changes: [{ kind: asked.kind, ...change }] };
}

const whole = (n: number): string => String(Math.abs(Math.round(n)));

/** The answer in one sentence: more or fewer, how many, and between which. */
export function sentence({ difference }: Forecast): string {
  const { mean, low, high } = difference;
  if (Math.round(mean) === 0 && Math.round(low) === 0 && Math.round(high) === 0) return 'No more breaches.';
  const words = mean < 0 ? 'fewer breaches' : 'more breaches';
  const signed = (n: number): string => (Math.round(n) < 0 ? `−${whole(n)}` : whole(n));
  const range = mean < 0 ? [signed(-high), signed(-low)] : [signed(low), signed(high)];
  return `${whole(mean)} ${words}, ${range[0]} to ${range[1]} in 8 of 10 nights.`;
}

/** Who feels it most: at most three readers, with the minutes that they read more or less. */
export const felt = (said: Forecast): string[] =>
  said.readers
    .filter((r) => Math.abs(r.minutes.mean) >= 1)
    .slice(0, 3)
    .map((r) => `${r.name} ${r.minutes.mean < 0 ? '−' : '+'}${whole(r.minutes.mean)} min of work`);
