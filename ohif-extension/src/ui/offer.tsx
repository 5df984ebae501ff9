// The pieces of an offer that the card, the strip and the worklist share: its acts, its keys, and the decline dialog.
import { type ReactElement, useEffect, useState } from 'react';
import type { DeclineReason } from '../live/wire';
import { useKeys } from '../state/keys';
import type { OfferCard, OfferDesk } from '../state/offers';
import { useNow } from '../state/room';
import { Button, Dialog } from './controls';
import { AnswerRing, IdentityBlock, SiteBadge } from './pieces';
import { Reasons, reasonKeys } from './reasons';

/** Whole seconds to answer, from the server's clock. */
export function secondsLeft(card: OfferCard, nowMs: number): number {
  return Math.max(0, Math.ceil((card.expiresAtMs - nowMs) / 1000));
}

/** Whether "sending" is worth a word: after 150 ms without an answer. */
export function useSlow(card: OfferCard | null): boolean {
  const sending = card?.phase === 'sending';
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (!sending) return;
    const timer = setTimeout(() => setSlow(true), 150);
    return () => clearTimeout(timer);
  }, [sending]);
  return slow && sending;
}

/** A accepts, D declines; both sleep until the offer has been seen for 0.7 s, and A never reaches the host. */
export function useOfferKeys(desk: OfferDesk, card: OfferCard | null, onDecline: () => void, paused = false): void {
  const open = card?.phase === 'open';
  const awake = (act: () => void) => () => {
    if (card && open && desk.awake(card)) act();
  };
  useKeys(
    {
      a: awake(() => card && void desk.accept(card)),
      ...(open ? { d: awake(onDecline) } : {}),
      ...(card && !open && card.phase !== 'sending' ? { escape: () => desk.dismiss() } : {}),
    },
    { when: !paused },
  );
}

const EFFECT: Partial<Record<DeclineReason, string>> = {
  outside_competence: 'This study is not offered to you again.',
  conflict_of_interest: 'This study is not offered to you again.',
};

/** Decline an offer: nothing is chosen beforehand; the reason is one key. */
export function DeclineDialog({
  desk,
  card,
  onClose,
  middle = false,
}: {
  desk: OfferDesk;
  card: OfferCard;
  onClose: () => void;
  middle?: boolean;
}): ReactElement {
  const now = useNow();
  const [reason, setReason] = useState<DeclineReason | null>(null);
  const [note, setNote] = useState('');
  const [refused, setRefused] = useState('');
  const send = async (): Promise<void> => {
    if (!reason) return;
    const said = await desk.decline(card, reason, note.trim());
    if (said === null) onClose();
    else setRefused(said);
  };
  const over = card.phase !== 'open';
  useEffect(() => {
    if (over) onClose();
  }, [over, onClose]);
  const keys = reasonKeys(setReason);
  return (
    <Dialog
      title="Decline this offer?"
      onClose={onClose}
      middle={middle}
      beside={<AnswerRing leftS={secondsLeft(card, now)} wholeS={card.wholeS} />}
      keys={{ ...keys, enter: () => void send(), 'ctrl+enter': () => void send() }}
      foot={
        <>
          <Button onPress={onClose} keyName="Esc">
            Back
          </Button>
          <Button
            onPress={() => void send()}
            keyName="↵"
            look="go"
            blocked={reason ? undefined : 'Choose a reason first'}
          >
            Decline and pass on
          </Button>
        </>
      }
    >
      <div className="rowx">
        <SiteBadge site={card.row.site} full />
        <span className="strong cut">{card.row.procedure || card.row.modality}</span>
      </div>
      <IdentityBlock row={card.row} nowMs={now} />
      <Reasons name="reason" chosen={reason} choose={setReason} />
      <label className="field note">
        <span className="label">Note for the next reader, optional</span>
        <textarea
          className="input"
          rows={2}
          maxLength={500}
          value={note}
          onChange={(event) => setNote(event.target.value)}
        />
      </label>
      {refused ? (
        <p className="refused" role="alert">
          {refused}
        </p>
      ) : (
        <p className="effect quiet">{(reason && EFFECT[reason]) || 'It goes to the next reader at once.'}</p>
      )}
    </Dialog>
  );
}
