// When a credential is due: counted from the age of its value, at the time of day that the manifest names. Pure arithmetic, in UTC.
import type { Credential } from './schema.ts';

type Rotation = Pick<NonNullable<Credential['rotation']>, 'every_days' | 'at'>;

const DAY_MS = 86_400_000;

/** When a value that is the current one since `since` is due to be replaced (wall clock, ms). */
export function dueAt({ every_days: days, at }: Rotation, since: number): number {
  const earliest = since + days * DAY_MS;
  if (at === undefined) return earliest;
  const [hours = 0, minutes = 0] = at.split(':').map(Number);
  const ofThatDay = Math.floor(earliest / DAY_MS) * DAY_MS + (hours * 60 + minutes) * 60_000;
  return ofThatDay >= earliest ? ofThatDay : ofThatDay + DAY_MS;
}

/**
 * The latest due time that has passed, or null before the first. A value that is not replaced is due again after each further
 * period: however many of them were missed, only the latest counts.
 */
export function lastDue(rotation: Rotation, since: number, now: number): number | null {
  const first = dueAt(rotation, since);
  if (now < first) return null;
  const periodMs = rotation.every_days * DAY_MS;
  return first + Math.floor((now - first) / periodMs) * periodMs;
}
