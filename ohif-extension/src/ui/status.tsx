// What every bar shows at its end: the connection, one's presence, the time, and who is signed in.
import { type ReactElement, useState } from 'react';
import type { LiveStatus } from '../live/client';
import type { Presence as PresenceWord } from '../live/wire';
import { logout, switchTenant } from '../state/api';
import { me, useLive, useNow } from '../state/room';
import { setSound, soundOn } from '../state/sound';
import { Menu } from './controls';
import { Icon } from './icons';
import { Presence } from './pieces';
import { clockTime, zoneName } from './time';

const LIVE: Record<LiveStatus, string> = {
  live: 'Live',
  connecting: 'Connecting',
  stale: 'Catching up',
  offline: 'Offline',
};

/** Whether what is shown is current. */
export function LiveSign(): ReactElement {
  const { status } = useLive();
  return (
    <span className="live" data-s={status === 'offline' || status === 'stale' ? 'down' : 'up'} role="status">
      <Icon name={status === 'offline' ? 'cloudoff' : 'pulse'} />
      {LIVE[status]}
    </span>
  );
}

const CHOICES = ['online', 'busy', 'away', 'off'] as const;

/** One's own presence, and the switch for it. */
export function PresenceSwitch(): ReactElement | null {
  const live = useLive();
  const who = me();
  const [asked, setAsked] = useState<PresenceWord | null>(null);
  if (!who || (who.role !== 'radiologist' && who.role !== 'resident')) return null;
  const known = live.readers.get(who.id)?.presence;
  const state: PresenceWord = asked ?? known ?? 'online';
  const set = async (next: (typeof CHOICES)[number]): Promise<void> => {
    setAsked(next);
    await live.call('set_presence', { state: next }, { giveUpMs: 5000 });
    setAsked(null);
  };
  return (
    <Menu
      label="Your presence"
      name={`Your presence: ${state}`}
      end
      button={
        <>
          <Presence state={state} />
          <Icon name="down" />
        </>
      }
      choices={CHOICES.map((word) => ({
        key: word,
        label: <Presence state={word} />,
        chosen: word === state,
        act: () => void set(word),
      }))}
    />
  );
}

/** The reader's own time, with its zone. */
export function WallTime(): ReactElement {
  const now = useNow(1000);
  return (
    <span className="time">
      {clockTime(now)} <small>{zoneName(now)}</small>
    </span>
  );
}

/** Sounds on or off. */
export function SoundSwitch(): ReactElement {
  const [on, setOn] = useState(soundOn);
  const says = on ? 'Sound is on' : 'Sound is off';
  return (
    <button
      type="button"
      className="btn bare icon-btn"
      aria-label={says}
      aria-pressed={on}
      title={says}
      onClick={() => {
        setSound(!on);
        setOn(!on);
      }}
    >
      <Icon name={on ? 'sound' : 'mute'} />
    </button>
  );
}

function initials(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  return [words[0], words.length > 1 ? words.at(-1) : ''].map((word) => [...(word ?? '')][0] ?? '').join('');
}

/** Who is signed in: other groups, and the way out. */
export function Account(): ReactElement | null {
  useLive();
  const who = me();
  if (!who) return null;
  const name = who.name || who.email;
  const others = (who.memberships ?? []).filter((group) => group.tenant_id !== who.tenant_id);
  return (
    <Menu
      className="me"
      label="Your account"
      name={`${initials(name).toUpperCase()}, signed in as ${name}`}
      title={name}
      end
      button={initials(name).toUpperCase()}
      choices={[
        ...others.map((group) => ({
          key: group.tenant_id,
          label: `Go to ${group.tenant_name ?? group.name ?? group.tenant_id}`,
          act: () => void switchTenant(group.tenant_id).then(() => window.location.assign('/')),
        })),
        {
          key: 'out',
          label: `Sign out, ${name}`,
          act: () => void logout().finally(() => window.location.assign('/login')),
        },
      ]}
    />
  );
}
