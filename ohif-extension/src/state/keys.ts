// Keys: one listener for the page, the newest layer first. Letters never work in a text field; a dialog keeps them all.
import { useEffect, useRef } from 'react';

/** Handlers by key: `a`, `shift+n`, `ctrl+enter`, `arrowdown`, `?`. */
export type KeyMap = Record<string, (event: KeyboardEvent) => void>;

interface Layer {
  keys: () => KeyMap;
  modal: boolean;
}

const layers: Layer[] = [];

const NOT_TEXT = new Set(['button', 'checkbox', 'radio', 'range', 'submit', 'reset', 'file', 'color', 'image']);

/** Whether the event goes to a text field, also inside a shadow root. */
export function isTyping(event: Event): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !NOT_TEXT.has(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** The name of the pressed key as the maps spell it. */
export function keyName(event: KeyboardEvent): string {
  const key = event.key.toLowerCase();
  const mods = [event.ctrlKey || event.metaKey ? 'ctrl' : '', event.altKey ? 'alt' : ''];
  if (event.shiftKey && (key.length > 1 || /\p{L}/u.test(key))) mods.push('shift');
  return [...mods.filter(Boolean), key].join('+');
}

function worksInText(name: string): boolean {
  return name.startsWith('ctrl+') || name === 'escape' || /^f\d+$/.test(name);
}

/** Enter and Space belong to the button or link that has the focus. */
function belongsToControl(event: KeyboardEvent): boolean {
  if (event.key !== 'Enter' && event.key !== ' ') return false;
  const target = event.composedPath()[0];
  return (
    target instanceof HTMLElement &&
    target.closest('button, a[href], summary, [role="menuitem"], [role="option"]') !== null
  );
}

function pressed(event: KeyboardEvent): void {
  if (event.isComposing || event.defaultPrevented) return;
  const name = keyName(event);
  if (isTyping(event) && !worksInText(name)) return;
  if (belongsToControl(event) && !name.startsWith('ctrl+')) return;
  for (const layer of [...layers].reverse()) {
    const act = layer.keys()[name];
    if (act) {
      event.preventDefault();
      event.stopImmediatePropagation();
      act(event);
      return;
    }
    if (layer.modal) {
      if (!isTyping(event) && name.length === 1) event.stopImmediatePropagation(); // nothing beneath a dialog hears a letter
      return;
    }
  }
}

/** Add a layer of keys; returns how to take it away. */
export function addKeys(keys: () => KeyMap, modal = false): () => void {
  if (layers.length === 0) window.addEventListener('keydown', pressed, true);
  const layer = { keys, modal };
  layers.push(layer);
  return () => {
    layers.splice(layers.indexOf(layer), 1);
    if (layers.length === 0) window.removeEventListener('keydown', pressed, true);
  };
}

/** The component's keys while it is shown. */
export function useKeys(keys: KeyMap, { modal = false, when = true }: { modal?: boolean; when?: boolean } = {}): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => (when ? addKeys(() => latest.current, modal) : undefined), [modal, when]);
}
