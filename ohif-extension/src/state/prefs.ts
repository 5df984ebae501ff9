// What a person has chosen on this device; never anything about a patient.

/** Read a choice; the fallback when there is none or storage is closed to us. */
export function pref<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`rr-${name}`);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

/** Remember a choice. */
export function setPref(name: string, value: unknown): void {
  try {
    localStorage.setItem(`rr-${name}`, JSON.stringify(value));
  } catch {
    // storage is closed to us: the choice lasts as long as the page
  }
}
