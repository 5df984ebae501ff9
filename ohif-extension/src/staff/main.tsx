// Readers and rules: who may read what and when, and the policy with its trials. Without OHIF.
import { type ReactElement, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useNow } from '../state/room';
import { Icon } from '../ui/icons';
import { Account, LiveSign } from '../ui/status';
import { preciseTime, zoneName } from '../ui/time';
import { Readers } from './Readers';
import { Rules } from './Rules';
import './staff.css';

function Staff(): ReactElement {
  const nowMs = useNow();
  const [tab, setTab] = useState<'readers' | 'rules'>('readers');
  return (
    <div className="bd-page st-page">
      <header className="top">
        <a className="brand" href="/board">
          <Icon name="mark" />
          <h1>Readers and rules</h1>
        </a>
        <nav className="tabs" aria-label="Pages">
          <a href="/board">Night</a>
          <a href="/">Worklist</a>
          <a href="/staff" aria-current="page">
            Readers and rules
          </a>
        </nav>
        <span className="grow" />
        <LiveSign />
        <span className="time">
          {preciseTime(nowMs)} <small>{zoneName(nowMs)}</small>
        </span>
        <Account />
      </header>
      <main className="st">
        <div className="st-tabs">
          {(['readers', 'rules'] as const).map((key) => (
            <button key={key} className="btn" type="button" aria-pressed={tab === key} onClick={() => setTab(key)}>
              {key === 'readers' ? 'Readers' : 'Policy'}
            </button>
          ))}
        </div>
        {tab === 'readers' ? <Readers /> : <Rules />}
      </main>
    </div>
  );
}

createRoot(document.querySelector('#app') ?? document.body).render(<Staff />);
