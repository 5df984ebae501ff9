// Texts to begin a report with, by modality and body part. They name what is looked at and claim nothing about it.
import type { Row } from '../live/wire';
import type { Sections } from '../state/api';

/** A template as the menu shows it. */
export interface Template {
  key: string;
  name: string;
  sections: Sections;
}

interface Kind {
  key: string;
  name: string;
  modalities: readonly string[];
  /** Words of the procedure or body part that it fits. */
  fits: RegExp;
  technique: string;
  findings: readonly string[];
}

const CT = ['CT'];
const KINDS: readonly Kind[] = [
  {
    key: 'ct-head',
    name: 'CT head',
    modalities: CT,
    fits: /head|brain|skull|cranial/i,
    technique: 'Axial CT of the head.',
    findings: ['Blood: ', 'Brain: ', 'Ventricles and midline: ', 'Bones: ', 'Sinuses and mastoids: '],
  },
  {
    key: 'ct-chest',
    name: 'CT chest',
    modalities: CT,
    fits: /chest|thorax|lung|pulmon/i,
    technique: 'CT of the chest.',
    findings: ['Lungs: ', 'Pleura: ', 'Heart and great vessels: ', 'Mediastinum: ', 'Bones: '],
  },
  {
    key: 'ct-abdomen',
    name: 'CT abdomen and pelvis',
    modalities: CT,
    fits: /abdom|pelvi|renal|liver/i,
    technique: 'CT of the abdomen and pelvis.',
    findings: [
      'Liver and biliary: ',
      'Pancreas and spleen: ',
      'Kidneys: ',
      'Bowel: ',
      'Vessels and nodes: ',
      'Bones: ',
    ],
  },
  {
    key: 'mr-brain',
    name: 'MR brain',
    modalities: ['MR'],
    fits: /head|brain/i,
    technique: 'Multiplanar MR of the brain.',
    findings: ['Diffusion: ', 'Brain: ', 'Ventricles and midline: ', 'Vessels: ', 'Bones: '],
  },
  {
    key: 'xr-chest',
    name: 'Chest radiograph',
    modalities: ['CR', 'DX', 'RF'],
    fits: /chest|thorax|lung/i,
    technique: 'Radiograph of the chest.',
    findings: ['Lungs: ', 'Pleura: ', 'Heart and mediastinum: ', 'Bones: ', 'Lines and tubes: '],
  },
  {
    key: 'xr',
    name: 'Radiograph',
    modalities: ['CR', 'DX', 'RF'],
    fits: /./,
    technique: 'Radiograph.',
    findings: ['Bones: ', 'Joints: ', 'Soft tissue: '],
  },
  { key: 'us', name: 'Ultrasound', modalities: ['US'], fits: /./, technique: 'Ultrasound.', findings: ['Findings: '] },
  {
    key: 'mg',
    name: 'Mammography',
    modalities: ['MG'],
    fits: /./,
    technique: 'Mammography, two views.',
    findings: ['Density: ', 'Masses: ', 'Calcifications: ', 'Nodes: '],
  },
];

const PLAIN: Kind = { key: 'plain', name: 'Plain', modalities: [], fits: /$^/, technique: '', findings: [] };

function made(kind: Kind, row: Row): Template {
  const comparison = row.priors > 0 ? '' : 'None.';
  return {
    key: kind.key,
    name: kind.name,
    sections: { technique: kind.technique, comparison, findings: kind.findings.join('\n'), impression: '' },
  };
}

/** The templates for a study, the best fitting first; the last is empty. */
export function templatesFor(row: Row): Template[] {
  const about = `${row.procedure} ${row.body_part}`;
  const same = KINDS.filter((kind) => kind.modalities.includes(row.modality));
  const [fitting, others] = [
    same.filter((kind) => kind.fits.test(about)),
    same.filter((kind) => !kind.fits.test(about)),
  ];
  return [...fitting, ...others, PLAIN].map((kind) => made(kind, row));
}
