// Who is there and how much she has, and how each site stands.
import { type ReactElement, useMemo } from 'react';
import { rowOf, shortName, useLive } from '../state/room';
import { Icon } from '../ui/icons';
import { Presence, SiteBadge } from '../ui/pieces';
import { siteCode } from '../ui/site';
import { lined } from './order';
import { lanes } from './runway';

/** The readers: presence, what each reads, load against the cap. */
export function Readers(): ReactElement {
  const client = useLive();
  const readers = lined(client.readers.values());
  const there = readers.filter((r) => r.presence === 'online' || r.presence === 'reading').length;
  return (
    <section className="bd-box" data-part="readers">
      <h2>
        Readers{' '}
        <small>
          {there} of {readers.length} present
        </small>
        <span className="grow" />
        <small>studies, cap</small>
      </h2>
      {readers.length === 0 ? <p className="bd-empty">No reader belongs to this group yet.</p> : null}
      {readers.map((r) => {
        const reads = r.study_uid ? rowOf(r.study_uid) : undefined;
        return (
          <div className="bd-reader" key={r.radiologist_id}>
            <Presence state={r.presence} />
            <b dir="auto" className="cut" title={r.name}>
              {shortName(r.name)}
            </b>
            <span className="cut quiet">
              {reads ? `${siteCode(reads.site.name)} ${reads.procedure || reads.modality}` : r.load === 0 ? 'free' : ''}
            </span>
            <span className="strong">
              {r.load} of {r.capacity}
            </span>
            <div className="bd-bar" data-full={r.load >= r.capacity}>
              <i
                style={{ '--p': `${Math.min(100, (r.load / Math.max(1, r.capacity)) * 100)}%` } as React.CSSProperties}
              />
            </div>
          </div>
        );
      })}
    </section>
  );
}

/** The sites that have something open. */
export function Sites({ nowMs }: { nowMs: number }): ReactElement {
  const client = useLive();
  const beat = Math.floor(nowMs / 5000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: counted anew each 5 s, or when something changed
  const all = useMemo(() => lanes(client.rows.values(), nowMs), [client.version, beat]);
  return (
    <section className="bd-box" data-part="sites">
      <h2>
        Sites <span className="grow" />
        <small>open, breached</small>
      </h2>
      {all.length === 0 ? <p className="bd-empty">No site has anything open.</p> : null}
      {all.map(({ site, open, over }) => (
        <div className="bd-site" key={site.id}>
          <SiteBadge site={site} />
          <span className="cut" dir="auto">
            {site.name}
          </span>
          <span className="strong">{open}</span>
          <span className="bd-over" data-any={over > 0}>
            {over > 0 ? <Icon name="breached" /> : null}
            {over}
          </span>
        </div>
      ))}
    </section>
  );
}
