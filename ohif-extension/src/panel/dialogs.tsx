// The dialogs of the report: sign with images missing, give back, addendum. Each shows whom it is about.
import { type ReactElement, useState } from 'react';
import type { DeclineReason, Row } from '../live/wire';
import { useNow } from '../state/room';
import { Button, Dialog } from '../ui/controls';
import { IdentityBlock, SiteBadge } from '../ui/pieces';
import { Reasons, reasonKeys } from '../ui/reasons';

function About({ row }: { row: Row }): ReactElement {
  const now = useNow(60_000);
  return (
    <>
      <div className="rowx">
        <SiteBadge site={row.site} full />
        <span className="strong cut">{row.procedure || row.modality}</span>
      </div>
      <IdentityBlock row={row} nowMs={now} />
    </>
  );
}

/** Sign although images are missing: says how many, and nothing is signed by mistake. */
export function ConfirmDialog({
  row,
  received,
  expected,
  kind,
  onSign,
  onClose,
}: {
  row: Row;
  received: number;
  expected: number | null;
  kind: string;
  onSign: () => void;
  onClose: () => void;
}): ReactElement {
  const missing = expected === null ? null : expected - received;
  return (
    <Dialog
      title="Sign without all images?"
      onClose={onClose}
      foot={
        <>
          <Button onPress={onClose} keyName="Esc" focus>
            Wait
          </Button>
          <Button onPress={onSign} look="go">
            Sign {kind} with {received}/{expected ?? '?'}
          </Button>
        </>
      }
    >
      <About row={row} />
      <p className="note">
        <b className="strong">
          {received}/{expected ?? '?'} images are here
          {missing === null ? '' : `, ${missing} ${missing === 1 ? 'is' : 'are'} missing`}.
        </b>{' '}
        Nothing is signed yet and your text is saved. If you sign now, you are told when more images come.
      </p>
    </Dialog>
  );
}

/** Give the study back to the pool, with a reason. */
export function ReleaseDialog({
  row,
  onRelease,
  onClose,
}: {
  row: Row;
  onRelease: (reason: string) => Promise<string | null>;
  onClose: () => void;
}): ReactElement {
  const [reason, setReason] = useState<DeclineReason | null>(null);
  const [refused, setRefused] = useState('');
  const send = async (): Promise<void> => {
    if (!reason) return;
    const said = await onRelease(reason);
    if (said === null) onClose();
    else setRefused(said);
  };
  const keys = reasonKeys(setReason);
  return (
    <Dialog
      title="Give this study back?"
      onClose={onClose}
      keys={{ ...keys, enter: () => void send() }}
      foot={
        <>
          <Button onPress={onClose} keyName="Esc">
            Keep it
          </Button>
          <Button
            onPress={() => void send()}
            keyName="↵"
            look="go"
            blocked={reason ? undefined : 'Choose a reason first'}
          >
            Give back
          </Button>
        </>
      }
    >
      <About row={row} />
      <Reasons name="release" chosen={reason} choose={setReason} />
      <p className={refused ? 'refused note' : 'quiet note'} role={refused ? 'alert' : undefined}>
        {refused || 'Your draft stays in the history. The study is offered to somebody else at once.'}
      </p>
    </Dialog>
  );
}

/** Add to a signed report. */
export function AddendumDialog({
  row,
  onSign,
  onClose,
}: {
  row: Row;
  onSign: (text: string) => Promise<string | null>;
  onClose: () => void;
}): ReactElement {
  const [text, setText] = useState('');
  const [refused, setRefused] = useState('');
  const [sending, setSending] = useState(false);
  const send = async (): Promise<void> => {
    if (!text.trim() || sending) return;
    setSending(true);
    const said = await onSign(text.trim());
    setSending(false);
    if (said === null) onClose();
    else setRefused(said);
  };
  const blocked = !text.trim() ? 'Write the addendum first' : sending ? 'Signing' : undefined;
  return (
    <Dialog
      title="Addendum"
      onClose={onClose}
      keys={{ 'ctrl+enter': () => void send() }}
      foot={
        <>
          <Button onPress={onClose} keyName="Esc">
            Back
          </Button>
          <Button onPress={() => void send()} keyName="Ctrl ↵" look="go" blocked={blocked}>
            Sign addendum
          </Button>
        </>
      }
    >
      <About row={row} />
      <label className="field note">
        <span className="label">Text. The signed report stays as it is, this is added below it.</span>
        <textarea
          className="input"
          rows={5}
          dir="auto"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      {refused ? (
        <p className="refused note" role="alert">
          {refused}
        </p>
      ) : null}
    </Dialog>
  );
}
