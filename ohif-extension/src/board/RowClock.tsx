// The clock of a row on the board, or why there is none to show.
import type { ReactElement } from 'react';
import type { Row } from '../live/wire';
import { ClockView } from '../ui/pieces';
import { clockFace } from '../ui/time';

export function RowClock({ row, nowMs }: { row: Row; nowMs: number }): ReactElement {
  const face = clockFace(row.sla, nowMs);
  if (face) return <ClockView face={face} />;
  return <span className="quiet">{row.sla ? 'clock stopped' : 'no clock yet'}</span>;
}
