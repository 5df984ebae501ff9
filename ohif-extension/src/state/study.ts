// The study on the screen, and its report: from the live rows, or from the server once it has left them.
import { useEffect, useMemo, useReducer, useState, useSyncExternalStore } from 'react';
import { isDone, type Row } from '../live/wire';
import { getReport, getStudy } from './api';
import { Draft, pagePorts } from './draft';
import { onShownStudy, openStudy, shownStudy } from './navigate';
import { type OfferDesk, offerDesk } from './offers';
import { live, me, rowOf, useLive } from './room';

/** The study that the viewer shows. */
export function useShownStudy(): string | null {
  return useSyncExternalStore(onShownStudy, shownStudy);
}

/** The desk's offers; the component is drawn again after each change. */
export function useOffers(): OfferDesk {
  const desk = offerDesk();
  useSyncExternalStore(
    (changed) => desk.subscribe(changed),
    () => desk.version,
  );
  return desk;
}

/** The row of a study, open or not; the last one known when it leaves the worklist. */
export function useStudy(studyUid: string | null): { row: Row | null; error: string } {
  const here = useLive();
  const found = studyUid ? rowOf(studyUid) : undefined;
  const [fetched, setFetched] = useState<{ row: Row | null; error: string; uid: string | null }>({
    row: null,
    error: '',
    uid: null,
  });
  const missing = studyUid !== null && !found && here.status !== 'connecting';
  useEffect(() => {
    if (!studyUid || !missing) return;
    let gone = false;
    getStudy(studyUid).then(
      (row) => !gone && setFetched({ row, error: '', uid: studyUid }),
      (error: Error) =>
        !gone &&
        setFetched((last) => ({ row: last.uid === studyUid ? last.row : null, error: error.message, uid: studyUid })),
    );
    return () => {
      gone = true;
    };
  }, [studyUid, missing]);
  useEffect(() => {
    if (found) setFetched({ row: found, error: '', uid: found.study_uid });
  }, [found]);
  if (found) return { row: found, error: '' };
  return fetched.uid === studyUid ? fetched : { row: null, error: '' };
}

const drafts = new Map<string, Draft>();

function draftOf(studyUid: string, userId: string): Draft {
  const key = `${userId} ${studyUid}`;
  let draft = drafts.get(key);
  if (!draft) {
    draft = new Draft(
      studyUid,
      pagePorts(
        live(),
        userId,
        () => rowOf(studyUid)?.version ?? 0,
        () => getReport(studyUid, rowOf(studyUid)),
      ),
    );
    drafts.set(key, draft);
  }
  return draft;
}

/** The report of a study that this person writes or reads; loaded when shown and whenever a newer one is told of. */
export function useDraft(studyUid: string | null): Draft | null {
  const here = useLive();
  const userId = me()?.id ?? null;
  const draft = useMemo(() => (studyUid && userId ? draftOf(studyUid, userId) : null), [studyUid, userId]);
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    if (!draft) return;
    const stop = draft.subscribe(again);
    void draft.load();
    void here.follow(`study:${draft.studyUid}`);
    const stopEvents = here.on('report_changed', ({ data }) => {
      if (data.study_uid === draft.studyUid) draft.newer(data.report_version, data.report_status);
    });
    const save = () => void draft.flush();
    window.addEventListener('pagehide', save);
    return () => {
      stop();
      stopEvents();
      window.removeEventListener('pagehide', save);
      if (draft.edits > 0) save();
      void here.unfollow(`study:${draft.studyUid}`);
    };
  }, [draft, here]);
  return draft;
}

/** Take what should be read next, begin to read it, and open it. Resolves with a sentence when there is nothing. */
export async function nextCase(): Promise<string> {
  const answer = await live().call('next_case', {}, { giveUpMs: 15_000 });
  if (!isDone(answer)) return answer.message;
  if (!answer.row) return 'Nothing waits for you now.';
  void live().call('start_reading', { study_uid: answer.row.study_uid });
  openStudy(answer.row.study_uid);
  return '';
}
