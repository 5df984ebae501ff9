// The small pieces that every screen is made of: clock, ring, chips, badges, the identity block. State stands in data-*.
import type { ReactElement, ReactNode } from 'react';
import type {
  Acuity as AcuityWord,
  AiResult,
  Patient,
  Presence as PresenceWord,
  Priority,
  Readiness as Ready,
  Row,
  Site,
} from '../live/wire';
import { Icon, Shield } from './icons';
import { shieldField, siteCode } from './site';
import { type ClockFace, nameParts, sexAge, shownName } from './time';

/** The SLA clock: shape, words and colour. `left` adds the word, `big` is the size one acts on. */
export function ClockView({
  face,
  left = false,
  big = false,
}: {
  face: ClockFace;
  left?: boolean;
  big?: boolean;
}): ReactElement {
  const says = face.look === 'breached' || face.look === 'paused' || !left ? face.words : `${face.words} left`;
  return (
    <span className={big ? 'clk clk-xl' : 'clk'} data-s={face.look}>
      <Icon name={face.look} />
      <span>{says}</span>
    </span>
  );
}

/** The thin line under a clock: the share of its time that is left. */
export function Fuse({ face }: { face: ClockFace }): ReactElement | null {
  if (face.look === 'breached' || face.look === 'paused') return null;
  return (
    <i
      className="fuse"
      data-s={face.look}
      style={{ '--p': `${Math.round(face.share * 100)}%` } as React.CSSProperties}
    />
  );
}

/** Time to answer an offer, never the SLA; one step a second. */
export function AnswerRing({
  leftS,
  wholeS,
  small = false,
}: {
  leftS: number;
  wholeS: number;
  small?: boolean;
}): ReactElement {
  const last = leftS <= 15;
  const color = last ? 'var(--rr-urgent)' : 'var(--rr-accent)';
  const share = wholeS > 0 ? Math.min(100, Math.max(0, Math.round((leftS / wholeS) * 100))) : 0;
  return (
    <div className={small ? 'ring s' : 'ring'} role="timer" aria-label={`${leftS} seconds to answer`} data-last={last}>
      <svg viewBox="0 0 36 36" aria-hidden="true">
        <circle cx="18" cy="18" r="16" fill="none" stroke="var(--rr-line)" strokeWidth="2.5" />
        <circle
          cx="18"
          cy="18"
          r="16"
          fill="none"
          stroke={color}
          strokeWidth="2.5"
          pathLength={100}
          strokeDasharray={`${share} 100`}
        />
      </svg>
      <b style={last ? { color } : undefined}>
        {leftS}
        <small>s</small>
      </b>
    </div>
  );
}

/** What the order asks for. */
export function PriorityChip({ priority }: { priority: Priority }): ReactElement {
  return (
    <span className="pri" data-p={priority}>
      {priority === 'ROUTINE' ? 'Routine' : priority}
    </span>
  );
}

const ACUITY: Record<AcuityWord, readonly [level: number, words: string]> = {
  suspected_critical: [3, 'Critical?'],
  suspected_urgent: [2, 'Urgent?'],
  nothing_flagged: [1, 'No flag'],
  not_assessed: [0, 'Not assessed'],
  pending: [0, 'Not assessed'],
};

/** How acuities sort: what is not flagged is level with what was not assessed. */
export function acuityLevel(acuity: AcuityWord | undefined): number {
  return acuity === 'suspected_critical' ? 2 : acuity === 'suspected_urgent' ? 1 : 0;
}

/** What triage suspects: three bars and a word; `quiet` keeps the word for screen readers only. */
export function Acuity({
  acuity,
  quiet = false,
}: {
  acuity: AcuityWord | undefined;
  quiet?: boolean;
}): ReactElement | null {
  if (!acuity) return null;
  const [level, words] = ACUITY[acuity];
  return (
    <span className="acu" data-a={level}>
      <i>
        <b />
      </i>
      {quiet ? <span className="vh">{words}</span> : words}
    </span>
  );
}

/** How sure the model is, as it is shown: "0.91"; empty when it does not say. */
export function aiNumber(result: AiResult): string {
  const value = result.measures.probability ?? result.measures.score;
  return value === undefined ? '' : value.toFixed(2);
}

/** The headline without what the card says anyway. */
export function aiHeadline(result: AiResult): string {
  return result.headline.replace(/\s*\((reference model|not clinically)[^)]*\)/i, '').trim();
}

const SHORT: readonly [RegExp, string][] = [
  [/^possible |^suspected /i, ''],
  [/(acute )?intracranial h(a)?emorrhage/i, 'ICH'],
  [/pulmonary embolism/i, 'PE'],
  [/large[- ]vessel occlusion/i, 'LVO'],
  [/pneumothorax/i, 'PTX'],
  [/fracture/i, 'Fx'],
  [/nodule/i, 'Nod'],
];

/** What fits in a row: "ICH, 12 mL", "PE 0.88". */
export function aiShort(result: AiResult): string {
  const words = SHORT.reduce((text, [pattern, code]) => text.replace(pattern, code), aiHeadline(result));
  return [words, aiNumber(result)].filter(Boolean).join(' ');
}

/** The result that a row shows: the first that flags something. */
export function aiFlag(row: Pick<Row, 'ai' | 'acuity'>): AiResult | null {
  if (acuityLevel(row.acuity) === 0) return null;
  return row.ai?.find((result) => result.headline !== '') ?? null;
}

/** A machine's word in a row, dashed because nobody has confirmed it. */
export function AiChip({ result }: { result: AiResult }): ReactElement {
  return (
    <span className="ai" title={`${aiHeadline(result)}. AI suggestion, not clinically validated`}>
      <span className="cut">AI {aiShort(result)}</span>
    </span>
  );
}

/** A machine's word where one acts, with what it is worth. */
export function AiCard({ result }: { result: AiResult }): ReactElement {
  return (
    <div className="ai-card">
      <div className="rowx">
        <span className="strong">{aiHeadline(result) || 'Nothing flagged'}</span>
        <b className="strong">{aiNumber(result)}</b>
      </div>
      <p className="who">
        AI suggestion, not clinically validated. Reference model {result.model} {result.version}
      </p>
    </div>
  );
}

/** How much of the study has arrived: a bar, or a tick when it is whole. */
export function Readiness({ readiness, images }: { readiness: Ready; images: number }): ReactElement {
  const { state, received, expected } = readiness;
  if (state === 'ready') {
    return (
      <span className="rdy">
        <Icon name="check" />
        {images || received}
        <span className="vh"> images, complete</span>
      </span>
    );
  }
  const share = expected ? Math.min(100, Math.round((received / expected) * 100)) : received ? 50 : 0;
  return (
    <span className="rdy">
      <i style={{ '--p': `${share}%` } as React.CSSProperties} />
      {expected === null ? received : `${received}/${expected}`}
      <span className="vh"> images so far</span>
    </span>
  );
}

const PRESENCE: Record<PresenceWord, string> = {
  online: 'Online',
  reading: 'Reading',
  busy: 'Busy',
  away: 'Away',
  off: 'Off',
};

/** What a reader is doing: a shape and a word. */
export function Presence({ state }: { state: PresenceWord }): ReactElement {
  return (
    <span className="prs" data-s={state}>
      <Icon name={state} />
      <span className="cut">{PRESENCE[state]}</span>
    </span>
  );
}

/** A site in a row (code) or where one acts (full name). */
export function SiteBadge({ site, full = false }: { site: Site; full?: boolean }): ReactElement {
  const sign = <Shield field={shieldField(site.id)} />;
  if (!full) {
    return (
      <span className="site" title={site.name}>
        {sign}
        {siteCode(site.name)}
        <span className="vh">, {site.name}</span>
      </span>
    );
  }
  return (
    <span className="site site-full">
      {sign}
      <b>{siteCode(site.name)}</b>
      <span className="cut" dir="auto">
        {site.name}
      </span>
    </span>
  );
}

/** A name in a row: the family name may be cut, the given name never. */
export function RowName({ name }: { name: string }): ReactElement {
  const [family, given] = nameParts(name);
  return (
    <span className="nm" dir="auto">
      <span className="cut">{family || 'Name not known'}</span>
      {given ? <span>,&nbsp;{given}</span> : null}
    </span>
  );
}

interface Identified {
  patient: Patient | null;
  accession_number: string;
  site: Site;
}

/** Whom this is about, wherever one acts: `two` columns on cards, one `line` above a report. */
export function IdentityBlock({
  row,
  nowMs,
  layout = 'two',
}: {
  row: Identified;
  nowMs: number;
  layout?: 'two' | 'line';
}): ReactElement {
  const { patient } = row;
  const facts: [string, ReactNode][] = [
    ['MRN', <bdi key="mrn">{patient?.mrn ?? 'not known'}</bdi>],
    ['Born', <bdi key="born">{patient?.birth_date ?? 'not known'}</bdi>],
    ['Acc.', <bdi key="acc">{row.accession_number || 'none'}</bdi>],
    ['Sex', patient ? sexAge(patient, nowMs) : 'not known'],
  ];
  const name = (
    <span className="name" dir="auto">
      {patient ? shownName(patient.name) : 'Name withheld'}
    </span>
  );
  if (layout === 'line') {
    return (
      <div className="who-is line">
        <div className="rowx">
          {name}
          <SiteBadge site={row.site} full />
        </div>
        <dl>
          {facts.map(([label, value]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    );
  }
  return (
    <div className="who-is two">
      {name}
      <dl>{facts.map(([label, value]) => [<dt key={label}>{label}</dt>, <dd key={`${label}-is`}>{value}</dd>])}</dl>
    </div>
  );
}

/** The identity in two short lines, for bars. */
export function IdentityLines({ row }: { row: Identified }): ReactElement {
  const { patient } = row;
  const born = [patient?.sex, patient?.birth_date].filter(Boolean).join(' ');
  return (
    <div className="ids">
      <div className="rowl">
        <span className="strong name-s cut" dir="auto">
          {patient ? shownName(patient.name) : 'Name withheld'}
        </span>
        <SiteBadge site={row.site} />
      </div>
      <div className="cut small">
        {[born, `MRN ${patient?.mrn ?? 'not known'}`, row.accession_number].filter(Boolean).join(', ')}
      </div>
    </div>
  );
}
