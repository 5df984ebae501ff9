// A study that a second person reads: who has it now, how far her reading is, and what it is called. Pure.
import type { Row } from '../live/wire';

/** Who has the study to read now: of a second reading not the first reader. */
export function holderOf(row: Row): string | null {
  if (row.reading_by) return row.reading_by;
  const state = row.second_read?.state;
  return state === 'waiting' || state === 'compare' ? (row.second_reader ?? null) : row.assigned_to;
}

/** Where the reading stands that is going on: outside, a study with a first signature is preliminary all along. */
export function phaseOf(row: Row): Row['status'] {
  const state = row.second_read?.state;
  if (row.status !== 'prelim' || (state !== 'waiting' && state !== 'discordant')) return row.status;
  if (row.offer) return 'offered';
  if (row.reading_by) return 'reading';
  return holderOf(row) ? 'assigned' : 'unread';
}

/** What a screen calls the reading after the first, empty when there is none or it is settled. */
export function secondWords(row: Row): string {
  const second = row.second_read;
  switch (second?.state) {
    case 'waiting':
      return second.kind === 'cosign' ? 'Co-sign' : 'Second read';
    case 'compare':
      return 'Compare readings';
    case 'discordant':
      return 'Discordant';
    default:
      return '';
  }
}
