// What the list says when there is nothing, not yet anything, or nothing new: what is safe, and what comes next.
import { type ReactElement, useEffect, useRef, useState } from 'react';
import type { LiveStatus } from '../live/client';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icons';
import { preciseTime } from '../ui/time';

const WIDTHS = [
  [3.5, 2.5, 4, 2.25, 7, 2.5, 8],
  [3.5, 2.5, 4, 2.25, 9, 2.5, 6],
  [3.5, 2.5, 4, 2.25, 6, 2.5, 9],
] as const;
const BARS = Array.from({ length: 9 }, (_, line) => `line ${line}`);

/** Still bars, after 300 ms of nothing. */
export function Loading(): ReactElement {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="scroll" role="status" aria-label="The worklist is loading">
      {shown
        ? BARS.map((key, line) => (
            <div className="sk" key={key}>
              {(WIDTHS[line % 3] ?? WIDTHS[0]).map((width, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the bars are the same forever
                <span key={at} className="skel" style={{ width: `${width}rem` }} />
              ))}
            </div>
          ))
        : null}
    </div>
  );
}

/** Nothing in this view: says what comes next. */
export function Empty({
  view,
  open,
  filtered,
  onAll,
  onClear,
  onBreak,
}: {
  view: string;
  open: number;
  filtered: boolean;
  onAll: () => void;
  onClear: () => void;
  onBreak: (() => void) | null;
}): ReactElement {
  if (filtered) {
    return (
      <div className="mid">
        <Icon name="search" />
        <h2>No open study fits</h2>
        <p>Your filters leave none of the {open} open studies.</p>
        <div className="bs">
          <Button onPress={onClear}>Clear the filters</Button>
        </div>
      </div>
    );
  }
  return (
    <div className="mid">
      <Icon name="check" />
      <h2>{view === 'mine' ? 'Nothing is waiting for you' : 'Nothing is open'}</h2>
      <p>
        {onBreak
          ? 'The next offer appears here and in the viewer.'
          : 'A study appears here with its order or its first image.'}
      </p>
      <div className="bs">
        {view !== 'all' && open > 0 ? <Button onPress={onAll}>See all open, {open}</Button> : null}
        {onBreak ? (
          <Button look="bare" keyName="B" onPress={onBreak}>
            Take a break
          </Button>
        ) : null}
      </div>
    </div>
  );
}

/** The list could not be read at all. */
export function Failed({ words, onAgain }: { words: string; onAgain: () => void }): ReactElement {
  return (
    <div className="mid" role="alert">
      <Icon name="alert" />
      <h2>The worklist did not load</h2>
      <p>Your open report is safe. {words}</p>
      <div className="bs">
        <Button look="go" keyName="R" onPress={onAgain}>
          Try again
        </Button>
      </div>
    </div>
  );
}

/** The line above the list while the connection is not what it should be. */
export function ConnectionBanner({ status, nowMs }: { status: LiveStatus; nowMs: number }): ReactElement | null {
  const lost = useRef(0);
  const bad = status === 'offline' || status === 'stale';
  if (bad && lost.current === 0) lost.current = nowMs;
  if (!bad) lost.current = 0;
  if (!bad || nowMs - lost.current < 1000) return null;
  if (status === 'offline') {
    return (
      <div className="banner" role="status">
        <Icon name="cloudoff" />
        <p>
          <b>Offline since {preciseTime(lost.current)}.</b> You can read open studies and write. Signing waits.
        </p>
        <Button onPress={() => window.location.reload()}>Retry now</Button>
      </div>
    );
  }
  return (
    <div className="banner" data-s="stale" role="status">
      <Icon name="alert" />
      <p>
        <b>List is {Math.round((nowMs - lost.current) / 1000)} s old.</b> Clocks still run. Accept works over a second
        path.
      </p>
    </div>
  );
}
