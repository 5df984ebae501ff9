// The counters: what a manager sees first. Loud only where a human must act.
import type { ReactElement, ReactNode } from 'react';
import { useLive } from '../state/room';
import { Icon } from '../ui/icons';

interface Tile {
  key: string;
  label: ReactNode;
  value: number | undefined;
  more: string;
  loud?: boolean;
}

/** The row of counters, as the server counts them. */
export function Tiles(): ReactElement {
  const { counters: c, readers } = useLive();
  const there = [...readers.values()].filter((r) => r.presence === 'online' || r.presence === 'reading');
  const reading = there.filter((r) => r.presence === 'reading').length;
  const over = c?.breached ?? 0;
  const tiles: Tile[] = [
    { key: 'open', label: 'Open', value: c?.open, more: c ? `${c.paused} with the clock paused` : '' },
    {
      key: 'over',
      label: (
        <>
          <Icon name="breached" /> Breached
        </>
      ),
      value: c?.breached,
      more: c ? `${c.warned} more warned` : '',
      loud: over > 0,
    },
    { key: 'unread', label: 'No reader', value: c?.unread, more: 'waiting to be offered' },
    { key: 'offered', label: 'Offered', value: c?.offered, more: 'waiting for an answer' },
    {
      key: 'assigned',
      label: 'With a reader',
      value: c ? c.assigned + c.reading : undefined,
      more: c ? `${c.reading} being read` : '',
    },
    {
      key: 'readers',
      label: (
        <>
          <Icon name="reading" /> Readers
        </>
      ),
      value: there.length,
      more: `of ${readers.size}, ${reading} reading`,
    },
    { key: 'final', label: 'Final today', value: c?.final_today, more: 'signed' },
  ];
  return (
    <section className="bd-tiles" aria-label="Counters">
      {tiles.map(({ key, label, value, more, loud }) => (
        <div className="bd-tile" key={key} data-tile={key} data-loud={Boolean(loud)}>
          <span>{label}</span>
          <b>{value ?? '–'}</b>
          <small>{more}</small>
        </div>
      ))}
    </section>
  );
}
