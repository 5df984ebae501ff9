// All keys of the worklist and the viewer, in one place.
import type { ReactElement } from 'react';
import { Button, Dialog } from '../ui/controls';

const LIST: readonly [string[], string][] = [
  [['J', 'K'], 'move'],
  [['↵'], 'open the images'],
  [['/'], 'search'],
  [['F'], 'filter by modality'],
  [['G'], 'group by clock, site, not at all'],
  [['Home', 'End', 'PgUp', 'PgDn'], 'jump'],
];
const READ: readonly [string[], string][] = [
  [['A'], 'accept the offer, 0.7 s after it appears'],
  [['D'], 'decline it, then 1 to 6 for the reason'],
  [['N'], 'next case, in the viewer Shift N'],
  [['B'], 'take a break'],
  [['Ctrl', '↵'], 'sign final'],
  [['Ctrl', 'Shift', '↵'], 'sign prelim'],
];

/** The help. */
export function KeysDialog({ onClose, reads }: { onClose: () => void; reads: boolean }): ReactElement {
  return (
    <Dialog
      title="Keys"
      onClose={onClose}
      middle
      foot={
        <Button onPress={onClose} keyName="Esc" focus>
          Close
        </Button>
      }
    >
      <dl className="keys">
        {[...LIST, ...(reads ? READ : [])].map(([keys, words]) => [
          <dt key={words}>
            {keys.map((key) => (
              <kbd key={key}>{key}</kbd>
            ))}
          </dt>,
          <dd key={`${words} says`}>{words}</dd>,
        ])}
      </dl>
    </Dialog>
  );
}
