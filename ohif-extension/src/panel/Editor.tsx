// The parts of the report as text fields that grow with their text.
import { type ReactElement, useLayoutEffect, useRef } from 'react';
import type { Sections } from '../state/api';
import { PARTS, type Part } from '../state/draft';

const NAMES: Record<Part, string> = {
  technique: 'Technique',
  comparison: 'Comparison',
  findings: 'Findings',
  impression: 'Impression',
};

function Field({
  part,
  text,
  locked,
  onEdit,
}: {
  part: Part;
  text: string;
  locked: boolean;
  onEdit: (text: string) => void;
}): ReactElement {
  const ref = useRef<HTMLTextAreaElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text
  useLayoutEffect(() => {
    const field = ref.current;
    if (!field) return;
    field.style.height = '0';
    field.style.height = `${field.scrollHeight + 2}px`;
  }, [text]);
  return (
    <div className={`part ${part === 'impression' ? 'imp' : ''}`}>
      <label htmlFor={`part-${part}`}>{NAMES[part]}</label>
      <textarea
        ref={ref}
        id={`part-${part}`}
        className="txt"
        rows={1}
        dir="auto"
        spellCheck
        placeholder={locked ? '' : `Write the ${NAMES[part].toLowerCase()}`}
        readOnly={locked}
        value={text}
        onChange={(event) => onEdit(event.target.value)}
      />
    </div>
  );
}

/** The text of the report. */
export function Editor({
  sections,
  locked,
  onEdit,
}: {
  sections: Sections;
  locked: boolean;
  onEdit: (part: Part, text: string) => void;
}): ReactElement {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className="scrollr" tabIndex={0} aria-label="Report text">
      {PARTS.map((part) => (
        <Field key={part} part={part} text={sections[part]} locked={locked} onEdit={(text) => onEdit(part, text)} />
      ))}
    </section>
  );
}

/** What differs between two texts of a part, side by side in lines. */
export function Differences({
  parts,
  mine,
  theirs,
}: {
  parts: readonly Part[];
  mine: Sections;
  theirs: Sections;
}): ReactElement {
  return (
    <div className="diffs">
      {parts.map((part) => (
        <div className="diff" key={part}>
          <b className="label">{NAMES[part]}</b>
          <p>
            <span className="sg">−</span>
            <del dir="auto">{theirs[part] || 'nothing'}</del>
          </p>
          <p>
            <span className="sg">+</span>
            <ins dir="auto">{mine[part] || 'nothing'}</ins>
          </p>
        </div>
      ))}
    </div>
  );
}
