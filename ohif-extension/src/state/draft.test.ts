import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer } from '../live/wire';
import type { Report, Sections } from './api';
import { Draft, type DraftPorts, EMPTY, join } from './draft';

const text = (change: Partial<Sections>): Sections => ({ ...EMPTY, ...change });

/** A server with one report, as far as a draft can tell. */
class Server {
  report: Report | null = null;
  calls: { command: string; fields: Record<string, unknown> }[] = [];
  away = false;
  missing = false;
  kept = new Map<string, string>();

  ports: DraftPorts = {
    call: async (command, fields) => this.#answer(command, fields as Record<string, unknown>),
    report: async () => this.report && structuredClone(this.report),
    step: () => 7,
    now: () => Date.parse('2026-11-24T02:17:41Z'),
    store: {
      getItem: (key) => this.kept.get(key) ?? null,
      setItem: (key, value) => void this.kept.set(key, value),
      removeItem: (key) => void this.kept.delete(key),
    },
    userId: 'me',
  };

  write(sections: Sections, status: Report['status'] = 'draft'): void {
    const version = (this.report?.version ?? 0) + 1;
    this.report = {
      report_id: 'r',
      study_uid: '1.2.3',
      status,
      version,
      sections,
      signed_by: null,
      signed_at: null,
      addenda: [],
    };
  }

  #answer(command: string, fields: Record<string, unknown>): Answer {
    this.calls.push({ command, fields });
    if (this.away) return { error: 'retry', message: 'away' };
    const version = this.report?.version ?? 0;
    if (command === 'save_draft') {
      if (fields['base_version'] !== version) {
        return {
          error: 'stale_version',
          message: 'old',
          report_version: version,
          sections: { ...this.report?.sections },
          by: 'other',
        };
      }
      this.write(fields['sections'] as Sections);
      return { ok: true, report_id: 'r', report_version: version + 1 };
    }
    if (this.missing && !fields['confirm']) {
      return { error: 'confirm_needed', message: 'missing', received: 3, expected: 9 };
    }
    if (this.report) this.report = { ...this.report, status: fields['kind'] as Report['status'], signed_by: 'me' };
    return { ok: true, version: 8 };
  }
}

let server: Server;
let draft: Draft;

beforeEach(async () => {
  vi.useFakeTimers();
  server = new Server();
  draft = new Draft('1.2.3', server.ports);
  await draft.load();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a draft', () => {
  it('is saved within a second of the first edit, also while typing goes on', async () => {
    for (let n = 0; n < 12; n++) {
      draft.edit('findings', `word ${n}`);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(server.calls.length).toBeGreaterThanOrEqual(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.report?.sections.findings).toBe('word 11');
    expect(draft.edits).toBe(0);
  });

  it('is on this device before the server has it, and leaves the device afterwards', async () => {
    draft.edit('impression', 'Bleed.');
    expect(server.kept.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.kept.size).toBe(0);
  });

  it('survives a closed window while the server was away', async () => {
    server.away = true;
    draft.edit('impression', 'Bleed.');
    await vi.advanceTimersByTimeAsync(500);
    server.away = false;
    const again = new Draft('1.2.3', server.ports);
    await again.load();
    expect(again.sections.impression).toBe('Bleed.');
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.report?.sections.impression).toBe('Bleed.');
  });

  it('is not shown to the next person at this desk', async () => {
    server.away = true;
    draft.edit('impression', 'Bleed.');
    const other = new Draft('1.2.3', { ...server.ports, userId: 'other' });
    await other.load();
    expect(other.sections.impression).toBe('');
  });

  it('joins what two wrote in different parts without asking', async () => {
    server.write(text({ findings: 'Theirs.' }));
    draft.edit('impression', 'Mine.');
    await vi.advanceTimersByTimeAsync(2000);
    expect(server.report?.sections).toEqual(text({ findings: 'Theirs.', impression: 'Mine.' }));
    expect(draft.conflict).toBeNull();
  });

  it('asks when two wrote the same part, and loses neither', async () => {
    server.write(text({ findings: 'Theirs.' }));
    draft.edit('findings', 'Mine.');
    await vi.advanceTimersByTimeAsync(2000);
    expect(draft.conflict).toMatchObject({ differ: ['findings'], by: 'other' });
    expect(draft.sections.findings).toBe('Mine.');
    await draft.keepTheirs();
    expect(server.report?.sections.findings).toBe('Theirs.');
    expect(draft.conflict).toBeNull();
  });

  it('keeps ours when we say so', async () => {
    server.write(text({ findings: 'Theirs.' }));
    draft.edit('findings', 'Mine.');
    await vi.advanceTimersByTimeAsync(2000);
    await draft.keepMine();
    expect(server.report?.sections.findings).toBe('Mine.');
  });

  it('reads a newer report unless something is being written', async () => {
    server.write(text({ findings: 'Theirs.' }));
    draft.newer(1, 'draft');
    await vi.advanceTimersByTimeAsync(0);
    expect(draft.sections.findings).toBe('Theirs.');
  });
});

describe('a signature', () => {
  it('is of the saved text, at the step that was seen', async () => {
    draft.edit('impression', 'Bleed.');
    expect(await draft.sign('final')).toEqual({ ok: true });
    expect(server.calls.map((call) => call.command)).toEqual(['save_draft', 'sign']);
    expect(server.calls[1]?.fields).toMatchObject({ version: 7, report_version: 1, kind: 'final' });
    expect(draft.status).toBe('final');
  });

  it('asks when images are missing, naming both numbers, and signs when confirmed', async () => {
    server.missing = true;
    draft.edit('impression', 'Bleed.');
    expect(await draft.sign('final')).toEqual({ ok: false, confirm: { received: 3, expected: 9 } });
    expect(await draft.sign('final', true)).toEqual({ ok: true });
  });

  it('is not given while the text cannot be saved', async () => {
    server.away = true;
    draft.edit('impression', 'Bleed.');
    expect(await draft.sign('final')).toMatchObject({ ok: false });
    expect(server.calls.some((call) => call.command === 'sign')).toBe(false);
  });

  it('closes the text', async () => {
    draft.edit('impression', 'Bleed.');
    await draft.sign('final');
    draft.edit('impression', 'Changed.');
    expect(draft.sections.impression).toBe('Bleed.');
  });
});

it('joins by parts: one side changed, both alike, both different', () => {
  const base = text({ technique: 'a', findings: 'a', impression: 'a' });
  const mine = text({ technique: 'b', findings: 'a', impression: 'b' });
  const theirs = text({ technique: 'a', findings: 'c', impression: 'c' });
  expect(join(base, mine, theirs)).toEqual({
    joined: text({ technique: 'b', findings: 'c', impression: 'b' }),
    differ: ['impression'],
  });
});
