// Why a reader does not read a study: the same six reasons, one key each, for an offer and for what she gives back.
import type { ReactElement } from 'react';
import type { DeclineReason } from '../live/wire';

const REASONS: readonly [DeclineReason, string][] = [
  ['outside_competence', 'Not my subspecialty'],
  ['conflict_of_interest', 'I know the patient'],
  ['image_quality', 'Images are not readable'],
  ['overloaded', 'I am in another emergency'],
  ['shift_end', 'My shift ends'],
  ['other', 'Something else'],
];

/** The dialog's keys: 1 to 6 choose a reason. */
export function reasonKeys(choose: (reason: DeclineReason) => void): Record<string, () => void> {
  return Object.fromEntries(REASONS.map(([word], at) => [String(at + 1), () => choose(word)]));
}

/** The choice itself; nothing is chosen beforehand. */
export function Reasons({
  name,
  chosen,
  choose,
}: {
  name: string;
  chosen: DeclineReason | null;
  choose: (reason: DeclineReason) => void;
}): ReactElement {
  return (
    <fieldset>
      <legend className="label">Reason, one key</legend>
      {REASONS.map(([word, label], at) => (
        <label className="radio" key={word}>
          <input type="radio" name={name} checked={chosen === word} onChange={() => choose(word)} />
          {label}
          <kbd aria-hidden="true">{at + 1}</kbd>
        </label>
      ))}
    </fieldset>
  );
}
