// When a credential is due, in plain arithmetic.
import { expect, test } from 'vitest';
import { dueAt, lastDue } from '../../shared/manifest/due.ts';

const at = (text: string) => Date.parse(`${text}Z`);
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().slice(0, 16));

test.each([
  ['to the minute where no time of day is named', undefined, '2026-01-01T14:05', '2026-01-11T14:05'],
  ['at that time of the same day where it is still to come', '23:30', '2026-01-01T14:05', '2026-01-11T23:30'],
  ['at that very minute', '14:05', '2026-01-01T14:05', '2026-01-11T14:05'],
  ['on the day after where it has passed', '03:30', '2026-01-01T14:05', '2026-01-12T03:30'],
  ['across a leap day', '00:00', '2028-02-20T00:00', '2028-03-01T00:00'],
])('a value is due %s', (_, time, since, due) => {
  const rotation = { every_days: 10, ...(time === undefined ? {} : { at: time }) };
  expect(iso(dueAt(rotation, at(since)))).toBe(due);
});

test.each([
  ['2026-01-11T14:04', null],
  ['2026-01-11T14:05', '2026-01-11T14:05'],
  ['2026-01-21T14:04', '2026-01-11T14:05'],
  ['2026-01-21T14:05', '2026-01-21T14:05'],
  ['2026-03-01T00:00', '2026-02-20T14:05'],
])('of the times that passed by %s the last one counts', (now, due) => {
  expect(iso(lastDue({ every_days: 10 }, at('2026-01-01T14:05'), at(now)))).toBe(due);
});
