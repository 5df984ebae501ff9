// The side panel of the viewer: offer and report. Dialogs dim it, and never the images.
import { type ReactElement, useEffect } from 'react';
import { useKeys } from '../state/keys';
import { setPanel, usePanel } from '../state/panel';
import { me, readerOf, useLive, useNow } from '../state/room';
import { holderOf, phaseOf } from '../state/second';
import { nextCase, useDraft, useOffers, useShownStudy, useStudy } from '../state/study';
import { Icon } from '../ui/icons';
import { DeclineDialog, useOfferKeys } from '../ui/offer';
import { stateOf } from './notices';
import { OfferTab, useOfferFirst } from './OfferTab';
import { ReportTab, SavedSign } from './ReportTab';

/** Begin to read as soon as a study that is ours is on the screen. */
function useStartReading(studyUid: string | null, waiting: boolean): void {
  const live = useLive();
  useEffect(() => {
    if (studyUid && waiting) void live.call('start_reading', { study_uid: studyUid });
  }, [live, studyUid, waiting]);
}

/** The panel. */
export function RoomPanel(): ReactElement {
  const live = useLive();
  const now = useNow();
  const desk = useOffers();
  const studyUid = useShownStudy();
  const { row, error } = useStudy(studyUid);
  const draft = useDraft(studyUid);
  const { tab, declining, wide } = usePanel();
  useEffect(() => {
    document.documentElement.style.setProperty('--rr-panel', wide ? '33.75rem' : '22.5rem');
  }, [wide]);
  const userId = me()?.id ?? '';
  useStartReading(studyUid, row !== null && phaseOf(row) === 'assigned' && holderOf(row) === userId);
  useOfferFirst(desk, (draft?.edits ?? 0) > 0);
  useOfferKeys(desk, desk.card, () => setPanel({ tab: 'offer', declining: true }), declining);
  useKeys({
    o: () => setPanel({ tab: 'offer' }),
    'shift+n': () => void nextCase(),
  });
  const state =
    row && draft
      ? stateOf(row, draft, live.status, {
          userId,
          tab: live.tab,
          lock: live.view(`study:${row.study_uid}`)?.lock ?? null,
          nowMs: now,
          readerName: (id) => readerOf(id)?.name ?? 'Another reader',
        })
      : null;
  return (
    <aside className="panel" aria-label="Reading room">
      <nav className="tabs" aria-label="Side panel">
        <button
          type="button"
          aria-current={tab === 'offer' ? 'page' : undefined}
          onClick={() => setPanel({ tab: 'offer', wide: false })}
        >
          Offer {desk.count > 0 ? <span>{desk.count}</span> : null}
        </button>
        <button
          type="button"
          aria-current={tab === 'report' ? 'page' : undefined}
          onClick={() => setPanel({ tab: 'report', wide: true })}
        >
          Report
        </button>
        <span className="grow" />
        {draft && state ? <SavedSign draft={draft} state={state} /> : null}
      </nav>
      {tab === 'offer' ? (
        <OfferTab desk={desk} reading={row} onDecline={() => setPanel({ declining: true })} />
      ) : row && draft ? (
        <ReportTab key={row.study_uid} row={row} draft={draft} />
      ) : (
        <div className="mid" role="status">
          {error ? (
            <>
              <Icon name="alert" />
              <h2>No report to show</h2>
              <p>{error}</p>
            </>
          ) : null}
        </div>
      )}
      {declining && desk.card ? (
        <DeclineDialog desk={desk} card={desk.card} onClose={() => setPanel({ declining: false })} />
      ) : null}
    </aside>
  );
}
