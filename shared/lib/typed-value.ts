// What cannot be one credential's value, wherever a person gives it: typed, piped, or sent.

/** The longest tokens known, signed ones with many claims, have some kilobytes; a larger text was given by mistake. */
export const VALUE_BYTES_MAX = 16 * 1024;

/** What is wrong with it, as the end of a sentence that begins with its name; null where it may be one. Never the value. */
export function faultOfValue(text: string): string | null {
  if (text === '') return 'is empty';
  if (text.trim() === '') return 'is nothing but white space';
  if (/[\r\n]/.test(text)) return 'has more than one line, which no token has';
  if (/\p{Cc}/u.test(text)) return 'holds control characters, which no token has';
  if (text !== text.trim()) return 'has white space around it, which no token has';
  if (Buffer.byteLength(text) > VALUE_BYTES_MAX) return 'is longer than 16 KiB, which no token is';
  return null;
}
