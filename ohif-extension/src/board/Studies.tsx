// Every open study with its clock, what is due next first; one window of the list exists, however long it is.
import { type ReactElement, useEffect, useMemo, useRef, useState } from 'react';
import type { Row } from '../live/wire';
import { useLive } from '../state/room';
import { Icon } from '../ui/icons';
import { AiChip, aiFlag, PriorityChip, RowName, SiteBadge } from '../ui/pieces';
import { SecondTag } from '../ui/readings';
import { WhyHer } from '../ui/why';
import { useWindow } from '../ui/window';
import { Decide } from './Decide';
import { holder, listed, said } from './order';
import { RowClock } from './RowClock';

interface LineProps {
  row: Row;
  on: boolean;
  open: boolean;
  manages: boolean;
  nowMs: number;
  name: (id: string) => string;
  onToggle: () => void;
}

function Line({ row, on, open, manages, nowMs, name, onToggle }: LineProps): ReactElement {
  const flag = aiFlag(row);
  const born = [row.patient?.sex, row.patient?.birth_date].filter(Boolean).join(' ');
  return (
    <li className="bd-row" data-on={on || open} data-study={row.study_uid} aria-current={on ? 'true' : undefined}>
      <RowClock row={row} nowMs={nowMs} />
      <PriorityChip priority={row.priority} />
      <SiteBadge site={row.site} />
      {row.patient ? <RowName name={row.patient.name} /> : <span>{row.accession_number}</span>}
      <span className="bd-ids cut">
        {[born, row.patient ? `MRN ${row.patient.mrn}` : '', row.accession_number].filter(Boolean).join(', ')}
      </span>
      <span className="cut">
        {row.procedure || row.modality} {flag ? <AiChip result={flag} /> : null}
      </span>
      <span className="cut">
        <SecondTag row={row} /> {holder(row, name)}
      </span>
      {manages ? (
        <button className="btn" type="button" aria-expanded={open} onClick={onToggle}>
          {open ? 'Close' : 'Decide'}
        </button>
      ) : null}
    </li>
  );
}

export interface StudiesProps {
  site: string;
  nowMs: number;
  /** The study that the decision card is about. */
  open: string | null;
  onOpen: (studyUid: string | null) => void;
}

/** The list, its search, and the decision card below it. */
export function Studies({ site, nowMs, open, onOpen }: StudiesProps): ReactElement {
  const client = useLive();
  const [words, setWords] = useState('');
  const [at, setAt] = useState(0);
  const [why, setWhy] = useState(false);
  const box = useRef<HTMLUListElement>(null);
  const find = useRef<HTMLInputElement>(null);
  const [rowPx, setRowPx] = useState(33);
  const beat = Math.floor(nowMs / 5000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new order each 5 s, or when something changed
  const rows = useMemo(
    () =>
      listed(
        [...client.rows.values()].filter((row) => (!site || row.site.id === site) && said(row, words)),
        nowMs,
      ),
    [client.version, beat, site, words],
  );
  const { first, last, onScroll } = useWindow(box, rows.length, rowPx);
  const some = rows.length > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: measured anew when the first row is drawn
  useEffect(() => {
    const measure = (): void => {
      const drawn = box.current?.querySelector<HTMLElement>('.bd-row');
      if (drawn) setRowPx(drawn.offsetHeight);
    };
    measure();
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, [some]);
  const name = (id: string): string => client.readers.get(id)?.name ?? 'a reader';
  const manages = client.me?.role === 'manager';
  const chosen = open ? client.rows.get(open) : undefined;
  const asked = chosen ?? rows[at];
  useEffect(() => {
    const show = (index: number): void => {
      const element = box.current;
      setAt(index);
      if (!element) return;
      if (index * rowPx < element.scrollTop) element.scrollTop = index * rowPx;
      else if ((index + 1) * rowPx > element.scrollTop + element.clientHeight)
        element.scrollTop = (index + 1) * rowPx - element.clientHeight;
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Escape') onOpen(null);
      const target = event.target as HTMLElement;
      if (target.matches('input, select, textarea')) return;
      if (event.key === 'j') show(Math.min(rows.length - 1, at + 1));
      else if (event.key === 'k') show(Math.max(0, at - 1));
      else if (event.key === 'w') setWhy((shown) => !shown);
      else if (event.key === '/') {
        event.preventDefault();
        find.current?.focus();
      } else if (event.key === 'Enter' && !target.matches('button, a')) onOpen(rows[at]?.study_uid ?? null);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [rows, at, rowPx, onOpen]);
  const all = client.rows.size;
  return (
    <section className="bd-box bd-list" data-part="studies" aria-label="Open studies">
      <h2>
        Open studies{' '}
        <small>
          {rows.length === all ? all.toLocaleString() : `${rows.length.toLocaleString()} of ${all.toLocaleString()}`}
        </small>
        <span className="grow" />
        <small className="bd-keys">
          <kbd>J</kbd> <kbd>K</kbd> move <kbd>↵</kbd> open <kbd>W</kbd> why <kbd>/</kbd> search
        </small>
        <label className="bd-find">
          <span className="vh">Search name, MRN, accession, procedure</span>
          <Icon name="search" />
          <input
            ref={find}
            className="input"
            type="search"
            placeholder="Search"
            value={words}
            onChange={(event) => setWords(event.target.value)}
          />
        </label>
      </h2>
      {rows.length === 0 ? (
        <p className="bd-empty">
          {all === 0
            ? 'Nothing is open. The next study appears here by itself.'
            : 'No open study matches. Clear the search or choose all sites.'}
        </p>
      ) : null}
      <ul
        className="bd-rows"
        ref={box}
        onScroll={onScroll}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
        tabIndex={0}
        aria-label="Open studies, what is due next first"
      >
        {first > 0 ? <li aria-hidden="true" style={{ height: first * rowPx }} /> : null}
        {rows.slice(first, last).map((row, index) => (
          <Line
            key={row.study_uid}
            row={row}
            on={first + index === at}
            open={open === row.study_uid}
            manages={manages}
            nowMs={nowMs}
            name={name}
            onToggle={() => {
              setAt(first + index);
              onOpen(open === row.study_uid ? null : row.study_uid);
            }}
          />
        ))}
        {last < rows.length ? <li aria-hidden="true" style={{ height: (rows.length - last) * rowPx }} /> : null}
      </ul>
      {why && asked ? <WhyHer row={asked} name={name} /> : null}
      {chosen && manages ? (
        <Decide key={chosen.study_uid} row={chosen} nowMs={nowMs} onClose={() => onOpen(null)} />
      ) : null}
    </section>
  );
}
