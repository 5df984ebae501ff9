// Islands: our React cannot share hooks with the host's, so each of our screens is a class component that the host may
// render, and that mounts a React root of its own in a shadow root, where the styles of neither reach the other.
import { Component, createElement, type FunctionComponent, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { isTyping } from '../state/keys';
import components from './components.css?inline';
import tokens from './tokens.css?inline';

const sheets = new Map<string, CSSStyleSheet>();

function sheet(css: string): CSSStyleSheet {
  const known = sheets.get(css);
  if (known) return known;
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  sheets.set(css, made);
  return made;
}

/** Keeps what is typed into our fields from the host, whose hotkeys see only the island around them. */
function keepTyping(event: Event): void {
  if (isTyping(event)) event.stopPropagation();
}

/** A component for the host that shows ours; `css` is what the screen adds to the shared styles. */
export function island<P extends object>(
  View: FunctionComponent<P>,
  css: string,
  className = '',
): new (
  props: P,
) => Component<P> {
  return class Island extends Component<P> {
    #root: Root | null = null;
    #place: HTMLElement | null = null;

    #mount = (host: HTMLElement | null): void => {
      if (!host || this.#root) return;
      const shadow = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
      shadow.adoptedStyleSheets = [sheet(tokens), sheet(components), sheet(css)];
      for (const type of ['keydown', 'keypress', 'keyup']) host.addEventListener(type, keepTyping);
      this.#place = document.createElement('div');
      this.#place.className = 'rr';
      shadow.replaceChildren(this.#place);
      this.#root = createRoot(this.#place);
    };

    override componentDidMount(): void {
      this.#show();
    }

    override componentDidUpdate(): void {
      this.#show();
    }

    override componentWillUnmount(): void {
      const root = this.#root;
      this.#root = null;
      setTimeout(() => root?.unmount()); // the host is rendering now, and React refuses to unmount another root meanwhile
    }

    #show(): void {
      this.#root?.render(createElement(View, this.props));
    }

    override render(): ReactNode {
      return createElement('div', { ref: this.#mount, className: `rr-island ${className}`.trim() });
    }
  };
}
