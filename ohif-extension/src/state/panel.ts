// What the side panel shows, known to the toolbar too: which tab, and whether the decline dialog is open.
import { useSyncExternalStore } from 'react';

/** The tabs of the panel. */
export type Tab = 'offer' | 'report';

interface PanelState {
  tab: Tab;
  declining: boolean;
  /** Report width; changes only when the reader changes the tab, so that images never move by themselves. */
  wide: boolean;
}

let state: PanelState = { tab: 'report', declining: false, wide: true };
const listeners = new Set<() => void>();

/** Show something else. */
export function setPanel(part: Partial<PanelState>): void {
  state = { ...state, ...part };
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What is shown; the component is drawn again after each change. */
export function usePanel(): PanelState {
  return useSyncExternalStore(subscribe, () => state);
}
