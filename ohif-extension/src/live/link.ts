// One connection, from the ticket to its end: what the server says, and calls that are answered or fail.

import { io, type Socket } from 'socket.io-client';
import type { Alert, ConnectAuth, Ev, Hello, Snapshot } from './wire';

/** What a connection is told. */
export interface LinkEvents {
  hello(hello: Hello): void;
  snapshot(snapshot: Snapshot): void;
  event(event: Ev): void;
  alert(alert: Alert): void;
}

/** A socket that was opened with a ticket and is not opened again. */
export class Link {
  /** Resolves when the connection has ended, or could not be made. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;

  constructor(base: string, auth: ConnectAuth, events: LinkEvents) {
    this.#socket = io(base || window.location.origin, {
      transports: ['websocket'],
      reconnection: false,
      forceNew: true,
      autoConnect: false,
      auth: { ...auth },
    });
    this.ended = new Promise<void>((done) => {
      this.#socket.on('connect_error', () => done());
      this.#socket.on('disconnect', () => done());
    });
    this.#socket.on('hello', (hello: Hello) => events.hello(hello));
    this.#socket.on('snapshot', (snapshot: Snapshot) => events.snapshot(snapshot));
    this.#socket.on('ev', (event: Ev) => events.event(event));
    this.#socket.on('alert', (alert: Alert) => events.alert(alert));
    this.#socket.on('bye', () => this.#socket.disconnect());
    this.#socket.connect();
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** Say something that is not answered. */
  say(event: string, payload: object): void {
    if (this.#socket.connected) this.#socket.emit(event, payload);
  }

  /** Call the server once; fails when the connection is lost or the answer does not come in time. */
  ask<T>(event: string, payload: object, timeoutMs = 10_000): Promise<T> {
    const socket = this.#socket;
    if (!socket.connected) return Promise.reject(new Error('not connected'));
    return new Promise<T>((answered, failed) => {
      const gone = (): void => failed(new Error('disconnected'));
      socket.once('disconnect', gone);
      socket.timeout(timeoutMs).emit(event, payload, (error: Error | null, answer: T) => {
        socket.off('disconnect', gone);
        if (error) failed(error);
        else answered(answer);
      });
    });
  }

  close(): void {
    this.#socket.disconnect();
  }
}
