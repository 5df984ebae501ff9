// The data source: the host's DICOMweb one, but a patient's other studies are asked for with the issuer of the number.
// MRN 1234 of one hospital and MRN 1234 of another are two people.

interface Search {
  patientId?: string;
  studyInstanceUid?: string | string[];
}

interface Studies {
  search(params?: Search): Promise<unknown[]>;
  processResults(found: unknown[]): unknown[];
}

/** The part of a data source that we change. */
export interface Source {
  query: { studies: Studies };
}

/** How the host makes one. */
export type CreateSource = (configuration: object, servicesManager: object, extensionManager: object) => Source;

type Found = Record<string, { Value?: unknown[] } | undefined>;
type Ask = (query: Record<string, string>) => Promise<Found[]>;

const FIELDS = '00081030,00080060,00080090,00100030';
const ISSUER = '00100021';

/** Ask the server for studies that match all of the query, to the letter. */
async function ask(query: Record<string, string>): Promise<Found[]> {
  const path = `/dicom-web/studies?${new URLSearchParams({ ...query, includefield: FIELDS, limit: '101' })}`;
  const response = await fetch(path, { headers: { Accept: 'application/dicom+json' }, credentials: 'same-origin' });
  if (!response.ok) throw new Error(`studies of the patient: ${response.status}`);
  return response.status === 204 ? [] : ((await response.json()) as Found[]);
}

/** Change a source; `shown` is the study on the screen, whose patient is meant. */
export function withIssuer(source: Source, shown: () => string | null, answer: Ask = ask): Source {
  const { studies } = source.query;
  const search = studies.search.bind(studies);
  studies.search = async (params) => {
    const studyUid = shown();
    if (!params?.patientId || params.studyInstanceUid || !studyUid) return search(params);
    const [own] = await answer({ StudyInstanceUID: studyUid });
    const issuer = own?.[ISSUER]?.Value?.[0];
    if (!own || typeof issuer !== 'string' || issuer === '') return own ? studies.processResults([own]) : [];
    const found = await answer({ '00100020': params.patientId, [ISSUER]: issuer });
    const same = found.filter((study) => study[ISSUER]?.Value?.[0] === issuer);
    return studies.processResults(same.length > 0 ? same : [own]);
  };
  return source;
}

/** The module of the extension point. */
export function dataSources(shown: () => string | null): object[] {
  return [
    {
      name: 'dicomweb',
      type: 'webApi',
      createDataSource(
        configuration: object,
        servicesManager: object,
        extensionManager: { getModuleEntry(id: string): { createDataSource?: CreateSource } | undefined },
      ): Source {
        const host = extensionManager.getModuleEntry('@ohif/extension-default.dataSourcesModule.dicomweb');
        if (!host?.createDataSource) throw new Error('the host has no DICOMweb data source');
        return withIssuer(host.createDataSource(configuration, servicesManager, extensionManager), shown);
      },
    },
  ];
}
