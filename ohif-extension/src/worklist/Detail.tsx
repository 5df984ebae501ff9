// The selected study: who, when it is due, what a machine says, why it came here, what happened so far, and the acts.
import { type ReactElement, useEffect, useState } from 'react';
import type { Row } from '../live/wire';
import { getHistory, type Step } from '../state/api';
import type { OfferCard, OfferDesk } from '../state/offers';
import { live, me, readerOf, useNow } from '../state/room';
import { holderOf } from '../state/second';
import { Button } from '../ui/controls';
import { secondsLeft, useSlow } from '../ui/offer';
import { Acuity, AiCard, ClockView, IdentityBlock, Readiness, SiteBadge } from '../ui/pieces';
import { SecondTag } from '../ui/readings';
import { clockFace, clockTime, zoneName } from '../ui/time';
import { WhyYou } from '../ui/why';

const SO_FAR: Record<string, string> = {
  OrderReceived: 'Ordered',
  FirstInstanceReceived: 'First image',
  StudyTriaged: 'Triage by the reference model',
  Offered: 'Offered',
  Accepted: 'Accepted',
  Declined: 'Declined',
  OfferExpired: 'Offer not answered',
  Assigned: 'Assigned',
  Released: 'Given back',
  ReadingStarted: 'Reading began',
  PrelimSigned: 'Prelim signed',
  SecondSigned: 'Second reading signed',
  Settled: 'Readings compared',
  FinalSigned: 'Final signed',
  Addended: 'Addendum signed',
  SlaWarned: 'Due soon',
  SlaBreached: 'Over its time',
  ClockPaused: 'Clock paused',
  ClockResumed: 'Clock runs again',
  Flagged: 'Flagged',
  Cancelled: 'Cancelled',
};

function nameOf(userId: unknown): string {
  if (typeof userId !== 'string') return '';
  return userId === me()?.id ? 'you' : (readerOf(userId)?.name ?? '');
}

function soFar(step: Step): string {
  const words = SO_FAR[step.type] ?? '';
  if (['Offered', 'Assigned'].includes(step.type)) {
    const to = nameOf(step.data.radiologist_id);
    return to ? `${words} to ${to}` : words;
  }
  const by = nameOf(step.by);
  return by ? `${words} by ${by}` : words;
}

function useHistory(studyUid: string, rev: number): Step[] {
  const [steps, setSteps] = useState<{ uid: string; items: Step[] }>({ uid: '', items: [] });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the journal grows with rev
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      getHistory(studyUid).then(
        (items) => !gone && setSteps({ uid: studyUid, items }),
        () => undefined,
      );
    }, 250);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [studyUid, rev]);
  return steps.uid === studyUid ? steps.items.filter((step) => SO_FAR[step.type]) : [];
}

function readerWords(row: Row, card: OfferCard | null, nowMs: number): string {
  if (card && card.row.study_uid === row.study_uid && card.phase === 'open')
    return `Offered to you, ${secondsLeft(card, nowMs)} s to answer`;
  if (row.offer) return `Offered to ${nameOf(row.offer.radiologist_id) || 'another reader'}`;
  const who = nameOf(holderOf(row));
  if (row.reading_by)
    return `${who || 'Another reader'} ${who === 'you' ? 'read it' : 'reads it'}`.replace(/^you/, 'You');
  if (holderOf(row)) return `Assigned to ${who || 'another reader'}`;
  return row.status === 'ordered' ? 'Waiting for images' : 'Nobody yet';
}

function dueWords(row: Row): string {
  const { sla } = row;
  if (!sla) return 'The clock starts with the first image.';
  if (sla.state === 'paused') return 'The clock is paused.';
  return sla.due_at
    ? `Due ${clockTime(sla.due_at)} ${zoneName(Date.parse(sla.due_at))}. ${row.priority === 'ROUTINE' ? 'Routine' : row.priority}, from the first image.`
    : '';
}

interface DetailProps {
  row: Row;
  desk: OfferDesk;
  onOpen: () => void;
  onDecline: () => void;
}

/** The panel at the side of the worklist. */
export function Detail({ row, desk, onOpen, onDecline }: DetailProps): ReactElement {
  const now = useNow();
  const face = clockFace(row.sla, now);
  const steps = useHistory(row.study_uid, row.rev);
  const { card } = desk;
  const slow = useSlow(card);
  const reading = card ? [...live().mine.values()].find((one) => one.reading_by) : undefined;
  const offered = card?.row.study_uid === row.study_uid && (card.phase === 'open' || card.phase === 'sending');
  return (
    <aside className="panel detail" aria-label="Selected study">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section className="body" tabIndex={0} aria-label="Details">
        <section className="sec">
          <div className="rowx">
            <SiteBadge site={row.site} full />
          </div>
          <IdentityBlock row={row} nowMs={now} />
        </section>
        <section className="sec">
          {face ? <ClockView face={face} left big /> : null}
          <p className="quiet due-words">{dueWords(row)}</p>
          <div className="strong mid-weight">{row.procedure || `${row.modality} ${row.body_part}`}</div>
          <p>{[row.modality, row.body_part, row.laterality].filter(Boolean).join(', ')}</p>
        </section>
        <section className="sec">
          {row.ai?.map((result) => (
            <AiCard key={`${result.model} ${result.version}`} result={result} />
          ))}
          <dl className="facts">
            {row.acuity ? (
              <>
                <dt>Acuity</dt>
                <dd>
                  <Acuity acuity={row.acuity} />
                </dd>
              </>
            ) : null}
            <dt>Images</dt>
            <dd>
              <Readiness readiness={row.readiness} images={row.images} />
              {row.readiness.state === 'incomplete' ? <span className="quiet">readable now</span> : null}
            </dd>
            <dt>Priors</dt>
            <dd>{row.priors}</dd>
            <dt>Reader</dt>
            <dd>
              {readerWords(row, card, now)} <SecondTag row={row} />
            </dd>
          </dl>
        </section>
        {offered && card ? (
          <section className="sec">
            <WhyYou
              studyUid={row.study_uid}
              why={card.why}
              offerId={card.offerId}
              reading={reading ?? null}
              nowMs={now}
            />
          </section>
        ) : null}
        {steps.length > 0 ? (
          <section className="sec last">
            <h2>So far</h2>
            <ol className="log">
              {steps.slice(-9).map((step) => (
                <li key={step.version}>
                  <span>{clockTime(step.at)}</span>
                  {soFar(step)}
                </li>
              ))}
            </ol>
          </section>
        ) : null}
      </section>
      <div className="acts">
        {offered && card ? (
          <>
            <Button
              look="go"
              tall
              keyName={slow ? undefined : 'A'}
              onPress={() => void desk.accept(card)}
              blocked={slow ? 'Accepting. You need not press again.' : undefined}
            >
              {slow ? 'Accepting' : 'Accept and open'}
            </Button>
            <Button tall keyName="D" onPress={onDecline}>
              Decline
            </Button>
          </>
        ) : (
          <span className="only">
            <Button tall keyName="↵" onPress={onOpen} blocked={row.images > 0 ? undefined : 'No image has arrived yet'}>
              Open images
            </Button>
          </span>
        )}
      </div>
    </aside>
  );
}
