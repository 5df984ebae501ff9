import { afterEach, describe, expect, it, vi } from 'vitest';
import { addKeys } from './keys';

const removers: (() => void)[] = [];
const on = (keys: Record<string, () => void>, modal = false) => removers.push(addKeys(() => keys, modal));
const press = (key: string, target: EventTarget = document.body, more: KeyboardEventInit = {}): KeyboardEvent => {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, composed: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  return event;
};

afterEach(() => {
  for (const remove of removers.splice(0)) remove();
  document.body.replaceChildren();
});

describe('keys', () => {
  it('never take a letter from a text field, also inside a shadow root', () => {
    const act = vi.fn();
    on({ a: act, 'ctrl+enter': act });
    const shadow = document.body.appendChild(document.createElement('div')).attachShadow({ mode: 'open' });
    const field = shadow.appendChild(document.createElement('textarea'));
    press('a', field);
    expect(act).not.toHaveBeenCalled();
    press('Enter', field, { ctrlKey: true });
    expect(act).toHaveBeenCalledTimes(1);
  });

  it('that we take never reach the host', () => {
    const host = vi.fn();
    document.addEventListener('keydown', host);
    on({ a: () => undefined });
    press('a');
    press('b');
    document.removeEventListener('keydown', host);
    expect(host).toHaveBeenCalledTimes(1);
  });

  it('belong to the dialog while one is open', () => {
    const beneath = vi.fn();
    const above = vi.fn();
    on({ a: beneath, escape: beneath });
    on({ escape: above }, true);
    press('a');
    press('Escape');
    expect(beneath).not.toHaveBeenCalled();
    expect(above).toHaveBeenCalledTimes(1);
  });

  it('leave Enter to the button that has the focus', () => {
    const act = vi.fn();
    on({ enter: act });
    press('Enter', document.body.appendChild(document.createElement('button')));
    expect(act).not.toHaveBeenCalled();
  });
});
