// The extension: our pages and panel inside the host, one getter per extension point.
import { createElement } from 'react';
import { RoomPanel } from '../panel/Panel';
import panelCss from '../panel/panel.css?inline';
import { openWorklist, setHeld, setNavigate, setShownStudy } from '../state/navigate';
import { live, toLogin } from '../state/room';
import { island } from '../ui/island';
import { shownName } from '../ui/time';
import { WorklistPage } from '../worklist/Page';
import worklistCss from '../worklist/worklist.css?inline';
import { RoomBar } from './Bar';
import barCss from './bar.css?inline';
import type { Host } from './host';
import hostCss from './host.css?inline';
import { dataSources } from './source';

export const EXTENSION_ID = 'reading-room';

const Worklist = island(WorklistPage, worklistCss, 'rr-page');
const Panel = island(RoomPanel, panelCss);
const Bar = island(RoomBar, barCss);

/** Our mark at the left of the header; it leads home. */
function mark(): unknown {
  return createElement(
    'a',
    {
      className: 'rr-mark',
      href: '/',
      'aria-label': 'Back to the worklist',
      title: 'Worklist',
      onClick: (event: MouseEvent) => {
        event.preventDefault();
        event.stopPropagation();
        openWorklist();
      },
    },
    createElement(
      'svg',
      { viewBox: '0 0 16 16', 'aria-hidden': true },
      createElement('path', {
        d: 'M2.75 13.25V5.5a2.75 2.75 0 0 1 2.75-2.75h5a2.75 2.75 0 0 1 2.75 2.75v7.75zM8 5.75V9l2.25 1.5',
      }),
    ),
  );
}

function styleHost(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(hostCss);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/** The study that the page's address names. */
function studyOfPage(): string | null {
  return new URLSearchParams(window.location.search).get('StudyInstanceUIDs')?.split(',')[0] ?? null;
}

interface Shown {
  referenceInstance?: { PatientName?: unknown; PatientID?: string; PatientBirthDate?: string; PatientSex?: string };
}

function personName(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof first === 'string') return shownName(first);
  const { Alphabetic } = (first ?? {}) as { Alphabetic?: string };
  return Alphabetic ? shownName(Alphabetic) : '';
}

const overlay = (id: string, title: string, contentF: (shown: Shown) => string): object => ({
  id,
  inheritsFrom: 'ohif.overlayItem',
  label: '',
  title,
  condition: (shown: Shown) => contentF(shown) !== '',
  contentF,
});

/** Whose images these are, in every viewport. */
const IDENTITY = [
  overlay('RoomPatient', 'Patient', ({ referenceInstance: of }) => personName(of?.PatientName)),
  overlay('RoomMrn', 'MRN', ({ referenceInstance: of }) => of?.PatientID ?? ''),
  overlay('RoomBorn', 'Birth date, sex', ({ referenceInstance: of }) =>
    [of?.PatientBirthDate?.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3'), of?.PatientSex].filter(Boolean).join(' '),
  ),
];

/** The host's hotkeys but its A, which is ours for accepting. */
function withoutA(bindings: { keys?: string[] }[]): { keys?: string[] }[] {
  return bindings.filter((binding) => !binding.keys?.includes('a'));
}

export default {
  id: EXTENSION_ID,

  preRegistration({ appConfig, commandsManager, servicesManager }: Host): void {
    servicesManager.services.userAuthenticationService.setServiceImplementation({
      getAuthorizationHeader: () => ({}), // the session's cookie says who it is
      handleUnauthenticated: toLogin,
    });
    appConfig.whiteLabeling = { createLogoComponentFn: mark };
    appConfig.showPatientInfo = 'disabled'; // the identity block stands in the panel, where one acts
    setNavigate((to) => void commandsManager.run('navigateHistory', { to }));
    setHeld((studyUid) => {
      const sets = servicesManager.services.displaySetService.activeDisplaySets ?? [];
      const own = sets.filter((set) => set.StudyInstanceUID === studyUid);
      return own.reduce((sum, set) => sum + (set.instances?.length ?? 1), 0);
    });
    styleHost();
    live();
  },

  onModeEnter(): void {
    setShownStudy(studyOfPage());
  },

  onModeExit(): void {
    setShownStudy(null);
  },

  getDataSourcesModule: () => dataSources(studyOfPage),

  getPanelModule: () => [
    { name: 'room', iconName: 'tab-patient-info', iconLabel: 'Room', label: 'Reading room', component: Panel },
  ],

  getToolbarModule: () => [{ name: 'rr.bar', defaultComponent: Bar }],

  getCustomizationModule: () => [
    {
      name: 'global',
      value: {
        'routes.customRoutes': { routes: { $set: [{ path: '/', children: Worklist }] } },
        'viewportOverlay.topLeft': { $unshift: IDENTITY },
        'ohif.hotkeyBindings': { $apply: withoutA },
      },
    },
  ],
};
