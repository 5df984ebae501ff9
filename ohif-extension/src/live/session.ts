// Who is logged in here, and a ticket for her socket, over HTTP.

/** The session could not be used; `code` is the server's word for why. */
export class SessionError extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/** Who is logged in, as `GET /api/auth/me` answers. */
export interface Me {
  id: string;
  role: string;
  tenant_id: string;
  sites: { id: string; name: string }[];
}

/** Where the session lives and how it is proven: a same-origin cookie, or a bearer token. */
export interface SessionSource {
  base: string;
  token?: string | undefined;
}

async function ask(source: SessionSource, path: string, method: 'GET' | 'POST'): Promise<unknown> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (source.token) headers.Authorization = `Bearer ${source.token}`;
  const response = await fetch(source.base + path, { method, headers, credentials: 'same-origin' });
  if (response.ok) return response.json();
  let code = response.status === 401 ? 'unauthenticated' : 'retry';
  try {
    code = ((await response.json()) as { code?: string }).code ?? code;
  } catch {
    // no body of ours: a proxy, or a server that is starting
  }
  throw new SessionError(code);
}

/** Who is logged in. */
export async function whoAmI(source: SessionSource): Promise<Me> {
  return (await ask(source, '/api/auth/me', 'GET')) as Me;
}

/** A ticket for one connection. */
export async function socketTicket(source: SessionSource): Promise<string> {
  return ((await ask(source, '/api/auth/socket-ticket', 'POST')) as { ticket: string }).ticket;
}

/** The streams that the role watches besides its own. */
export function streamsOf(me: Me): string[] {
  if (['admin', 'manager', 'radiologist', 'resident'].includes(me.role)) return [`tenant:${me.tenant_id}`];
  return me.role === 'technologist' ? me.sites.map((site) => `site:${site.id}`) : [];
}
