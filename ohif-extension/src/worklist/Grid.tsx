// The rows: one window of them exists at a time, however many there are.
import { type ReactElement, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Row } from '../live/wire';
import { readerOf, shortName, useNow } from '../state/room';
import type { Group, SortKey } from '../state/rows';
import { holderOf, secondWords } from '../state/second';
import { Icon } from '../ui/icons';
import { Acuity, AiChip, aiFlag, ClockView, Fuse, PriorityChip, Readiness, RowName, SiteBadge } from '../ui/pieces';
import { SecondTag } from '../ui/readings';
import { ageSex, clockFace } from '../ui/time';
import { useWindow } from '../ui/window';

const COLUMNS: readonly [SortKey, string, string, string?][] = [
  ['left', 'Left', '6.8125rem'],
  ['priority', 'Priority', '4.25rem'],
  ['acuity', 'Acuity', '8.25rem'],
  ['site', 'Site', '3.75rem'],
  ['patient', 'Patient', '10.625rem'],
  ['age', 'Age, sex', '4rem'],
  ['mrn', 'MRN', '4.75rem'],
  ['study', 'Study', ''],
  ['images', 'Images', '5.9375rem'],
  ['priors', 'Priors', '2.75rem', 'num'],
  ['reader', 'Reader', '9.125rem'],
];

const FLAGS: Record<string, string> = {
  no_order: 'No order',
  patient_mismatch: 'Patient differs',
  uid_conflict: 'UID used twice',
  images_after_sign: 'Images after sign',
  order_after_sign: 'Order after sign',
  patient_after_sign: 'Patient after sign',
  image_damaged: 'Image damaged',
};

function ReaderCell({ row, userId, nowMs }: { row: Row; userId: string; nowMs: number }): ReactElement | null {
  if (row.offer) {
    const mine = row.offer.radiologist_id === userId;
    const left = Math.max(0, Math.ceil((Date.parse(row.offer.expires_at) - nowMs) / 1000));
    const to = mine ? 'Offer' : shortName(readerOf(row.offer.radiologist_id)?.name ?? 'Offered');
    return (
      <span className={mine ? 'offer-tag' : 'lock quiet'}>
        <Icon name="bell" />
        <span className="cut">
          <bdi>{to}</bdi> · {left} s
        </span>
      </span>
    );
  }
  const who = holderOf(row);
  if (who) {
    const you = who === userId;
    const name = you ? 'You' : shortName(readerOf(who)?.name ?? 'Another reader');
    const does =
      row.report?.status === 'prelim' && !secondWords(row)
        ? 'prelim'
        : row.reading_by
          ? you
            ? 'read'
            : 'reads'
          : you
            ? 'have it'
            : 'has it';
    return (
      <span className="lock">
        <Icon name="lock" />
        <span className="cut">
          <bdi>{name}</bdi> {does}
        </span>
      </span>
    );
  }
  const flag = row.flags[0];
  if (flag) {
    return (
      <span className="flag">
        <Icon name="alert" />
        {FLAGS[flag] ?? flag}
      </span>
    );
  }
  if (row.status === 'ordered') return <span className="quiet">Waiting for images</span>;
  return row.sla?.state === 'paused' ? <span className="quiet">Clock paused</span> : null;
}

interface LineProps {
  row: Row;
  at: number;
  selected: boolean;
  userId: string;
  nowMs: number;
  onSelect: (studyUid: string) => void;
  onOpen: (studyUid: string) => void;
}

function Line({ row, at, selected, userId, nowMs, onSelect, onOpen }: LineProps): ReactElement {
  const face = clockFace(row.sla, nowMs);
  const flagged = aiFlag(row);
  return (
    <tr
      id={`row-${row.study_uid}`}
      className={selected ? 'sel' : undefined}
      aria-selected={selected}
      aria-rowindex={at + 2}
      data-study={row.study_uid}
      onClick={() => onSelect(row.study_uid)}
      onDoubleClick={() => onOpen(row.study_uid)}
    >
      <td>
        {face ? (
          <>
            <ClockView face={face} />
            <Fuse face={face} />
          </>
        ) : null}
      </td>
      <td>
        <PriorityChip priority={row.priority} />
      </td>
      <td>
        <Acuity acuity={row.acuity} quiet={flagged !== null} />
        {flagged ? <AiChip result={flagged} /> : null}
      </td>
      <td>
        <SiteBadge site={row.site} />
      </td>
      <td className="pt">
        {row.patient ? <RowName name={row.patient.name} /> : <span className="quiet">Withheld</span>}
      </td>
      <td className="sm">{ageSex(row.patient, nowMs)}</td>
      <td className="sm">
        <bdi>{row.patient?.mrn}</bdi>
      </td>
      <td>
        <span className="mod">{row.modality}</span>
        <SecondTag row={row} short /> {row.procedure || row.body_part}
      </td>
      <td className="sm">
        <Readiness readiness={row.readiness} images={row.images} />
      </td>
      <td className="num">{row.priors}</td>
      <td className="sm">
        <ReaderCell row={row} userId={userId} nowMs={nowMs} />
      </td>
    </tr>
  );
}

type Item = { group: Group } | { row: Row; at: number };

export interface GridProps {
  groups: Group[];
  selected: string | null;
  userId: string;
  sort: SortKey;
  descending: boolean;
  onSort: (key: SortKey) => void;
  onSelect: (studyUid: string) => void;
  onOpen: (studyUid: string) => void;
  /** Told whenever the pointer or the wheel moves over the rows. */
  onTouch: () => void;
  /** The first row that is in sight, counted from 1. */
  onWindow: (first: number) => void;
}

/** The grid of open studies. */
export function Grid(props: GridProps): ReactElement {
  const { groups, selected, userId, sort, descending, onSort, onSelect, onOpen, onTouch, onWindow } = props;
  const now = useNow();
  const box = useRef<HTMLDivElement>(null);
  const rowPx = useRowHeight(box);
  const items = useMemo(() => {
    const all: Item[] = [];
    let at = 0;
    for (const group of groups) {
      if (group.words) all.push({ group });
      for (const row of group.rows) all.push({ row, at: at++ });
    }
    return all;
  }, [groups]);
  const { top, first, last, onScroll } = useWindow(box, items.length, rowPx);
  const inSight = items.slice(Math.floor(top / rowPx)).find((item) => 'row' in item);
  useEffect(() => onWindow(inSight && 'row' in inSight ? inSight.at + 1 : 0), [inSight, onWindow]);
  useEffect(() => {
    const element = box.current;
    const index = items.findIndex((item) => 'row' in item && item.row.study_uid === selected);
    if (!element || index < 0) return;
    const from = index * rowPx;
    const headPx = rowPx;
    if (from < element.scrollTop + rowPx) element.scrollTop = Math.max(0, from - rowPx);
    else if (from + rowPx + headPx > element.scrollTop + element.clientHeight) {
      element.scrollTop = from + rowPx + headPx - element.clientHeight;
    }
  }, [selected, items, rowPx]);
  const inWindow = items.slice(first, last).some((item) => 'row' in item && item.row.study_uid === selected);
  const count = items.filter((item) => 'row' in item).length;
  return (
    <section
      ref={box}
      className="scroll"
      aria-label="Open studies"
      onScroll={onScroll}
      onPointerMove={onTouch}
      onWheel={onTouch}
    >
      <table
        className="grid"
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: rows are chosen with keys, so it is a grid
        role="grid"
        tabIndex={0}
        aria-label="Open studies"
        aria-rowcount={count + 1}
        aria-activedescendant={inWindow ? `row-${selected}` : undefined}
      >
        <colgroup>
          {COLUMNS.map(([key, , width]) => (
            <col key={key} style={width ? { width } : undefined} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {COLUMNS.map(([key, words, , look]) => (
              <th
                key={key}
                scope="col"
                className={look}
                aria-sort={sort !== key ? undefined : descending ? 'descending' : 'ascending'}
              >
                <button type="button" onClick={() => onSort(key)}>
                  {words}
                  {sort === key && (key !== 'left' || descending) ? <Icon name="down" /> : null}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 ? (
            <tr className="pad" aria-hidden="true">
              <td colSpan={COLUMNS.length} style={{ height: first * rowPx }} />
            </tr>
          ) : null}
          {items.slice(first, last).map((item) =>
            'group' in item ? (
              <tr className="grp" data-s={item.group.look} key={`head ${item.group.key}`}>
                <th colSpan={COLUMNS.length} scope="rowgroup">
                  {item.group.look ? <Icon name={item.group.look} /> : null}
                  <b>{item.group.words}</b>
                  {item.group.rows.length}
                </th>
              </tr>
            ) : (
              <Line
                key={item.row.study_uid}
                row={item.row}
                at={item.at}
                selected={item.row.study_uid === selected}
                userId={userId}
                nowMs={now}
                onSelect={onSelect}
                onOpen={onOpen}
              />
            ),
          )}
          {last < items.length ? (
            <tr className="pad" aria-hidden="true">
              <td colSpan={COLUMNS.length} style={{ height: (items.length - last) * rowPx }} />
            </tr>
          ) : null}
        </tbody>
      </table>
    </section>
  );
}

/** The height of a row in pixels: 24 at the usual root size. */
function useRowHeight(box: React.RefObject<HTMLElement>): number {
  const [px, setPx] = useState(24);
  useLayoutEffect(() => {
    if (!box.current) return;
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
    const rows = Number.parseFloat(getComputedStyle(box.current).getPropertyValue('--rr-row')) || 1.5;
    setPx(rem * rows);
  }, [box]);
  return px;
}
