// The profile of one reader, edited as text; nothing is changed before it is saved, and never over somebody else's change.
import { type ReactElement, useId, useState } from 'react';
import { Refusal } from '../state/api';
import { Button, Dialog } from '../ui/controls';
import { type Profile, putProfile } from './calls';
import { CELLS, cells, parts } from './cells';

interface EditProps {
  reader: Profile;
  onClose: () => void;
  onSaved: (said: string) => void;
}

/** The dialog. */
export function Edit({ reader, onClose, onSaved }: EditProps): ReactElement {
  const [typed, setTyped] = useState(() => cells(reader));
  const [failed, setFailed] = useState('');
  const [busy, setBusy] = useState(false);
  const id = useId();
  const save = async (): Promise<void> => {
    if (busy) return;
    setBusy(true);
    try {
      await putProfile(reader, parts(typed));
      onSaved(`${reader.name}'s profile is saved.`);
    } catch (error) {
      setBusy(false);
      const stale = error instanceof Refusal && error.code === 'stale_version';
      setFailed(
        stale ? 'Somebody else has changed this profile. Close this to see how it is now.' : (error as Error).message,
      );
    }
  };
  return (
    <Dialog
      title={`What ${reader.name} may read`}
      onClose={onClose}
      middle
      keys={{ 'ctrl+enter': () => void save() }}
      foot={
        <>
          <Button onPress={onClose} keyName="Esc">
            Cancel
          </Button>
          <Button
            onPress={() => void save()}
            keyName="Ctrl ↵"
            look="go"
            blocked={busy ? 'It is being saved.' : undefined}
          >
            Save
          </Button>
        </>
      }
    >
      <div className="st-edit">
        {CELLS.map(({ name, label, like }, at) => (
          <label key={name} className="field">
            <span className="label">
              {label} <span className="quiet">{like}</span>
            </span>
            <input
              className="input"
              autoFocus={at === 0}
              spellCheck={false}
              value={typed[name]}
              aria-describedby={failed ? id : undefined}
              onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
            />
          </label>
        ))}
        <p className="quiet">
          Empty licences and privileges bind only where a site asks for them. Empty skills read everything.
        </p>
        <p role="alert" id={id} className="st-failed">
          {failed}
        </p>
      </div>
    </Dialog>
  );
}
