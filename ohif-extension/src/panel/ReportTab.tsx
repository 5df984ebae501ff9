// The report beside the images: identity, clock, template, text, what stands in the way, and the sign bar.
import { type ReactElement, useEffect, useState } from 'react';
import type { Row } from '../live/wire';
import { isDone } from '../live/wire';
import type { Sections } from '../state/api';
import type { Draft } from '../state/draft';
import { useKeys } from '../state/keys';
import { heldInstances, openWorklist } from '../state/navigate';
import { me, readerOf, useLive, useNow } from '../state/room';
import { nextCase } from '../state/study';
import { Button, Menu } from '../ui/controls';
import { Icon } from '../ui/icons';
import { ClockView, IdentityBlock, IdentityLines } from '../ui/pieces';
import { Readings, SecondTag } from '../ui/readings';
import { clockFace, preciseTime } from '../ui/time';
import { AddendumDialog, ConfirmDialog, ReleaseDialog } from './dialogs';
import { Differences, Editor } from './Editor';
import { Notices, type ReportState, stateOf } from './notices';
import { templatesFor } from './templates';

type Asked = { kind: 'prelim' | 'final'; received: number; expected: number | null };

/** How long the viewer may take to read all series of a study. */
const LOADING_MS = 6_000;

/** "Saved 03:17:41", where the tabs are. */
export function SavedSign({ draft, state }: { draft: Draft; state: ReportState }): ReactElement | null {
  if (state.kind === 'offline' && draft.edits > 0) {
    return (
      <span className="live saved" data-s="down" role="status">
        <Icon name="cloudoff" />
        Kept here {preciseTime(draft.editedAt)}
      </span>
    );
  }
  if (draft.conflict) return null;
  if (draft.edits > 0) return <span className="live saved">Saving</span>;
  if (!draft.savedAt) return null;
  return (
    <span className="live saved" role="status">
      <Icon name="check" />
      Saved {preciseTime(draft.savedAt)}
    </span>
  );
}

interface ReportTabProps {
  row: Row;
  draft: Draft;
}

/** The tab. */
export function ReportTab({ row, draft }: ReportTabProps): ReactElement {
  const live = useLive();
  const now = useNow();
  const [asked, setAsked] = useState<Asked | null>(null);
  const [releasing, setReleasing] = useState(false);
  const [adding, setAdding] = useState(false);
  const [comparing, setComparing] = useState(false);
  const [signing, setSigning] = useState<'' | 'prelim' | 'final'>('');
  const [refused, setRefused] = useState('');
  const who = me();
  const state = stateOf(row, draft, live.status, {
    userId: who?.id ?? '',
    tab: live.tab,
    lock: live.view(`study:${row.study_uid}`)?.lock ?? null,
    nowMs: now,
    readerName: (id) => readerOf(id)?.name ?? 'Another reader',
  });
  const unseen = useUnseen(row, now);
  const templates = templatesFor(row);
  const canWrite = state.writable;
  useEffect(() => {
    if (canWrite && draft.loaded) draft.begin(templatesFor(row)[0]?.sections ?? draft.sections);
  }, [canWrite, draft, draft.loaded, row]);

  const blocked = state.blocked || (signing ? 'Signing' : '');
  const attending = who?.role === 'radiologist';
  const sign = async (kind: 'prelim' | 'final', confirm = false): Promise<void> => {
    if (blocked) return setRefused(blocked);
    setRefused('');
    setSigning(kind);
    const outcome = await draft.sign(kind, confirm);
    setSigning('');
    setAsked(null);
    if (outcome.ok) return;
    if ('confirm' in outcome) setAsked({ kind, ...outcome.confirm });
    else setRefused(outcome.message);
  };
  const next = async (): Promise<void> => setRefused(await nextCase());
  const release = async (reason: string): Promise<string | null> => {
    await draft.flush();
    const answer = await live.call('release', { study_uid: row.study_uid, reason });
    if (!isDone(answer)) return answer.message;
    openWorklist();
    return null;
  };
  const addendum = async (text: string): Promise<string | null> => {
    const outcome = await draft.addendum(text);
    return outcome.ok ? null : 'message' in outcome ? outcome.message : 'Images are missing.';
  };
  const busy = asked !== null || releasing || adding;
  useKeys(
    {
      'ctrl+enter': () => void (attending ? sign('final') : sign('prelim')),
      'ctrl+shift+enter': () => void sign('prelim'),
    },
    { when: canWrite && !busy },
  );

  const face = clockFace(row.sla, now);
  const current = templates.find((one) => one.sections.findings === draft.sections.findings) ?? null;
  return (
    <>
      <section className="top2" aria-label="Patient">
        <IdentityBlock row={row} nowMs={now} layout="line" />
      </section>
      <div className="bar">
        {canWrite ? (
          <Menu
            label="Template"
            button={
              <>
                {current?.name ?? templates[0]?.name ?? 'Template'}
                <Icon name="down" />
              </>
            }
            choices={templates.map((one) => ({
              key: one.key,
              label: one.name,
              chosen: one.key === current?.key,
              act: () => draft.replace(fill(one.sections, draft.sections)),
            }))}
          />
        ) : (
          <span className="bar-words">{row.procedure || row.modality}</span>
        )}
        <SecondTag row={row} />
        <span className="grow" />
        {face ? <ClockView face={face} left /> : null}
        <span className="grow" />
        {state.mine && row.status !== 'final' && state.kind !== 'compare' ? (
          <Button look="bare" onPress={() => setReleasing(true)}>
            Give back
          </Button>
        ) : null}
      </div>
      <Editor sections={draft.sections} locked={!canWrite} onEdit={(part, text) => draft.edit(part, text)} />
      {comparing && draft.conflict ? (
        <Differences parts={draft.conflict.differ} mine={draft.sections} theirs={draft.conflict.theirs} />
      ) : null}
      {draft.addenda.length > 0 ? (
        <section className="addenda" aria-label="Addenda">
          {draft.addenda.map((one) => (
            <p key={`${one.signed_at ?? one.at} ${one.text}`}>
              <b className="label">
                Addendum {(one.signed_at ?? one.at) ? preciseTime(one.signed_at ?? one.at ?? '') : ''}
              </b>
              <span dir="auto">{one.text}</span>
            </p>
          ))}
        </section>
      ) : null}
      <Readings row={row} />
      <Notices
        state={state}
        row={row}
        draft={draft}
        refused={refused}
        comparing={comparing}
        onCompare={() => setComparing(!comparing)}
        onNext={() => void next()}
        onAddendum={() => setAdding(true)}
        unseen={unseen}
        onLoad={() => void draft.flush().finally(() => window.location.reload())}
      />
      <div className="sign">
        <div className="grow">
          <IdentityLines row={row} />
        </div>
        {canWrite ? (
          <>
            {row.second_read ? null : (
              <Button
                tall
                onPress={() => void sign('prelim')}
                blocked={blocked || undefined}
                look={attending ? '' : 'go'}
              >
                {signing === 'prelim' ? 'Signing' : 'Sign prelim'}
              </Button>
            )}
            {attending ? (
              <Button tall look="go" keyName="Ctrl ↵" onPress={() => void sign('final')} blocked={blocked || undefined}>
                {signing === 'final' ? 'Signing' : 'Sign final'}
              </Button>
            ) : null}
          </>
        ) : null}
      </div>
      {asked ? (
        <ConfirmDialog row={row} {...asked} onSign={() => void sign(asked.kind, true)} onClose={() => setAsked(null)} />
      ) : null}
      {releasing ? <ReleaseDialog row={row} onRelease={release} onClose={() => setReleasing(false)} /> : null}
      {adding ? <AddendumDialog row={row} onSign={addendum} onClose={() => setAdding(false)} /> : null}
    </>
  );
}

/** How many images are stored and not in the viewer, which took what was there when the study was opened. */
function useUnseen(row: Row, nowMs: number): number {
  const [openedAt] = useState(nowMs);
  const held = heldInstances(row.study_uid);
  return held === 0 || nowMs - openedAt < LOADING_MS ? 0 : Math.max(0, row.images - held);
}

/** The template's text where nothing was written by hand. */
function fill(template: Sections, written: Sections): Sections {
  return { ...template, impression: written.impression || template.impression };
}
