// The parts of the host that we use, as we use them: it ships no types that could be imported.

/** What a host's service of panels offers. */
export interface PanelService {
  activatePanel(id: string, force?: boolean): void;
}

/** A service that tells of changes. */
export interface Subscribable {
  EVENTS: Record<string, string>;
  subscribe(event: string, act: (payload: never) => void): { unsubscribe: () => void };
}

/** What module getters and hooks receive. */
export interface Host {
  appConfig: {
    whiteLabeling?: object;
    showPatientInfo?: string;
  };
  commandsManager: { run(name: string, options?: object): unknown };
  extensionManager: { getModuleEntry(id: string): { component?: unknown } | undefined };
  servicesManager: {
    services: {
      userAuthenticationService: {
        setServiceImplementation(how: {
          getAuthorizationHeader: () => object;
          handleUnauthenticated: () => unknown;
        }): void;
      };
      panelService: PanelService;
      toolbarService: {
        state: { buttonSections: Record<string, string[]> };
        register(buttons: object[]): void;
        updateSection(section: string, ids: string[]): void;
      };
      displaySetService: { activeDisplaySets?: { StudyInstanceUID: string; instances?: unknown[] }[] };
      customizationService: { setCustomizations(what: object, scope?: string): void };
    };
  };
}
