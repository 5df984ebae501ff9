// One window of a long list: what is in sight, and a little around it, exists; the rest is height. For rows of equal height.
import { type RefObject, useLayoutEffect, useState } from 'react';

/** Rows that exist beyond either edge. */
const AROUND = 12;

/** Which rows exist, and how tall the box is. */
export interface ListWindow {
  /** The scroll position in pixels. */
  top: number;
  /** The first row that exists. */
  first: number;
  /** The row after the last that exists. */
  last: number;
  /** To be called when the box scrolls. */
  onScroll: () => void;
}

/** The part of `count` rows of `rowPx` pixels each that a scrolling box needs. */
export function useWindow(box: RefObject<HTMLElement>, count: number, rowPx: number): ListWindow {
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(900);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, [box]);
  return {
    top,
    first: Math.min(count, Math.max(0, Math.floor(top / rowPx) - AROUND)),
    last: Math.min(count, Math.ceil((top + height) / rowPx) + AROUND),
    onScroll: () => setTop(box.current?.scrollTop ?? 0),
  };
}
