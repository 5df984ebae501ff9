// The incoming offer beside the images: what is read now, the offer with its identity, clock and reasons, and the two acts.
import { type ReactElement, useEffect, useRef } from 'react';
import type { Row } from '../live/wire';
import type { OfferCard, OfferDesk } from '../state/offers';
import { setPanel } from '../state/panel';
import { useLive, useNow } from '../state/room';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icons';
import { secondsLeft, useSlow } from '../ui/offer';
import { Acuity, AiCard, AnswerRing, ClockView, IdentityBlock, PriorityChip, Readiness, SiteBadge } from '../ui/pieces';
import { endOf } from '../ui/strip';
import { clockFace, clockTime, shownName, zoneName } from '../ui/time';
import { WhyYou } from '../ui/why';

function ReadingNow({ row, nowMs }: { row: Row; nowMs: number }): ReactElement {
  const face = clockFace(row.sla, nowMs);
  return (
    <section className="now" aria-label="On the screen">
      <div className="rowx">
        <span className="label">{row.reading_by ? 'Reading now' : 'On the screen'}</span>
        {face ? <ClockView face={face} left /> : null}
      </div>
      <div className="rowx">
        <span className="strong cut name-s" dir="auto">
          {row.patient ? shownName(row.patient.name) : 'Name withheld'}
        </span>
        <SiteBadge site={row.site} />
      </div>
    </section>
  );
}

function Head({ card, nowMs, slow }: { card: OfferCard; nowMs: number; slow: boolean }): ReactElement {
  const live = card.phase === 'open' || card.phase === 'sending';
  const left = secondsLeft(card, nowMs);
  const [icon, words] = endOf(card);
  return (
    <div className="head">
      {live ? (
        <AnswerRing leftS={left} wholeS={card.wholeS} />
      ) : (
        <span className="ended">
          <Icon name={icon} />
        </span>
      )}
      <div className="grow">
        <div className="rowx">
          <h2>{live ? (slow ? 'Accepting' : `Offer, answer in ${left} s`) : words}</h2>
          <PriorityChip priority={card.row.priority} />
        </div>
        <p className="strong what">{card.row.procedure || `${card.row.modality} ${card.row.body_part}`}</p>
        <SiteBadge site={card.row.site} full />
      </div>
    </div>
  );
}

interface OfferTabProps {
  desk: OfferDesk;
  reading: Row | null;
  onDecline: () => void;
}

/** The tab. */
export function OfferTab({ desk, reading, onDecline }: OfferTabProps): ReactElement {
  const live = useLive();
  const now = useNow();
  const { card } = desk;
  const slow = useSlow(card);
  if (!card) {
    return (
      <>
        {reading ? <ReadingNow row={reading} nowMs={now} /> : null}
        <div className="mid">
          <Icon name="check" />
          <h2>No offer is open</h2>
          <p>The next one appears here, in the toolbar and on the worklist.</p>
        </div>
      </>
    );
  }
  const open = card.phase === 'open' || card.phase === 'sending';
  const { row } = card;
  const face = clockFace(row.sla, now);
  const down = open && live.status !== 'live' && live.status !== 'connecting';
  const says = slow
    ? 'The server has not answered yet. Retrying, you need not press again.'
    : down
      ? 'The line is down. Press A: it is sent when the line is back, if there is time.'
      : card.says;
  return (
    <>
      {reading && reading.study_uid !== row.study_uid ? <ReadingNow row={reading} nowMs={now} /> : null}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section className="body" tabIndex={0} aria-label="Offer details">
        <section
          className={open ? 'offer' : 'offer over'}
          aria-label="Offer"
          data-offer={card.offerId}
          data-phase={card.phase}
        >
          <Head card={card} nowMs={now} slow={slow} />
          <IdentityBlock row={row} nowMs={now} />
          {open && face ? (
            <div className="rowx">
              <ClockView face={face} left big />
              {row.sla?.due_at ? (
                <span className="quiet">
                  due {clockTime(row.sla.due_at)} {zoneName(Date.parse(row.sla.due_at))}
                </span>
              ) : null}
            </div>
          ) : null}
          {says ? <p role="status">{says}</p> : null}
          {open ? row.ai?.map((result) => <AiCard key={`${result.model} ${result.version}`} result={result} />) : null}
          {open ? (
            <dl className="facts">
              <dt>Acuity</dt>
              <dd>
                <Acuity acuity={row.acuity} />
              </dd>
              <dt>Images</dt>
              <dd>
                <Readiness readiness={row.readiness} images={row.images} />
                {row.readiness.state === 'incomplete' ? <span className="quiet">readable now</span> : null}
              </dd>
              <dt>Priors</dt>
              <dd>{row.priors}</dd>
            </dl>
          ) : null}
        </section>
        {open ? (
          <div className="whybox">
            <WhyYou studyUid={row.study_uid} why={card.why} offerId={card.offerId} open reading={reading} nowMs={now} />
          </div>
        ) : null}
      </section>
      <div className="acts">
        {open ? (
          <>
            {reading && reading.study_uid !== row.study_uid && reading.report?.status === 'draft' ? (
              <p className="quiet">
                Your draft for {reading.patient ? shownName(reading.patient.name) : 'this study'} is saved and stays
                yours.
              </p>
            ) : null}
            <Button
              look="go"
              tall
              keyName={slow ? undefined : 'A'}
              blocked={slow ? 'Accepting. You need not press again.' : undefined}
              onPress={() => void desk.accept(card)}
            >
              {slow ? 'Accepting' : 'Accept and open'}
            </Button>
            <Button tall keyName="D" onPress={onDecline}>
              Decline
            </Button>
          </>
        ) : (
          <span className="only">
            <Button tall keyName="Esc" onPress={() => desk.dismiss()}>
              Close
            </Button>
          </span>
        )}
      </div>
    </>
  );
}

/** An offer that has just come is shown first, unless the reader is writing; she may go back to the report at any time. */
export function useOfferFirst(desk: OfferDesk, writing: boolean): void {
  const id = desk.card?.phase === 'open' ? desk.card.offerId : '';
  const none = desk.card === null;
  const busy = useRef(writing);
  busy.current = writing;
  useEffect(() => {
    if (id && !busy.current) setPanel({ tab: 'offer' });
    if (none) setPanel({ tab: 'report', declining: false, wide: true });
  }, [id, none]);
}
