// One report being written: kept on this device at once, at the server within a second, never lost when two wrote.
import type { CallOptions, LiveClient } from '../live/client';
import { type Answer, isDone, type SignKind } from '../live/wire';
import type { Addendum, Report, Sections } from './api';

/** The parts, in the order of the report. */
export const PARTS = ['technique', 'comparison', 'findings', 'impression'] as const;
/** One part of a report. */
export type Part = (typeof PARTS)[number];

/** Two texts of the same part: ours and theirs. */
export interface Conflict {
  version: number;
  by: string | null;
  theirs: Sections;
  differ: Part[];
}

/** What a signature came to. */
export type Signed =
  | { ok: true }
  | { ok: false; confirm: { received: number; expected: number | null } }
  | { ok: false; message: string };

/** What a draft needs of the page; tests give their own. */
export interface DraftPorts {
  call: (command: 'save_draft' | 'sign', fields: never, options?: CallOptions) => Promise<Answer>;
  report: () => Promise<Report | null>;
  step: () => number;
  now: () => number;
  store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  userId: string;
}

interface OnDevice {
  user: string;
  base: Sections;
  sections: Sections;
  version: number;
  edits: number;
  at: number;
}

const REST_MS = 300;
const AT_MOST_MS = 900;

/** A report with nothing in it. */
export const EMPTY: Sections = { technique: '', comparison: '', findings: '', impression: '' };

const whole = (sections: Partial<Sections> | Record<string, unknown> | undefined): Sections =>
  Object.fromEntries(
    PARTS.map((part) => [part, String((sections as Partial<Sections>)?.[part] ?? '')]),
  ) as unknown as Sections;

const same = (a: Sections, b: Sections): boolean => PARTS.every((part) => a[part] === b[part]);

/** Join two texts that began as one: a part that only one side changed is taken; the rest differs. */
export function join(base: Sections, mine: Sections, theirs: Sections): { joined: Sections; differ: Part[] } {
  const joined = { ...mine };
  const differ: Part[] = [];
  for (const part of PARTS) {
    if (mine[part] === theirs[part] || theirs[part] === base[part]) continue;
    if (mine[part] === base[part]) joined[part] = theirs[part];
    else differ.push(part);
  }
  return { joined, differ };
}

/** Follows one study's report. */
export class Draft {
  loaded = false;
  failed = '';
  sections: Sections = EMPTY;
  reportId: string | null = null;
  reportVersion = 0;
  status: 'none' | 'draft' | 'prelim' | 'final' = 'none';
  signedBy: string | null = null;
  signedAt: string | null = null;
  addenda: Addendum[] = [];
  /** Edits that the server has not confirmed. */
  edits = 0;
  editedAt = 0;
  savedAt = 0;
  refused = '';
  conflict: Conflict | null = null;
  version = 0;

  readonly studyUid: string;
  readonly #ports: DraftPorts;
  readonly #listeners = new Set<() => void>();
  #base: Sections = EMPTY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firstEditAt = 0;
  #saving: Promise<boolean> | null = null;

  constructor(studyUid: string, ports: DraftPorts) {
    this.studyUid = studyUid;
    this.#ports = ports;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Read the report as the server has it, and what this device kept. */
  async load(): Promise<void> {
    try {
      const report = await this.#ports.report();
      if (this.edits > 0) return; // something was written meanwhile: saving will tell whether it fits
      this.#take(report);
      if (!this.loaded) this.#restore();
      this.loaded = true;
      this.failed = '';
    } catch (error) {
      this.failed = error instanceof Error ? error.message : 'The report did not load.';
    }
    this.#changed();
  }

  /** Offer a text to begin with; it is saved with the first edit or signature. */
  begin(template: Sections): void {
    if (this.status !== 'none' || this.edits > 0 || !same(this.sections, EMPTY)) return;
    this.sections = template;
    this.#changed();
  }

  /** Take another template while nothing was written by hand. */
  replace(template: Sections): void {
    this.sections = template;
    this.#edited();
  }

  edit(part: Part, text: string): void {
    if (this.status === 'final' || text === this.sections[part]) return;
    this.sections = { ...this.sections, [part]: text };
    this.#edited();
  }

  /** Save now what is not saved; false when it could not be. */
  async flush(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#saving) await this.#saving;
    if (this.conflict) return false;
    if (this.edits === 0 && this.reportVersion > 0) return true;
    this.#saving = this.#save();
    const done = await this.#saving;
    this.#saving = null;
    if (done && this.edits > 0) this.#schedule();
    return done;
  }

  /** Something newer is at the server: read it, unless we are writing. */
  newer(reportVersion: number, status: string): void {
    const behind = reportVersion > this.reportVersion || status !== this.status;
    if (behind && this.edits === 0 && !this.#saving) void this.load();
  }

  /** Keep our text where two differ; theirs stays in the report's history. */
  async keepMine(): Promise<void> {
    const { conflict } = this;
    if (!conflict) return;
    this.reportVersion = conflict.version;
    this.#base = conflict.theirs;
    this.conflict = null;
    this.edits = Math.max(1, this.edits);
    this.#changed();
    await this.flush();
  }

  /** Take their text where two differ. */
  async keepTheirs(): Promise<void> {
    const { conflict } = this;
    if (!conflict) return;
    const taken = { ...this.sections };
    for (const part of conflict.differ) taken[part] = conflict.theirs[part];
    this.sections = taken;
    await this.keepMine();
  }

  /** Sign what is saved. The caller asks about missing images and signs again with `confirm`. */
  async sign(kind: Exclude<SignKind, 'addendum'>, confirm = false): Promise<Signed> {
    if (!(await this.flush()))
      return { ok: false, message: this.refused || 'The text is not saved yet. Sign when it is.' };
    return this.#signed({ kind, ...(confirm ? { confirm } : {}) });
  }

  /** Add a text to the signed report. */
  async addendum(text: string): Promise<Signed> {
    return this.#signed({ kind: 'addendum', text });
  }

  async #signed(fields: { kind: SignKind; confirm?: boolean; text?: string }): Promise<Signed> {
    const all = {
      study_uid: this.studyUid,
      version: this.#ports.step(),
      report_version: this.reportVersion,
      ...fields,
    };
    const answer = await this.#ports.call('sign', all as never);
    if (isDone(answer)) {
      await this.load();
      return { ok: true };
    }
    if (answer.error === 'confirm_needed') {
      return { ok: false, confirm: { received: answer.received ?? 0, expected: answer.expected ?? null } };
    }
    if (answer.error === 'stale_version' && answer.sections && (answer.report_version ?? 0) > this.reportVersion) {
      await this.#collide(answer.report_version ?? 0, whole(answer.sections), answer.by ?? null);
      return { ok: false, message: 'The report was changed in another place. Read it, then sign.' };
    }
    return { ok: false, message: answer.message };
  }

  async #save(): Promise<boolean> {
    const sent = this.sections;
    const edits = this.edits;
    const fields = { study_uid: this.studyUid, base_version: this.reportVersion, sections: { ...sent } };
    const answer = await this.#ports.call('save_draft', fields as never);
    if (isDone(answer)) {
      this.reportId = answer.report_id ?? this.reportId;
      this.reportVersion = answer.report_version ?? this.reportVersion + 1;
      if (this.status === 'none') this.status = 'draft';
      this.#base = sent;
      this.edits -= edits;
      this.savedAt = this.#ports.now();
      this.refused = '';
      this.#keep();
      this.#changed();
      return true;
    }
    if (answer.error === 'stale_version' && answer.sections) {
      return this.#collide(answer.report_version ?? this.reportVersion, whole(answer.sections), answer.by ?? null);
    }
    this.refused = answer.message;
    if (answer.error === 'retry') this.#schedule();
    this.#changed();
    return false;
  }

  /** Two wrote: join what can be joined, ask about the rest. */
  async #collide(version: number, theirs: Sections, by: string | null): Promise<boolean> {
    const { joined, differ } = join(this.#base, this.sections, theirs);
    this.sections = joined;
    if (differ.length > 0) {
      this.conflict = { version, by, theirs, differ };
      this.#keep();
      this.#changed();
      return false;
    }
    this.reportVersion = version;
    this.#base = theirs;
    this.edits = same(joined, theirs) ? 0 : Math.max(1, this.edits);
    this.#keep();
    this.#changed();
    return this.edits === 0 ? true : this.#save();
  }

  #take(report: Report | null): void {
    if (!report) return;
    const unwritten = same(this.sections, this.#base) || !this.loaded;
    this.#base = whole(report.sections);
    if (unwritten || report.status === 'final') this.sections = this.#base;
    this.reportId = report.report_id;
    this.reportVersion = report.version;
    this.status = report.status;
    this.signedBy = report.signed_by;
    this.signedAt = report.signed_at;
    this.addenda = report.addenda ?? [];
  }

  #edited(): void {
    this.edits += 1;
    this.editedAt = this.#ports.now();
    if (this.edits === 1 || this.#firstEditAt === 0) this.#firstEditAt = performance.now();
    this.#keep();
    this.#schedule();
    this.#changed();
  }

  #schedule(): void {
    if (this.conflict) return;
    clearTimeout(this.#timer);
    const waited = this.#firstEditAt ? performance.now() - this.#firstEditAt : 0;
    const waitMs = Math.max(0, Math.min(REST_MS, AT_MOST_MS - waited));
    this.#timer = setTimeout(() => {
      this.#firstEditAt = 0;
      void this.flush();
    }, waitMs);
  }

  get #place(): string {
    return `rr-draft-${this.studyUid}`;
  }

  /** Keep on this device what the server does not have, and nothing else. */
  #keep(): void {
    try {
      if (this.edits === 0) this.#ports.store.removeItem(this.#place);
      else {
        const kept: OnDevice = {
          user: this.#ports.userId,
          base: this.#base,
          sections: this.sections,
          version: this.reportVersion,
          edits: this.edits,
          at: this.editedAt,
        };
        this.#ports.store.setItem(this.#place, JSON.stringify(kept));
      }
    } catch {
      // storage is full or closed to us: the text still goes to the server
    }
  }

  #restore(): void {
    const text = this.#ports.store.getItem(this.#place);
    const kept = text ? (JSON.parse(text) as OnDevice) : null;
    if (!kept || kept.user !== this.#ports.userId || this.status === 'final') return;
    const theirs = this.#base;
    this.#base = whole(kept.base);
    this.sections = whole(kept.sections);
    this.edits = kept.edits;
    this.editedAt = kept.at;
    if (kept.version === this.reportVersion) this.#schedule();
    else void this.#collide(this.reportVersion, theirs, null);
  }

  #changed(): void {
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The ports of the page. */
export function pagePorts(
  live: LiveClient,
  userId: string,
  step: () => number,
  report: () => Promise<Report | null>,
): DraftPorts {
  return {
    call: (command, fields, options) => live.call(command, fields, options),
    report,
    step,
    now: () => live.serverNow(),
    store: localStorage,
    userId,
  };
}
