// A reader's profile as text, one line a part, in the form of the sheets: "US-ME; US-NH 2024-01-01..2026-12-31", "neuro=3; chest".
import type { Profile } from './calls';

/** The parts that are edited as text. */
export type Cells = Record<'licences' | 'privileges' | 'subspecialties' | 'modalities' | 'conflicts', string>;
export type Parts = Pick<Profile, keyof Cells>;

/** What each part is, in the order of the form, and how it is written. */
export const CELLS: { name: keyof Cells; label: string; like: string }[] = [
  { name: 'licences', label: 'Licences', like: 'US-ME; US-NH 2024-01-01..2026-12-31' },
  { name: 'privileges', label: 'Privileges', like: 'harbor; hill 2024-01-01..' },
  { name: 'subspecialties', label: 'Subspecialties', like: 'neuro=3; chest' },
  { name: 'modalities', label: 'Modalities', like: 'CT=3; MR' },
  { name: 'conflicts', label: 'Never offered', like: 'site=hill; patient=0199' },
];
const READS = 2; // a skill that is not named

interface Days {
  valid_from: string | null;
  valid_to: string | null;
}

function days({ valid_from, valid_to }: Days): string {
  return valid_from || valid_to ? ` ${valid_from ?? ''}..${valid_to ?? ''}` : '';
}

function levels(skills: Record<string, number>): string {
  return Object.entries(skills)
    .map(([name, level]) => (level === READS ? name : `${name}=${level}`))
    .join('; ');
}

/** The text of each part. */
export function cells(of: Parts): Cells {
  return {
    licences: of.licences.map((one) => one.jurisdiction + days(one)).join('; '),
    privileges: of.privileges.map((one) => one.site + days(one)).join('; '),
    subspecialties: levels(of.subspecialties),
    modalities: levels(of.modalities),
    conflicts: of.conflicts.map((one) => `${one.about}=${one.of}`).join('; '),
  };
}

function entries(cell: string): string[] {
  return cell
    .split(';')
    .map((one) => one.trim())
    .filter(Boolean);
}

function term(entry: string): { of: string } & Days {
  const [, name = entry, from = '', to = ''] = /^(.*\S)\s+(\S*)\.\.(\S*)$/.exec(entry) ?? [];
  return { of: name, valid_from: from || null, valid_to: to || null };
}

function skills(label: string, cell: string): Record<string, number> {
  return Object.fromEntries(
    entries(cell).map((entry) => {
      const [name = '', level] = entry.split('=', 2).map((part) => part.trim());
      if (level !== undefined && !/^[1-3]$/.test(level))
        throw new Error(`${label}: "${entry}" has a skill that is not 1 (learning), 2 (reads) or 3 (expert).`);
      return [name, level === undefined ? READS : Number(level)];
    }),
  );
}

/** The parts of a profile as they were typed; the server says what is wrong with days and names. */
export function parts(typed: Cells): Parts {
  return {
    licences: entries(typed.licences)
      .map(term)
      .map(({ of, ...rest }) => ({ jurisdiction: of, ...rest })),
    privileges: entries(typed.privileges)
      .map(term)
      .map(({ of, ...rest }) => ({ site: of, ...rest })),
    subspecialties: skills('Subspecialties', typed.subspecialties),
    modalities: skills('Modalities', typed.modalities),
    conflicts: entries(typed.conflicts).map((entry) => {
      const at = entry.indexOf('=');
      if (at < 1)
        throw new Error(`Never offered: "${entry}" names no site, referring_physician or patient. Write site=hill.`);
      return { about: entry.slice(0, at).trim(), of: entry.slice(at + 1).trim() };
    }),
  };
}
