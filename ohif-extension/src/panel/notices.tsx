// Where the report stands, in words that say what is safe: saved, offline, locked, two versions, prelim, final.
import type { ReactElement } from 'react';
import type { LiveStatus } from '../live/client';
import type { Lock, Row } from '../live/wire';
import type { Draft } from '../state/draft';
import { me, readerOf } from '../state/room';
import { holderOf, phaseOf } from '../state/second';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icons';
import { minutes, preciseTime } from '../ui/time';

/** The state of the report for this reader. */
export interface ReportState {
  kind:
    | 'loading'
    | 'failed'
    | 'writing'
    | 'offline'
    | 'follow'
    | 'locked'
    | 'notMine'
    | 'conflict'
    | 'prelim'
    | 'compare'
    | 'final';
  mine: boolean;
  writable: boolean;
  /** Why signing is not possible now; empty when it is. */
  blocked: string;
  title: string;
  says: string;
}

interface Around {
  userId: string;
  tab: string;
  lock: Lock | null;
  nowMs: number;
  readerName: (userId: string) => string;
}

const OWNED = new Set(['assigned', 'reading', 'prelim']);

/** Where the report stands. */
export function stateOf(row: Row, draft: Draft, status: LiveStatus, around: Around): ReportState {
  const { userId, lock, nowMs } = around;
  const mine =
    holderOf(row) === userId || (row.status === 'final' && (row.assigned_to === userId || draft.signedBy === userId));
  const base = { mine, writable: false, blocked: 'Not yours to sign', title: '', says: '' };
  if (draft.failed && !draft.loaded)
    return { ...base, kind: 'failed', title: 'The report did not load', says: draft.failed };
  if (!draft.loaded) return { ...base, kind: 'loading' };
  if (draft.status === 'final' || row.status === 'final') {
    const at = draft.signedAt ? `, signed ${preciseTime(draft.signedAt)}` : '';
    const early = row.sla?.due_at && draft.signedAt ? Date.parse(row.sla.due_at) - Date.parse(draft.signedAt) : 0;
    const says = early > 0 ? `${minutes(early)} before due. It goes to the site now.` : 'It goes to the site now.';
    return { ...base, kind: 'final', title: `Final${at}`, says };
  }
  if (row.second_read?.state === 'compare') {
    const says = mine
      ? 'Read both and say whether they agree.'
      : 'The second reader or a manager says whether they agree.';
    return { ...base, kind: 'compare', title: 'Both readings are signed', says };
  }
  if (!mine || !OWNED.has(phaseOf(row))) {
    const holder = holderOf(row);
    if (holder && holder !== userId) {
      return {
        ...base,
        kind: 'locked',
        title: `${around.readerName(holder)} ${row.reading_by ? 'reads it' : 'has it'}`,
        says: 'You can look and measure. The report is theirs until they sign or give it back.',
      };
    }
    if (row.second_read) {
      const title = row.second_read.kind === 'cosign' ? 'It waits for an attending' : 'It waits for another reader';
      return {
        ...base,
        kind: 'notMine',
        title,
        says: 'It is offered by itself.',
      };
    }
    return {
      ...base,
      kind: 'notMine',
      title: 'Nobody reads this study yet',
      says: 'You can look and measure. To report it, take it as an offer or with Next case.',
    };
  }
  if (lock && Date.parse(lock.until) > nowMs && (lock.user_id !== userId || lock.tab !== around.tab)) {
    const own = lock.user_id === userId;
    return {
      ...base,
      kind: own ? 'follow' : 'locked',
      writable: own,
      blocked: own ? '' : `${around.readerName(lock.user_id)} writes`,
      title: own ? 'You write in another window' : `${around.readerName(lock.user_id)} writes`,
      says: own ? 'Both are saved; where they differ you are asked.' : 'You can look and measure. Your text is kept.',
    };
  }
  const writing = { ...base, writable: true, blocked: '' };
  if (draft.conflict) {
    return {
      ...writing,
      kind: 'conflict',
      blocked: 'Settle the two versions first',
      title: 'Written in two places',
      says: conflictWords(draft),
    };
  }
  if (status === 'offline' || status === 'stale') {
    const kept =
      draft.edits > 0
        ? `${draft.edits} ${draft.edits === 1 ? 'edit is' : 'edits are'} kept on this device, newest ${preciseTime(draft.editedAt)}. `
        : '';
    return {
      ...writing,
      kind: 'offline',
      blocked: 'Signing waits for the line',
      title: 'Offline',
      says: `${kept}Writing goes on. Signing waits for the line.`,
    };
  }
  if (!draft.sections.impression.trim()) writing.blocked = 'Write the impression first';
  if (draft.status === 'prelim') {
    const at = draft.signedAt ? `, signed ${preciseTime(draft.signedAt)}` : '';
    return {
      ...writing,
      kind: 'prelim',
      title: `Prelim${at}`,
      says: 'It is out, and not final. You can change it and sign final.',
    };
  }
  return { ...writing, kind: 'writing' };
}

function conflictWords(draft: Draft): string {
  const differ = draft.conflict?.differ ?? [];
  const by = draft.conflict?.by;
  const where = by && by !== me()?.id ? ` by ${readerOf(by)?.name ?? 'another reader'}` : '';
  const names = differ.map((part, at) => (at === 0 ? part.charAt(0).toUpperCase() + part.slice(1) : part)).join(', ');
  return `${names} ${differ.length === 1 ? 'differs' : 'differ'}${where}. The other parts were joined. Nothing is lost, both are kept.`;
}

const SIGNS: Partial<Record<ReportState['kind'], readonly [string, string]>> = {
  failed: ['alert', 'w'],
  offline: ['cloudoff', 'u'],
  follow: ['link', 'c'],
  locked: ['lock', 'q'],
  notMine: ['calm', 'c'],
  conflict: ['warn', 'w'],
  prelim: ['calm', 'c'],
  compare: ['link', 'c'],
  final: ['check', 'o'],
};

interface NoticesProps {
  state: ReportState;
  row: Row;
  draft: Draft;
  refused: string;
  comparing: boolean;
  onCompare: () => void;
  onNext: () => void;
  onAddendum: () => void;
  /** Images that have come since the study was opened, and are not on the screen. */
  unseen: number;
  onLoad: () => void;
}

/** What the reader should know before signing, each line with its way out. */
export function Notices({
  state,
  row,
  draft,
  refused,
  comparing,
  onCompare,
  onNext,
  onAddendum,
  unseen,
  onLoad,
}: NoticesProps): ReactElement {
  const sign = SIGNS[state.kind];
  const late = row.flags.includes('images_after_sign');
  const lateOrder = row.flags.includes('order_after_sign');
  const latePatient = row.flags.includes('patient_after_sign');
  const missing = row.readiness.state === 'incomplete' && state.writable;
  return (
    <section className="checks" aria-label="Before signing" aria-live="polite">
      <ul>
        {refused || (draft.refused && state.kind !== 'offline') ? (
          <li className="b" role="alert">
            <Icon name="breached" />
            <span className="grow">{refused || `Not saved: ${draft.refused} Your text is kept on this device.`}</span>
          </li>
        ) : null}
        {late ? (
          <li className="w" role="alert" data-notice="images_after_sign">
            <Icon name="images" />
            <span className="grow">
              <b>Images came after you signed.</b> {row.images} are here now. The signed report is unchanged.
            </span>
            {state.kind === 'final' && state.mine ? <Button onPress={onAddendum}>Add to it</Button> : null}
          </li>
        ) : null}
        {unseen > 0 ? (
          <li className="w" data-notice="unseen_images">
            <Icon name="images" />
            <span className="grow">
              <b>
                {unseen} {unseen === 1 ? 'image is' : 'images are'} not on the screen.
              </b>{' '}
              {unseen === 1 ? 'It' : 'They'} came after you opened the study.
            </span>
            <Button onPress={onLoad}>Show {unseen === 1 ? 'it' : 'them'}</Button>
          </li>
        ) : null}
        {lateOrder ? (
          <li className="w">
            <Icon name="alert" />
            <span className="grow">
              <b>The order came after you signed.</b> Check that it asks what you answered.
            </span>
          </li>
        ) : null}
        {latePatient ? (
          <li className="w" role="alert" data-notice="patient_after_sign">
            <Icon name="alert" />
            <span className="grow">
              <b>The patient was corrected after you signed.</b> Check whom the report speaks of. It is unchanged.
            </span>
            {state.kind === 'final' && state.mine ? <Button onPress={onAddendum}>Add to it</Button> : null}
          </li>
        ) : null}
        {missing ? (
          <li className="w">
            <Icon name="images" />
            <span className="grow">
              {row.readiness.received}/{row.readiness.expected ?? '?'} images are here. More may come.
            </span>
          </li>
        ) : null}
        {sign && state.title ? (
          <li className={sign[1]} data-report={state.kind}>
            <Icon name={sign[0]} />
            <span className="grow">
              <b>{state.title}.</b> {state.says}
            </span>
          </li>
        ) : null}
      </ul>
      {state.kind === 'conflict' ? (
        <div className="ft">
          <Button look="go" onPress={onCompare}>
            {comparing ? 'Hide' : 'Compare'}
          </Button>
          <Button onPress={() => void draft.keepMine()}>Keep mine</Button>
          <Button onPress={() => void draft.keepTheirs()}>Keep the other</Button>
        </div>
      ) : null}
      {state.kind === 'final' ? (
        <div className="ft">
          <Button look="go" onPress={onNext}>
            Next case
          </Button>
          {state.mine ? <Button onPress={onAddendum}>Addendum</Button> : null}
        </div>
      ) : null}
      {state.kind === 'failed' ? (
        <div className="ft">
          <Button onPress={() => void draft.load()}>Try again</Button>
        </div>
      ) : null}
    </section>
  );
}
