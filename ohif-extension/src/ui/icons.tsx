// The pictograms, drawn in the page itself: a shadow root cannot use symbols that stand outside of it.
import type { ReactElement } from 'react';

const FILLED: Record<string, ReactElement> = {
  calm: <circle cx="8" cy="8" r="5.75" fill="none" stroke="currentColor" strokeWidth="1.75" />,
  warn: (
    <>
      <path d="M8 2.25 14.25 13.5H1.75z" fill="none" stroke="currentColor" strokeWidth="1.75" strokeLinejoin="round" />
      <path d="M4.6 8.75h6.8l2.35 4.5H2.25z" fill="currentColor" />
    </>
  ),
  urgent: <path d="M8 .75 15.25 8 8 15.25.75 8z" fill="currentColor" />,
  breached: (
    <>
      <path d="M5 .75h6L15.25 5v6L11 15.25H5L.75 11V5z" fill="currentColor" />
      <path d="M4.25 8h7.5" stroke="var(--bar,var(--rr-breach))" strokeWidth="2.25" />
    </>
  ),
  paused: <path d="M4.75 2.5v11M11.25 2.5v11" stroke="currentColor" strokeWidth="3" fill="none" />,
  late: (
    <path
      d="M5.2 1.75h5.6l3.45 3.45v5.6l-3.45 3.45H5.2L1.75 10.8V5.2z"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeDasharray="2.6 1.9"
    />
  ),
  online: <circle cx="8" cy="8" r="5.5" fill="currentColor" />,
  reading: (
    <>
      <circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" strokeWidth="2" />
      <circle cx="8" cy="8" r="3" fill="currentColor" />
    </>
  ),
  busy: <rect x="2.5" y="2.5" width="11" height="11" rx="1" fill="currentColor" />,
  away: <path d="M9.5 2a6.25 6.25 0 1 0 4.6 9.4A5.25 5.25 0 0 1 9.5 2z" fill="currentColor" />,
  off: <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" strokeWidth="2" />,
};

const DRAWN: Record<string, string> = {
  plus: 'M8 3v10M3 8h10',
  pulse: 'M1.5 8.5h3l2-4.5 3 8 2-3.5h3',
  down: 'm3.5 6 4.5 4.5L12.5 6',
  chev: 'm6 3.5 4.5 4.5L6 12.5',
  board: 'M2.5 3.5v10h11M5 10.5h3.5M7 7.5h5M5.5 4.5h4',
  sound: 'M2.5 6.25h2.25L8 3.5v9L4.75 9.75H2.5zM10.5 6a2.75 2.75 0 0 1 0 4M12.25 4.25a5.25 5.25 0 0 1 0 7.5',
  mute: 'M2.5 6.25h2.25L8 3.5v9L4.75 9.75H2.5zM10.75 6.25l3.5 3.5M14.25 6.25l-3.5 3.5',
  search: 'M7 2.75a4.25 4.25 0 1 0 0 8.5 4.25 4.25 0 0 0 0-8.5zM10.25 10.25l3.25 3.25',
  x: 'm4 4 8 8M12 4l-8 8',
  check: 'm3 8.5 3.25 3.25L13 5',
  lock: 'M4.75 7h6.5c.7 0 1.25.55 1.25 1.25v4c0 .7-.55 1.25-1.25 1.25h-6.5c-.7 0-1.25-.55-1.25-1.25v-4C3.5 7.55 4.05 7 4.75 7zM5.5 7V5.25a2.5 2.5 0 0 1 5 0V7',
  bell: 'M4 11V7.25a4 4 0 0 1 8 0V11l1 1.25H3zM6.75 14h2.5',
  cloudoff: 'M2.5 2.5l11 11M5 6.25A3 3 0 0 0 5 12.25h6M7 4.4a4 4 0 0 1 5.25 3.1A2.6 2.6 0 0 1 13.4 11',
  alert: 'M8 2.5 14 13H2zM8 6.5v3M8 11.4v.1',
  link: 'M6.5 9.5 9.5 6.5M7 4.75l1.5-1.5a2.85 2.85 0 0 1 4.25 4.25L11.25 9M9 11.25l-1.5 1.5A2.85 2.85 0 0 1 3.25 8.5L4.75 7',
  images: 'M2.5 5.5c0-.55.45-1 1-1h7c.55 0 1 .45 1 1v7c0 .55-.45 1-1 1h-7c-.55 0-1-.45-1-1zM5 4.5v-2h8.5V11h-2',
  mark: 'M2.75 13.25V5.5a2.75 2.75 0 0 1 2.75-2.75h5a2.75 2.75 0 0 1 2.75 2.75v7.75zM8 5.75V9l2.25 1.5',
};

const SHIELD = 'M1.5 1.5h13v7.25c0 3-3 5-6.5 6.25-3.5-1.25-6.5-3.25-6.5-6.25z';

/** The five fields of a shield: a site keeps its own, so that it is told apart without colour. */
const SHIELDS: readonly ReactElement[] = [
  <path key="chevron" d="m2 12 6-5.5 6 5.5" stroke="currentColor" strokeWidth="2.6" fill="none" />,
  <path key="cross" d="M8 2v12.5M2 7h12" stroke="currentColor" strokeWidth="2.6" />,
  <path key="pale" d="M8 1.5v13.5c3.5-1.25 6.5-3.25 6.5-6.25V1.5z" fill="currentColor" />,
  <path key="bend" d="m2.5 2.5 9.5 10" stroke="currentColor" strokeWidth="3" />,
  <path key="bars" d="M2 5.25h12M2.5 9.75h11" stroke="currentColor" strokeWidth="2" />,
];

/** A pictogram by name; always beside words, hence hidden from screen readers. */
export function Icon({ name, className = 'i' }: { name: string; className?: string }): ReactElement {
  const filled = FILLED[name];
  if (filled) {
    return (
      <svg viewBox="0 0 16 16" aria-hidden="true">
        {filled}
      </svg>
    );
  }
  return (
    <svg className={className} viewBox="0 0 16 16" aria-hidden="true">
      <path d={DRAWN[name] ?? ''} />
    </svg>
  );
}

/** The shield of a site. */
export function Shield({ field }: { field: number }): ReactElement {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHIELD} fill="none" stroke="currentColor" strokeWidth="1.4" />
      {SHIELDS[field % SHIELDS.length]}
    </svg>
  );
}
