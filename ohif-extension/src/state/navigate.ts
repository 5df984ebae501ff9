// Going from one screen to another inside the viewer, without a reload: the extension says how.

type Go = (to: string) => void;

let go: Go = (to) => window.location.assign(to);
const listeners = new Set<() => void>();
let shown: string | null = null;

/** Tell how to go somewhere; the extension gives the host's own history. */
export function setNavigate(how: Go): void {
  go = how;
}

/** Open a study in the reading-room mode. */
export function openStudy(studyUid: string): void {
  go(`/reading-room?StudyInstanceUIDs=${encodeURIComponent(studyUid)}`);
}

/** Go back to the worklist. */
export function openWorklist(): void {
  go('/');
}

/** The study that the viewer shows; null on the worklist. */
export function shownStudy(): string | null {
  return shown;
}

/** How many instances of a study the viewer holds; the extension knows, 0 until it does. */
let held: (studyUid: string) => number = () => 0;

/** Tell how to count what the viewer holds. */
export function setHeld(how: (studyUid: string) => number): void {
  held = how;
}

/** How many instances of a study the viewer holds. */
export function heldInstances(studyUid: string): number {
  return held(studyUid);
}

/** The mode says which study it shows. */
export function setShownStudy(studyUid: string | null): void {
  shown = studyUid;
  for (const listener of [...listeners]) listener();
}

/** Be called when another study is shown. Returns how to stop. */
export function onShownStudy(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
