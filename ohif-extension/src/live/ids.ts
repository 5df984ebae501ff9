// Ids made here: they need no secure context, unlike `crypto.randomUUID`.

/** 128 random bits as hex. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The id of this tab, kept over reloads. */
export function tabId(): string {
  try {
    const known = sessionStorage.getItem('rr-tab');
    if (known) return known;
    const made = randomId();
    sessionStorage.setItem('rr-tab', made);
    return made;
  } catch {
    return randomId();
  }
}
