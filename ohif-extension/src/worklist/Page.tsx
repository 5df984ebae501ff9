// The worklist: home. Live rows, the offer above them, the selected study beside them, all of it by keyboard.
import { type ReactElement, useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { useKeys } from '../state/keys';
import { openStudy } from '../state/navigate';
import { pref, setPref } from '../state/prefs';
import { me, readerOf, useLive, useNow } from '../state/room';
import { type GroupBy, grouped, inView, isMine, type Query, type SortKey, sorted, type ViewName } from '../state/rows';
import { nextCase, useOffers } from '../state/study';
import { Icon } from '../ui/icons';
import { DeclineDialog, useOfferKeys } from '../ui/offer';
import { Account, LiveSign, PresenceSwitch, SoundSwitch, WallTime } from '../ui/status';
import { OfferStrip } from '../ui/strip';
import { clockFace } from '../ui/time';
import { Detail } from './Detail';
import { Filters } from './Filters';
import { Grid } from './Grid';
import { KeysDialog } from './KeysDialog';
import { ConnectionBanner, Empty, Failed, Loading } from './states';

const VIEWS: readonly [ViewName, string][] = [
  ['mine', 'Mine'],
  ['all', 'All open'],
  ['stat', 'STAT'],
  ['drafts', 'Drafts'],
];
const GROUPS: readonly GroupBy[] = ['clock', 'site', 'none'];
const REST_MS = 400;
/** An offer takes the selection only from hands that rest. */
const BUSY_MS = 3000;

const start = (): Query => ({
  view: pref<ViewName>('view', 'all'),
  text: '',
  sites: new Set(),
  modalities: new Set(),
  group: pref<GroupBy>('group', 'clock'),
  sort: 'left',
  descending: false,
});

/** A value that is kept while hands are busy: a new order is applied when pointer and keys rest. */
function useRested<T>(value: T, touchedAt: React.MutableRefObject<number>, force: unknown): T {
  const [shown, setShown] = useState(value);
  const forced = useRef(force);
  useEffect(() => {
    const now = forced.current !== force;
    forced.current = force;
    const wait = now ? 0 : Math.max(0, touchedAt.current + REST_MS - performance.now());
    if (wait === 0) {
      setShown(value);
      return;
    }
    const timer = setTimeout(() => setShown(value), wait);
    return () => clearTimeout(timer);
  }, [value, touchedAt, force]);
  return shown;
}

/** Whether there is no room for the selected study beside the list. */
function useNarrow(): boolean {
  const query = useMemo(() => window.matchMedia('(max-width: 70rem)'), []);
  return useSyncExternalStore(
    (changed) => {
      query.addEventListener('change', changed);
      return () => query.removeEventListener('change', changed);
    },
    () => query.matches,
  );
}

/** The page. */
export function WorklistPage(): ReactElement {
  const live = useLive();
  const now = useNow();
  const desk = useOffers();
  const [query, setQuery] = useState(start);
  const [selected, setSelected] = useState<string | null>(null);
  const [declining, setDeclining] = useState(false);
  const [asking, setAsking] = useState(false);
  const [filtering, setFiltering] = useState(false);
  const [said, setSaid] = useState('');
  const [firstShown, setFirstShown] = useState(0);
  const touchedAt = useRef(0);
  const search = useRef<HTMLInputElement>(null);
  const narrow = useNarrow();
  const userId = me()?.id ?? '';
  const reads = ['radiologist', 'resident'].includes(me()?.role ?? '');
  const minute = Math.floor(now / 10_000);

  // biome-ignore lint/correctness/useExhaustiveDependencies: rows change with the version, clocks cross their marks with time
  const newest = useMemo(() => {
    const person = { userId, readerName: (id: string) => readerOf(id)?.name ?? '' };
    return sorted(live.rows.values(), query, live.serverNow(), person).map((row) => row.study_uid);
  }, [live, live.version, query, userId, minute]);
  const order = useRested(newest, touchedAt, query);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the order rests, what a row says does not
  const groups = useMemo(() => {
    const rows = order.flatMap((uid) => live.rows.get(uid) ?? []);
    return grouped(rows, query.group, live.serverNow());
  }, [live, live.version, order, query.group, minute]);
  const flat = useMemo(() => groups.flatMap((group) => group.rows), [groups]);

  const offered = desk.card?.phase === 'open' ? desk.card.row.study_uid : null;
  const at = flat.findIndex((row) => row.study_uid === selected);
  const row = flat[at] ?? null;
  useEffect(() => {
    const resting = performance.now() - touchedAt.current > BUSY_MS;
    if (offered && resting) setSelected(offered);
  }, [offered]);
  useEffect(() => {
    if (at < 0 && flat[0]) setSelected(flat[0].study_uid);
  }, [at, flat]);

  const change = useCallback((part: Partial<Query>) => {
    setQuery((last) => ({ ...last, ...part }));
    if (part.view) setPref('view', part.view);
    if (part.group) setPref('group', part.group);
  }, []);
  const sort = useCallback((key: SortKey) => {
    setQuery((last) => ({ ...last, sort: key, descending: last.sort === key && !last.descending }));
  }, []);
  const touch = useCallback(() => {
    touchedAt.current = performance.now();
  }, []);
  const move = (step: number): void => {
    touch();
    const next = flat[Math.min(flat.length - 1, Math.max(0, (at < 0 ? -1 : at) + step))];
    if (next) setSelected(next.study_uid);
  };
  const open = (studyUid: string): void => {
    if ((live.rows.get(studyUid)?.images ?? 0) > 0) openStudy(studyUid);
    else setSaid('No image of this study has arrived yet.');
  };
  const next = async (): Promise<void> => setSaid(await nextCase());
  const rest = (state: 'away' | 'online'): void => void live.call('set_presence', { state }, { giveUpMs: 5000 });

  useOfferKeys(desk, desk.card, () => setDeclining(true), declining || asking);
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    arrowdown: () => move(1),
    arrowup: () => move(-1),
    pagedown: () => move(20),
    pageup: () => move(-20),
    home: () => move(-1e6),
    end: () => move(1e6),
    enter: () => row && open(row.study_uid),
    '/': () => search.current?.focus(),
    f: () => setFiltering(true),
    g: () => change({ group: GROUPS[(GROUPS.indexOf(query.group) + 1) % GROUPS.length] ?? 'clock' }),
    '?': () => setAsking(true),
    ...(reads ? { n: () => void next(), 'shift+n': () => void next(), b: () => rest('away') } : {}),
    ...(live.status === 'offline' ? { r: () => window.location.reload() } : {}),
  });
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(''), 6000);
    return () => clearTimeout(timer);
  }, [said]);

  const filtered = query.text.trim() !== '' || query.sites.size > 0 || query.modalities.size > 0;
  const all = [...live.rows.values()];
  const counts = new Map(VIEWS.map(([view]) => [view, all.filter((one) => inView(one, view, userId)).length]));
  const known = live.hello !== null || live.rows.size > 0;
  const face = clockFace(flat[firstShown - 1]?.sla ?? null, now);
  return (
    <>
      <header className="top">
        <h1 className="vh">Worklist</h1>
        <a className="brand" href="/" aria-label="Reading Room, worklist">
          <Icon name="mark" />
        </a>
        <nav className="tabs" aria-label="Saved views">
          {VIEWS.filter(([view]) => reads || (view !== 'mine' && view !== 'drafts')).map(([view, words]) => (
            <button
              key={view}
              type="button"
              aria-current={query.view === view ? 'page' : undefined}
              onClick={() => change({ view })}
            >
              {words} <span>{counts.get(view)}</span>
            </button>
          ))}
        </nav>
        <span className="grow" />
        <LiveSign />
        <PresenceSwitch />
        <a className="btn bare icon-btn" href="/board" aria-label="Board" title="Board">
          <Icon name="board" />
        </a>
        <SoundSwitch />
        <WallTime />
        <Account />
      </header>
      <main className={`main ${live.status === 'stale' ? 'stale' : ''}`}>
        <div className="left">
          <Filters
            query={query}
            rows={all}
            searchRef={search}
            onChange={change}
            open={filtering}
            onOpen={setFiltering}
            onNext={reads ? () => void next() : null}
          />
          <ConnectionBanner status={live.status} nowMs={now} />
          {desk.card && (selected !== desk.card.row.study_uid || !offered || narrow) ? (
            <OfferStrip desk={desk} card={desk.card} onDecline={() => setDeclining(true)} />
          ) : null}
          {!known && live.status === 'offline' ? (
            <Failed words="The server did not answer." onAgain={() => window.location.reload()} />
          ) : !known ? (
            <Loading />
          ) : flat.length > 0 ? (
            <Grid
              groups={groups}
              selected={selected}
              userId={userId}
              sort={query.sort}
              descending={query.descending}
              onSort={sort}
              onSelect={setSelected}
              onOpen={open}
              onTouch={touch}
              onWindow={setFirstShown}
            />
          ) : (
            <Empty
              view={query.view}
              open={all.length}
              filtered={filtered}
              onAll={() => change({ view: 'all' })}
              onClear={() => change({ text: '', sites: new Set(), modalities: new Set() })}
              onBreak={reads ? () => rest('away') : null}
            />
          )}
        </div>
        {row ? (
          <Detail row={row} desk={desk} onOpen={() => open(row.study_uid)} onDecline={() => setDeclining(true)} />
        ) : (
          <aside className="panel detail" aria-label="Selected study" />
        )}
        {declining && desk.card ? (
          <DeclineDialog desk={desk} card={desk.card} middle onClose={() => setDeclining(false)} />
        ) : null}
        {asking ? <KeysDialog onClose={() => setAsking(false)} reads={reads} /> : null}
      </main>
      <footer className="foot">
        <span>
          {flat.length > 200
            ? `${firstShown.toLocaleString()} of ${flat.length.toLocaleString()}`
            : `${all.length} open ${all.length === 1 ? 'study' : 'studies'}`}
        </span>
        {flat.length > 200 && face ? (
          <span>{face.look === 'breached' ? face.words : `${face.words} left`} here</span>
        ) : null}
        <span role="status">{said || (reads ? `${all.filter((one) => isMine(one, userId)).length} yours` : '')}</span>
        <span className="grow" />
        <span>
          <kbd>J</kbd>
          <kbd>K</kbd> move
        </span>
        <span>
          <kbd>↵</kbd> open
        </span>
        <span>
          <kbd>G</kbd> group
        </span>
        <span>
          <kbd>?</kbd> all keys
        </span>
      </footer>
    </>
  );
}
