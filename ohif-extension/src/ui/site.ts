// A site's sign: a code of up to three letters, and a shield that is told apart without colour.

/** The code of a site: the initials of its name, or its first letters. */
export function siteCode(name: string): string {
  const words = name.split(/[\s\-_/]+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters =
    words.length > 1 ? words.map((word) => [...word.replace(/^\W+/u, '')][0] ?? '').join('') : (words[0] ?? '');
  return [...letters].slice(0, 3).join('').toLocaleUpperCase();
}

/** Which of the shields is the site's: always the same one. */
export function shieldField(id: string): number {
  let sum = 7;
  for (const char of id) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return sum % 5;
}
