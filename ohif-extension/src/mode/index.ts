// The mode: the host's basic viewer with our panel at its side, our bar in its toolbar, and A kept for accepting.
import type { Host } from '../extension/host';

const MODE_ID = 'reading-room-mode';
const PANEL = 'reading-room.panelModule.room';
const BAR = { id: 'roomBar', uiType: 'rr.bar', props: {} };

interface Route {
  path: string;
  layoutTemplate: () => object;
  layoutInstance: { id: string; props: Record<string, unknown> };
}

interface ModeInstance {
  id: string;
  routeName: string;
  displayName: string;
  routes: Route[];
  extensions: Record<string, string>;
  onModeEnter: (host: Host) => void;
}

interface Factory {
  modeConfiguration: object;
  loadModules: (names: string[]) => Promise<{ modeInstance: ModeInstance }[]>;
}

async function modeFactory({ loadModules }: Factory): Promise<object> {
  const [basic] = await loadModules(['@ohif/mode-basic']);
  if (!basic) throw new Error('the host has no basic mode');
  const { modeInstance } = basic;
  const [route] = modeInstance.routes;
  if (!route) throw new Error('the basic mode has no route');
  const layoutInstance = {
    ...route.layoutInstance,
    props: {
      ...route.layoutInstance.props,
      leftPanelClosed: true,
      rightPanels: [PANEL],
      rightPanelClosed: false,
      rightPanelInitialExpandedWidth: 420,
      rightPanelMinimumExpandedWidth: 360,
    },
  };
  return {
    ...modeInstance,
    id: MODE_ID,
    routeName: 'reading-room',
    displayName: 'Reading room',
    hide: false,
    routes: [{ ...route, path: 'reading-room', layoutInstance }],
    isValidMode: () => ({ valid: true, description: '' }),
    onModeEnter(this: ModeInstance, host: Host): void {
      modeInstance.onModeEnter.call(this, host);
      const { toolbarService } = host.servicesManager.services;
      queueMicrotask(() => {
        toolbarService.register([BAR]);
        toolbarService.updateSection('secondary', [BAR.id]);
      });
    },
  };
}

export default { id: MODE_ID, modeFactory };
