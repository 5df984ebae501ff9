// What narrows the list: a search field, sites, modalities, and how rows are gathered.
import type { ReactElement, RefObject } from 'react';
import type { Row } from '../live/wire';
import type { GroupBy, Query } from '../state/rows';
import { Button, Menu } from '../ui/controls';
import { Icon } from '../ui/icons';
import { siteCode } from '../ui/site';

interface FiltersProps {
  query: Query;
  rows: Row[];
  searchRef: RefObject<HTMLInputElement>;
  onChange: (part: Partial<Query>) => void;
  open: boolean;
  onOpen: (open: boolean) => void;
  onNext: (() => void) | null;
}

function toggled(set: ReadonlySet<string>, item: string): Set<string> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}

const GROUP_WORDS: Record<GroupBy, string> = { clock: 'clock', site: 'site', none: 'none' };

/** The bar above the rows. */
export function Filters({ query, rows, searchRef, onChange, open, onOpen, onNext }: FiltersProps): ReactElement {
  const sites = [...new Map(rows.map((row) => [row.site.id, row.site])).values()].sort((a, b) =>
    a.name.localeCompare(b.name),
  );
  const modalities = [...new Set(rows.map((row) => row.modality))].filter(Boolean).sort();
  const chosenSites = sites.filter((site) => query.sites.has(site.id)).map((site) => siteCode(site.name));
  return (
    <search className="filters">
      <span className="find">
        <Icon name="search" />
        <input
          ref={searchRef}
          className="input"
          type="search"
          aria-label="Search by name, MRN or accession"
          placeholder="Name, MRN or accession"
          value={query.text}
          onChange={(event) => onChange({ text: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.currentTarget.blur();
            if (event.key === 'Escape') {
              onChange({ text: '' });
              event.currentTarget.blur();
            }
          }}
        />
        <kbd aria-hidden="true">/</kbd>
      </span>
      <Menu
        className="chip"
        label="Sites"
        many
        button={
          <>
            Site <b>{chosenSites.length > 0 ? chosenSites.join(', ') : `all ${sites.length}`}</b>
          </>
        }
        choices={sites.map((site) => ({
          key: site.id,
          label: `${siteCode(site.name)} ${site.name}`,
          chosen: query.sites.has(site.id),
          act: () => onChange({ sites: toggled(query.sites, site.id) }),
        }))}
      />
      <Menu
        className="chip"
        label="Modalities"
        many
        open={open}
        onOpen={onOpen}
        button={
          <>
            Modality <b>{query.modalities.size > 0 ? [...query.modalities].join(', ') : 'all'}</b>{' '}
            <kbd aria-hidden="true">F</kbd>
          </>
        }
        choices={modalities.map((word) => ({
          key: word,
          label: word,
          chosen: query.modalities.has(word),
          act: () => onChange({ modalities: toggled(query.modalities, word) }),
        }))}
      />
      {query.sites.size > 0 || query.modalities.size > 0 ? (
        <button type="button" className="chip" onClick={() => onChange({ sites: new Set(), modalities: new Set() })}>
          Clear <Icon name="x" />
        </button>
      ) : null}
      <span className="grow" />
      <Menu
        className="chip"
        label="Group rows by"
        end
        button={
          <>
            Group <b>{GROUP_WORDS[query.group]}</b>
            <Icon name="down" />
          </>
        }
        choices={(Object.keys(GROUP_WORDS) as GroupBy[]).map((group) => ({
          key: group,
          label: GROUP_WORDS[group],
          chosen: group === query.group,
          act: () => onChange({ group }),
        }))}
      />
      {onNext ? (
        <Button keyName="N" onPress={onNext}>
          Next case
        </Button>
      ) : null}
    </search>
  );
}
