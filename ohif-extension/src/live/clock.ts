// The server's clock, estimated from round trips: the sample with the shortest one is the truest.

const SAMPLES = 5;

interface Sample {
  roundTripMs: number;
  offsetMs: number;
}

/** Estimates the server's time on a monotonic clock, so that a wrong wall clock changes nothing. */
export class ServerClock {
  #samples: Sample[] = [];
  #fallbackMs: number;

  /** @param now a monotonic clock in milliseconds. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.#fallbackMs = Date.now() - now();
  }

  /** Take the server's time as it was on arrival, until a round trip says better. */
  greet(serverTime: string): void {
    this.#samples = [];
    this.#fallbackMs = Date.parse(serverTime) - this.now();
  }

  /** Record that a question sent at `t0` was answered now with the server's time. */
  sample(t0: number, serverTime: string): void {
    const t1 = this.now();
    const roundTripMs = t1 - t0;
    this.#samples.push({ roundTripMs, offsetMs: Date.parse(serverTime) + roundTripMs / 2 - t1 });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** How far the server's clock is ahead of ours, in milliseconds. */
  get offsetMs(): number {
    let best: Sample | undefined;
    for (const sample of this.#samples) if (!best || sample.roundTripMs < best.roundTripMs) best = sample;
    return best ? best.offsetMs : this.#fallbackMs;
  }

  /** The server's time now, in Unix milliseconds. */
  serverNow(): number {
    return this.now() + this.offsetMs;
  }
}
