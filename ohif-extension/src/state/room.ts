// The room: one live connection for all screens of a page, who is here, and what time it is at the server.
import { useEffect, useState, useSyncExternalStore } from 'react';
import { LiveClient } from '../live/client';
import type { Me } from '../live/session';
import type { Reader, Row } from '../live/wire';

/** Who is logged in, with what `GET /api/auth/me` says beyond what the connection needs. */
export interface Person extends Me {
  email: string;
  name: string;
  memberships: { tenant_id: string; name?: string; tenant_name?: string; role?: string }[];
}

let client: LiveClient | null = null;

/** Go to the log-in, and come back to where we are afterwards. */
export function toLogin(): void {
  const back = window.location.pathname + window.location.search;
  window.location.assign(back === '/' ? '/login' : `/login?next=${encodeURIComponent(back)}`);
}

/** The page's connection, made at first use. */
export function live(): LiveClient {
  if (!client) {
    client = new LiveClient();
    client.on('ended', toLogin);
    void client.connect();
  }
  return client;
}

/** Who is logged in; null until the connection knows. */
export function me(): Person | null {
  return live().me as Person | null;
}

/** The connection; the component is drawn again after each change. */
export function useLive(): LiveClient {
  const here = live();
  useSyncExternalStore(
    (changed) => here.subscribe(changed),
    () => here.version,
  );
  return here;
}

/** The server's time, drawn anew each `everyMs`, on the beat of the server's own seconds. */
export function useNow(everyMs = 1000): number {
  const here = live();
  const [now, setNow] = useState(() => here.serverNow());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const beat = () => {
      const at = here.serverNow();
      setNow(at);
      timer = setTimeout(beat, everyMs - (at % everyMs) + 5);
    };
    beat();
    return () => clearTimeout(timer);
  }, [here, everyMs]);
  return now;
}

/** The row of a study that this person sees: from the worklist, or from her own. */
export function rowOf(studyUid: string): Row | undefined {
  return live().rows.get(studyUid) ?? live().mine.get(studyUid);
}

/** A reader by id. */
export function readerOf(userId: string | null): Reader | undefined {
  return userId ? live().readers.get(userId) : undefined;
}

/** "I. Mockford" for a reader's name as it is written out, "Ida Mockford" or "Mockford, Ida". */
export function shortName(name: string): string {
  const parts = name.includes(',') ? name.split(/,\s*/).reverse() : name.trim().split(/\s+/);
  if (parts.length < 2) return name;
  const [first = '', ...rest] = parts.filter((part) => !/^(dr|prof)\.?$/i.test(part));
  return rest.length > 0 ? `${[...first][0] ?? ''}. ${rest.at(-1)}` : first;
}
