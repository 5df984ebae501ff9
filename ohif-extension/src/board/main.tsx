// The manager's board: every open study with its clock, who has it, and what to do about it. Without OHIF.
import { type ReactElement, useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useLive, useNow } from '../state/room';
import { playBreach } from '../state/sound';
import { Icon } from '../ui/icons';
import { Account, LiveSign, SoundSwitch } from '../ui/status';
import { preciseTime, zoneName } from '../ui/time';
import './board.css';
import { AsOf, Past, type PastBoard } from './Past';
import { Readers, Sites } from './People';
import { Runway } from './Runway';
import { Studies } from './Studies';
import { Tiles } from './Tiles';
import { WhatIf } from './WhatIf';

/** The parts that a phone shows one at a time. */
const TABS = [
  ['studies', 'Now', 'board'],
  ['readers', 'Readers', 'reading'],
  ['sites', 'Sites', 'pulse'],
] as const;

function useBreachSound(breached: number | undefined): void {
  const before = useRef(breached);
  useEffect(() => {
    if (before.current !== undefined && breached !== undefined && breached > before.current) playBreach();
    before.current = breached;
  }, [breached]);
}

function Board(): ReactElement {
  const client = useLive();
  const nowMs = useNow();
  const [site, setSite] = useState('');
  const [open, setOpen] = useState<string | null>(null);
  const [past, setPast] = useState<PastBoard | null>(null);
  const [tab, setTab] = useState<(typeof TABS)[number][0]>('studies');
  useBreachSound(client.counters?.breached);
  const down = client.status === 'offline' || client.status === 'stale';
  const sites = [...new Map([...client.rows.values()].map((row) => [row.site.id, row.site.name])).entries()].sort(
    (a, b) => a[1].localeCompare(b[1]),
  );
  return (
    <div className="bd-page" data-tab={tab}>
      <header className="top">
        <a className="brand" href="/board">
          <Icon name="mark" />
          <h1>Board</h1>
        </a>
        <nav className="tabs" aria-label="Pages">
          <a href="/board" aria-current="page">
            Night
          </a>
          <a href="/">Worklist</a>
          <a href="/staff">Readers and rules</a>
        </nav>
        <label className="bd-pick">
          <span className="vh">Site</span>
          <select className="input" value={site} onChange={(event) => setSite(event.target.value)}>
            <option value="">{sites.length > 1 ? `All ${sites.length} sites` : 'All sites'}</option>
            {sites.map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <span className="grow" />
        <LiveSign />
        <SoundSwitch />
        <span className="time">
          {preciseTime(nowMs)} <small>{zoneName(nowMs)}</small>
        </span>
        <Account />
      </header>
      <main className="bd">
        {down ? (
          <p className="bd-note">No connection: this is how it was. It catches up by itself; nothing is lost.</p>
        ) : null}
        {past ? (
          <Past board={past} onBack={() => setPast(null)} />
        ) : (
          <>
            <Tiles />
            <div className="bd-cols">
              <div className="bd-main">
                <Runway site={site} nowMs={nowMs} onOpen={setOpen} />
                <Studies site={site} nowMs={nowMs} open={open} onOpen={setOpen} />
              </div>
              <div className="bd-side">
                <Readers />
                <Sites nowMs={nowMs} />
                <WhatIf sites={sites} nowMs={nowMs} />
                <AsOf onShow={setPast} />
              </div>
            </div>
          </>
        )}
      </main>
      <nav className="bd-tabs" aria-label="Parts of the board">
        {TABS.map(([key, words, icon]) => (
          <button key={key} type="button" aria-pressed={tab === key} onClick={() => setTab(key)}>
            <Icon name={icon} />
            {words}
          </button>
        ))}
      </nav>
    </div>
  );
}

createRoot(document.querySelector('#app') ?? document.body).render(<Board />);
