// The live protocol, version 1. Made by `python -m readingroom.codegen` from gateway/wire.py,
// gateway/calls.py and gateway/shapes.py: change those.

export const PROTO = 1;
export const DEADLINE_MS = 10000;

/** Take the offered study. */
export interface Accept {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  offer_id: string;
}

/** All events of the stream up to `seq` are applied. */
export interface Ack {
  s: string;
  seq: number;
}

/** What triage suspects. It only raises, and never says normal. */
export type Acuity = 'not_assessed' | 'nothing_flagged' | 'pending' | 'suspected_critical' | 'suspected_urgent';

/** What one model said. */
export interface AiResult {
  model: string;
  version: string;
  status: string;
  headline: string;
  measures: Record<string, number>;
}

/** A breach told before the journal could hold it; `sla_breached` repeats `id` as `alert_id`. */
export interface Alert {
  id: string;
  study_uid: string;
  due_at: string;
  provisional: boolean;
}

/** A manager gives the study to a reader. */
export interface Assign {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  version: number;
  radiologist_id: string;
  reason?: string;
  override?: boolean;
}

/** Who has the study now, and who said so. */
export interface AssignmentChanged {
  study_uid: string;
  row?: Row | null;
  radiologist_id: string;
  by: string | null;
}

/** A reader has an open offer. */
export interface AssignmentOffered {
  study_uid: string;
  row?: Row | null;
  offer_id: string;
  expires_at: string;
  why: string;
}

/** An offer has ended without an accept. */
export interface AssignmentRevoked {
  study_uid: string;
  row?: Row | null;
  offer_id: string;
  reason: 'cancelled' | 'declined' | 'expired' | 'reassigned';
}

/** The server closes the socket, and why. */
export interface Bye {
  code: string;
}

/** The SLA clock; `breached_at` is never cleared. */
export interface Clock {
  state: ClockState;
  due_at: string | null;
  warn_at: string | null;
  started_at: string;
  breached_at: string | null;
  paused_s: number;
}

/** State of an SLA clock. */
export type ClockState = 'breached' | 'paused' | 'running' | 'stopped' | 'warned';

/** The `auth` of a connection; `offsets` are the last `seq` applied, null for a snapshot. */
export interface ConnectAuth {
  ticket: string;
  proto?: 1;
  tab?: string;
  device?: string | null;
  epoch?: string | null;
  offsets?: Record<string, number | null>;
}

/** How many studies of the view are where. */
export interface Counters {
  open: number;
  unread: number;
  offered: number;
  assigned: number;
  reading: number;
  warned: number;
  breached: number;
  paused: number;
  final_today: number;
}

/** The counters as they are now. */
export interface CountersChanged {
  counters: Counters;
}

/** What the radiologist declared, and whether somebody has heard it. */
export interface Critical {
  finding: string;
  communicated_to: string | null;
  at: string | null;
  read_back: boolean;
}

/** A critical result was declared or communicated. */
export interface CriticalChanged {
  study_uid: string;
  row?: Row | null;
  critical: Critical | null;
}

/** Do not take the offered study. */
export interface Decline {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  offer_id: string;
  reason: DeclineReason;
  note?: string;
}

/** Why an offer was declined; the first two exclude the reader from the study. */
export type DeclineReason =
  | 'conflict_of_interest'
  | 'image_quality'
  | 'other'
  | 'outside_competence'
  | 'overloaded'
  | 'shift_end';

/** Answer of a command that took effect; `version` is the study's step, where there is one. */
export interface Done {
  ok: true;
  version?: number;
  row?: Row | null;
  report_id?: string;
  report_version?: number;
}

/** One event of a stream; `data` is the struct of `type` in :data:`EVENTS`. */
export interface Ev {
  s: string;
  seq: number;
  id: string;
  type: string;
  v: number;
  ts: string;
  data: Record<string, unknown>;
}

/** What keeps a study open until a person has settled it. */
export type Flag =
  | 'image_damaged'
  | 'images_after_sign'
  | 'no_order'
  | 'order_after_sign'
  | 'patient_after_sign'
  | 'patient_mismatch'
  | 'uid_conflict';

/** The first event of a connection. */
export interface Hello {
  proto: number;
  epoch: string;
  user: string | null;
  tenant: string;
  role: 'admin' | 'manager' | 'radiologist' | 'referring_physician' | 'resident' | 'technologist' | 'viewer' | 'wall';
  streams: Record<string, StreamState>;
  refused: Record<string, string>;
  server_time: string;
  expires_at: string;
  limits: Limits;
}

/** What the server takes. */
export interface Limits {
  max_payload_bytes: number;
  deadline_ms: number;
  max_deadline_ms: number;
  max_behind: number;
  ack_s: number;
}

/** Who edits the report now. */
export interface Lock {
  user_id: string;
  tab: string;
  until: string;
}

/** Who edits the report. */
export interface LockChanged {
  study_uid: string;
  row?: Row | null;
  lock: Lock | null;
}

/** A message between people, about a study or not. */
export interface Message {
  message_id: string;
  by: string;
  to: string | null;
  study_uid: string | null;
  text: string;
  at: string;
}

/** Somebody wrote. */
export interface MessageReceived {
  study_uid?: string | null;
  row?: Row | null;
  message: Message;
}

/** Assign me what I should read next; or this one, within the window that the policy leaves me. */
export interface NextCase {
  idem: string;
  deadline_ms?: number;
  study_uid?: string;
}

/** An open offer; `why` is a sentence. */
export interface Offer {
  offer_id: string;
  radiologist_id: string;
  expires_at: string;
  why: string;
}

/** What is said of two readings: that they agree or not; or which of them stands, as a manager decides. */
export type Outcome = 'agree' | 'discordant' | 'first' | 'second';

/** Demographics as shown. */
export interface Patient {
  name: string;
  mrn: string;
  birth_date: string | null;
  sex: string | null;
}

/** Stop the SLA clock for a reason. */
export interface PauseClock {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  version: number;
  reason: string;
}

/** What a reader is doing. */
export type Presence = 'away' | 'busy' | 'off' | 'online' | 'reading';

/** What the order asks for; `rank` sorts the urgent first. */
export type Priority = 'ROUTINE' | 'STAT' | 'URGENT';

/** A radiologist as managers and colleagues see her. */
export interface Reader {
  radiologist_id: string;
  name: string;
  presence: Presence;
  load: number;
  capacity: number;
  study_uid: string | null;
  shift_ends_at: string | null;
}

/** A reader as she is now. */
export interface ReaderChanged {
  reader: Reader;
}

/** How much of the study has arrived (PS3.4 CC, Input Readiness State). */
export interface Readiness {
  state: ReadinessState;
  received: number;
  expected: number | null;
}

/** Input Readiness State (PS3.4 CC.1.1). */
export type ReadinessState = 'incomplete' | 'ready' | 'unready';

/** A fresh ticket, so that the socket outlives its access token. */
export interface Reauth {
  ticket: string;
}

/** Answer of `reauth`. */
export interface Reauthed {
  ok: true;
  expires_at: string;
}

/** Answer of a call that had no effect; `error` is the code, the rest depends on it. */
export interface Refused {
  error: string;
  message: string;
  field?: string;
  by?: string | null;
  row?: Row | null;
  report_version?: number;
  sections?: Record<string, unknown>;
  why?: string;
  received?: number;
  expected?: number | null;
}

/** Give the study back to the pool. */
export interface Release {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  reason: string;
}

/** A draft was saved, or something was signed. */
export interface ReportChanged {
  study_uid: string;
  row?: Row | null;
  report_id: string;
  report_version: number;
  report_status: ReportStatus;
  by: string | null;
}

/** Which report, and where it stands. */
export interface ReportRef {
  report_id: string;
  status: ReportStatus;
  version: number;
}

/** Status of a report; addenda are listed under it, each final. */
export type ReportStatus = 'draft' | 'final' | 'prelim';

/** Let the SLA clock run on. */
export interface ResumeClock {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  version: number;
  reason: string;
}

/** A study on the worklist. A technologist's lacks `acuity, offer, second_reader, second_read, ai`. */
export interface Row {
  study_uid: string;
  accession_number: string;
  site: Site;
  patient: Patient | null;
  modality: string;
  body_part: string;
  laterality: string;
  procedure: string;
  priority: Priority;
  acuity?: Acuity;
  critical: Critical | null;
  status: Status;
  readiness: Readiness;
  sla: Clock | null;
  flags: Flag[];
  offer?: Offer | null;
  assigned_to: string | null;
  second_reader?: string | null;
  second_read?: SecondRead | null;
  reading_by: string | null;
  ai?: AiResult[];
  report: ReportRef | null;
  priors: number;
  images: number;
  version: number;
  rev: number;
}

/** Save the report as it stands; `base_version` 0 creates it. */
export interface SaveDraft {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  base_version: number;
  sections: Record<string, string>;
}

/** Why somebody else reads it. */
export type SecondKind = 'cosign' | 'double';

/** A reading after the first signature; `why` is what the reader is told that she is for. */
export interface SecondRead {
  kind: SecondKind;
  state: SecondState;
  blind: boolean;
  why: string;
}

/** How far the second reading is. */
export type SecondState = 'agreed' | 'compare' | 'decided' | 'discordant' | 'waiting';

/** What the person says she is doing. */
export interface SetPresence {
  idem: string;
  deadline_ms?: number;
  state: 'away' | 'busy' | 'off' | 'online' | 'reading';
  study_uid?: string | null;
}

/** Say whether the two readings agree; a manager says which of them stands, `first` or `second`. */
export interface Settle {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  version: number;
  outcome: Outcome;
  note?: string;
}

/** Sign the saved draft of `report_version`. */
export interface Sign {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  version: number;
  report_version: number;
  kind: SignKind;
  confirm?: boolean;
  text?: string;
}

/** What a signature makes of a report. */
export type SignKind = 'addendum' | 'final' | 'prelim';

/** A hospital. */
export interface Site {
  id: string;
  name: string;
}

/** State of a `site:` or `wall:` stream. */
export interface SiteSnapshot {
  rows: Row[];
  counters: Counters;
}

/** The clock has moved. */
export interface SlaChanged {
  study_uid: string;
  row?: Row | null;
  due_at: string | null;
  alert_id?: string;
  reason?: string;
  step?: number;
}

/** The whole state of a stream after event `as_of_seq`; `data` is that of :data:`SNAPSHOTS`. */
export interface Snapshot {
  s: string;
  as_of_seq: number;
  data: Record<string, unknown>;
}

/** The study is on the screen; `tab` is which of hers. */
export interface StartReading {
  idem: string;
  deadline_ms?: number;
  study_uid: string;
  tab?: string;
}

/** Where a study is between the order and the signed report. */
export type Status = 'assigned' | 'cancelled' | 'final' | 'offered' | 'ordered' | 'prelim' | 'reading' | 'unread';

/** How a stream starts; `head` is its newest `seq`. */
export interface StreamState {
  mode: 'resume' | 'snapshot';
  head: number;
}

/** The row as it is now; None when it leaves the stream's view. */
export interface StudyChanged {
  study_uid: string;
  row?: Row | null;
}

/** What keeps the study open until a person has settled it. */
export interface StudyFlagged {
  study_uid: string;
  row?: Row | null;
  flags: Flag[];
}

/** State of a `study:` stream. */
export interface StudySnapshot {
  row: Row | null;
  lock: Lock | null;
  report: ReportRef | null;
  messages: Message[];
}

/** A model has looked. */
export interface StudyTriaged {
  study_uid: string;
  row?: Row | null;
  model: string;
  version: string;
  headline: string;
}

/** More streams, or the same again after a gap. */
export interface Subscribe {
  streams: Record<string, number | null>;
}

/** Answer of `subscribe` and `unsubscribe`. */
export interface Subscribed {
  ok: true;
  streams: Record<string, StreamState>;
  refused: Record<string, string>;
}

/** State of a `tenant:` stream. */
export interface TenantSnapshot {
  rows: Row[];
  readers: Reader[];
  counters: Counters;
}

/** A sample of the clock offset. */
export interface Time {
  t0: number;
}

/** Answer of `time`. */
export interface TimeAnswer {
  t0: number;
  server_time: string;
}

/** Fewer streams; the own one stays. */
export interface Unsubscribe {
  streams: string[];
}

/** State of a `user:` stream: what was offered or assigned to her, and her messages. */
export interface UserSnapshot {
  rows: Row[];
  messages: Message[];
}

/** The data of each event type. */
export interface EventData {
  study_changed: StudyChanged;
  assignment_offered: AssignmentOffered;
  assignment_revoked: AssignmentRevoked;
  assignment_accepted: AssignmentChanged;
  assignment_assigned: AssignmentChanged;
  reading_started: AssignmentChanged;
  assignment_released: AssignmentChanged;
  study_triaged: StudyTriaged;
  sla_warned: SlaChanged;
  sla_breached: SlaChanged;
  sla_paused: SlaChanged;
  sla_resumed: SlaChanged;
  sla_escalated: SlaChanged;
  lock_changed: LockChanged;
  study_flagged: StudyFlagged;
  report_changed: ReportChanged;
  critical_declared: CriticalChanged;
  critical_communicated: CriticalChanged;
  message_received: MessageReceived;
  reader_changed: ReaderChanged;
  counters_changed: CountersChanged;
}

/** The fields of each command; the client adds idem and deadline_ms. */
export interface Commands {
  accept: Omit<Accept, 'idem' | 'deadline_ms'>;
  decline: Omit<Decline, 'idem' | 'deadline_ms'>;
  start_reading: Omit<StartReading, 'idem' | 'deadline_ms'>;
  release: Omit<Release, 'idem' | 'deadline_ms'>;
  save_draft: Omit<SaveDraft, 'idem' | 'deadline_ms'>;
  sign: Omit<Sign, 'idem' | 'deadline_ms'>;
  settle: Omit<Settle, 'idem' | 'deadline_ms'>;
  next_case: Omit<NextCase, 'idem' | 'deadline_ms'>;
  set_presence: Omit<SetPresence, 'idem' | 'deadline_ms'>;
  assign: Omit<Assign, 'idem' | 'deadline_ms'>;
  pause_clock: Omit<PauseClock, 'idem' | 'deadline_ms'>;
  resume_clock: Omit<ResumeClock, 'idem' | 'deadline_ms'>;
}

/** One event of a stream. Types that are not here are applied by their row, and otherwise ignored. */
export type LiveEvent = {
  [T in keyof EventData]: Omit<Ev, 'type' | 'data'> & { type: T; data: EventData[T] };
}[keyof EventData];

/** What a command is answered; `error` tells them apart. */
export type Answer = Done | Refused;

/** Whether a command took effect. */
export function isDone(answer: Answer): answer is Done {
  return !('error' in answer);
}
