// Controls that more than one screen uses: a button with its key, a small menu, a dialog that dims its panel only.
import { type KeyboardEvent, type ReactElement, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { useKeys } from '../state/keys';
import { Icon } from './icons';

interface ButtonProps {
  children: ReactNode;
  onPress: () => void;
  keyName?: string | undefined;
  look?: 'go' | 'stop' | 'bare' | '';
  tall?: boolean;
  /** Why it cannot be pressed; it stays reachable and says so. */
  blocked?: string | undefined;
  focus?: boolean;
}

/** A button, with the key that does the same. A blocked one says why. */
export function Button({
  children,
  onPress,
  keyName,
  look = '',
  tall = false,
  blocked,
  focus = false,
}: ButtonProps): ReactElement {
  const id = useId();
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (focus) ref.current?.focus();
  }, [focus]);
  return (
    <>
      <button
        ref={ref}
        type="button"
        className={`btn ${look} ${tall ? 'tall' : ''}`.trim()}
        onClick={() => (blocked ? undefined : onPress())}
        aria-disabled={blocked ? true : undefined}
        aria-describedby={blocked ? id : undefined}
        title={blocked}
      >
        {children}
        {keyName ? <kbd aria-hidden="true">{keyName}</kbd> : null}
      </button>
      {blocked ? (
        <span id={id} className="vh">
          {blocked}
        </span>
      ) : null}
    </>
  );
}

/** One line of a menu. */
export interface Choice {
  key: string;
  label: ReactNode;
  chosen?: boolean;
  act: () => void;
}

interface MenuProps {
  /** What stands in the button. */
  button: ReactNode;
  /** What the list is called. */
  label: string;
  /** The name of the button where what stands in it is not enough; it holds those words too. */
  name?: string;
  choices: Choice[];
  className?: string;
  title?: string;
  end?: boolean;
  /** Stays open after a choice, for several at once. */
  many?: boolean;
  open?: boolean;
  onOpen?: (open: boolean) => void;
}

/** A button that opens a list of choices; arrow keys move, Escape closes. */
export function Menu(props: MenuProps): ReactElement {
  const { button, label, choices, className = 'btn bare', title, end = false, many = false } = props;
  const [own, setOwn] = useState(false);
  const open = props.open ?? own;
  const list = useRef<HTMLDivElement>(null);
  const toggle = useRef<HTMLButtonElement>(null);
  const set = (next: boolean): void => {
    setOwn(next);
    props.onOpen?.(next);
    if (!next) toggle.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const items = list.current?.querySelectorAll<HTMLButtonElement>('button');
    const first = list.current?.querySelector<HTMLButtonElement>('[aria-checked="true"]') ?? items?.[0];
    first?.focus();
  }, [open]);
  useKeys({ escape: () => set(false) }, { when: open });
  const move = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const items = [...(list.current?.querySelectorAll<HTMLButtonElement>('button') ?? [])];
    const at = items.findIndex((item) => item.matches(':focus'));
    items[(at + step + items.length) % items.length]?.focus();
  };
  const leave = (event: React.FocusEvent): void => {
    if (open && !event.currentTarget.contains(event.relatedTarget as Node | null)) {
      setOwn(false);
      props.onOpen?.(false);
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only watches where the focus goes
    <span className="menu-at" onBlur={leave}>
      <button
        ref={toggle}
        type="button"
        className={className}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={props.name}
        title={title}
        onClick={() => set(!open)}
      >
        {button}
      </button>
      {open ? (
        <div
          ref={list}
          className="menu"
          role="menu"
          tabIndex={-1}
          aria-label={label}
          style={{ insetBlockStart: '100%', [end ? 'insetInlineEnd' : 'insetInlineStart']: 0 }}
          onKeyDown={move}
        >
          {choices.map((choice) => (
            <button
              key={choice.key}
              type="button"
              {...(choice.chosen === undefined
                ? { role: 'menuitem' }
                : { role: 'menuitemcheckbox', 'aria-checked': choice.chosen })}
              onClick={() => {
                choice.act();
                if (!many) set(false);
              }}
            >
              {choice.label}
              {choice.chosen ? <Icon name="check" /> : null}
            </button>
          ))}
        </div>
      ) : null}
    </span>
  );
}

interface DialogProps {
  title: string;
  children: ReactNode;
  foot: ReactNode;
  onClose: () => void;
  keys?: Record<string, () => void>;
  beside?: ReactNode;
  middle?: boolean;
}

/** A dialog over its own panel: the panel is dimmed, focus stays inside, Escape goes back. */
export function Dialog({
  title,
  children,
  foot,
  onClose,
  keys = {},
  beside,
  middle = false,
}: DialogProps): ReactElement {
  const id = useId();
  const sheet = useRef<HTMLDivElement>(null);
  useKeys({ escape: onClose, ...keys }, { modal: true });
  useEffect(() => {
    const root = sheet.current?.getRootNode() as Document | ShadowRoot | undefined;
    const before = root?.activeElement as HTMLElement | null | undefined;
    if (!sheet.current?.contains(root?.activeElement ?? null)) sheet.current?.focus();
    return () => before?.focus?.();
  }, []);
  const trap = (event: KeyboardEvent<HTMLDivElement>): void => {
    if (event.key !== 'Tab') return;
    const all = sheet.current?.querySelectorAll<HTMLElement>('button, input, textarea, select, a[href]');
    const ends = [all?.[0], all?.[(all?.length ?? 1) - 1]];
    const at = (event.currentTarget.getRootNode() as ShadowRoot).activeElement;
    const next = event.shiftKey
      ? at === ends[0] || at === sheet.current
        ? ends[1]
        : null
      : at === ends[1]
        ? ends[0]
        : null;
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };
  return (
    <>
      <div className="dim" />
      <div
        ref={sheet}
        className={middle ? 'sheet mid-dlg' : 'sheet dlg'}
        role="dialog"
        aria-modal="true"
        aria-labelledby={id}
        tabIndex={-1}
        onKeyDown={trap}
      >
        <header>
          <h2 id={id} className="grow">
            {title}
          </h2>
          {beside}
        </header>
        <div>{children}</div>
        <footer>{foot}</footer>
      </div>
    </>
  );
}
