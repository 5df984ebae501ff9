// The offer as a strip: above the worklist, and in the viewer's toolbar. Never over pixels.
import { type ReactElement, useEffect } from 'react';
import type { OfferCard, OfferDesk } from '../state/offers';
import { useNow } from '../state/room';
import { Button } from './controls';
import { Icon } from './icons';
import { secondsLeft, useSlow } from './offer';
import { AnswerRing, ClockView, IdentityLines, PriorityChip, SiteBadge } from './pieces';
import { clockFace, preciseTime } from './time';

const ENDED: Record<string, readonly [icon: string, words: string]> = {
  taken: ['lock', 'Taken at'],
  expired: ['calm', 'Not answered, passed on'],
  withdrawn: ['x', 'Withdrawn at'],
  refused: ['warn', 'Not possible now,'],
};

/** How an offer that has ended is called: a pictogram and words with the time. */
export function endOf(card: OfferCard): readonly [icon: string, words: string] {
  const [icon, words] = ENDED[card.phase] ?? ['x', 'Ended'];
  return [icon, `${words} ${preciseTime(card.endedAtMs)}`];
}

interface StripProps {
  desk: OfferDesk;
  card: OfferCard;
  onDecline: () => void;
  onDetails?: (() => void) | undefined;
}

/** The strip. */
export function OfferStrip({ desk, card, onDecline, onDetails }: StripProps): ReactElement {
  const now = useNow();
  const slow = useSlow(card);
  const face = clockFace(card.row.sla, now);
  const live = card.phase === 'open' || card.phase === 'sending';
  useEffect(() => {
    if (live) return;
    const timer = setTimeout(() => desk.dismiss(), 12_000);
    return () => clearTimeout(timer);
  }, [desk, live]);
  const [icon, words] = endOf(card);
  return (
    <section className="strip" aria-label="Offer" data-phase={card.phase} data-offer={card.offerId}>
      {live ? <AnswerRing leftS={secondsLeft(card, now)} wholeS={card.wholeS} small /> : <Icon name={icon} />}
      <IdentityLines row={card.row} />
      <span className="wide">
        <SiteBadge site={card.row.site} full />
      </span>
      <span className="grow">
        <span className="strong cut">
          <PriorityChip priority={card.row.priority} /> {card.row.procedure || card.row.modality}
        </span>
        <span className="small">{live ? face ? <ClockView face={face} left /> : null : `${words}. ${card.says}`}</span>
      </span>
      {live ? (
        <>
          {slow ? (
            <Button
              onPress={() => undefined}
              blocked="The server has not answered yet. Retrying, you need not press again."
            >
              Accepting
            </Button>
          ) : (
            <Button look="go" keyName="A" onPress={() => void desk.accept(card)}>
              Accept
            </Button>
          )}
          <Button keyName="D" onPress={onDecline}>
            Decline
          </Button>
          {onDetails ? (
            <Button look="bare" keyName="O" onPress={onDetails}>
              Details
            </Button>
          ) : null}
        </>
      ) : (
        <Button keyName="Esc" onPress={() => desk.dismiss()}>
          Close
        </Button>
      )}
      <span className="vh" role="alert">
        {live
          ? `Offer: ${card.row.priority} ${card.row.procedure}, ${card.row.site.name}. Press A to accept, D to decline.`
          : `${words}. ${card.says}`}
      </span>
    </section>
  );
}
