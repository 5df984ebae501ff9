// Cumulative acknowledgements, sent from the message handler: a hidden page's timers run once a minute.

const EVERY_MS = 200;

/** Collects what was applied and sends it a few times a second, at once in a hidden page. */
export class Acks {
  readonly #pending = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = 0;

  constructor(
    private readonly send: (stream: string, seq: number) => void,
    private readonly hidden: () => boolean = () => typeof document !== 'undefined' && document.hidden,
  ) {}

  /** Everything of the stream up to `seq` is applied. */
  applied(stream: string, seq: number): void {
    this.#pending.set(stream, seq);
    const now = performance.now();
    if (this.hidden() || now - this.#sentAt >= EVERY_MS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), EVERY_MS);
  }

  /** Send what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sentAt = performance.now();
    for (const [stream, seq] of this.#pending) this.send(stream, seq);
    this.#pending.clear();
  }

  /** Forget what waits: the connection it belonged to has ended. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pending.clear();
  }
}
