// What Heroku's releases and dynos say about a write. Law: a config var that is set is not yet a config var that anything runs on.
import { z } from 'zod';
import type { Evidence } from '../contract.ts';

/** Sources: Platform API, release and dyno. `expired` is a release whose release phase ran out of time. */
export const releaseShape = z.looseObject({
  version: z.int(),
  status: z.enum(['pending', 'succeeded', 'failed', 'expired']),
  current: z.boolean(),
});
export type Release = z.output<typeof releaseShape>;

export const dynoShape = z.looseObject({
  name: z.string().max(64),
  type: z.string().max(64),
  state: z.string().max(64),
  release: z.looseObject({ version: z.int() }).nullable(),
});
export type Dyno = z.output<typeof dynoShape>;

export interface Settlement {
  readonly state: 'yes' | 'not_yet' | 'failed';
  /** The release that is current, where the state is `yes`. */
  readonly current: number | null;
  readonly detail: string;
}

/**
 * Whether everything written up to release `version` is in effect, from the newest releases. A later release carries it
 * too, since each takes over the whole config; one that failed has not, even though its PATCH was answered 200.
 */
export function settlement(releases: readonly Release[], version: number): Settlement {
  const current = releases.find((one) => one.current && one.status === 'succeeded' && one.version >= version);
  if (current !== undefined)
    return { state: 'yes', current: current.version, detail: `release v${current.version} is current` };
  const newest = releases[0];
  if (newest === undefined || newest.version < version) {
    return { state: 'not_yet', current: null, detail: `release v${version} is not listed yet` };
  }
  const failed = newest.status === 'failed' || newest.status === 'expired';
  const said = newest.status === 'succeeded' ? 'succeeded but is not current' : `is ${newest.status}`;
  return {
    state: failed ? 'failed' : 'not_yet',
    current: null,
    detail: `release v${newest.version} ${said}`,
  };
}

// One-off dynos end by themselves and are restarted by nobody; `release` is the release phase's own.
const oneOff = new Set(['run', 'release']);
// Nothing runs there; what starts later starts on the current release.
const notRunning = new Set(['idle', 'down']);

/** Whether every running dyno is up on release `version` or a later one. */
export function dynoEffect(dynos: readonly Dyno[], version: number): Pick<Evidence, 'effect' | 'detail'> {
  const counted = dynos.filter((one) => !oneOff.has(one.type) && !notRunning.has(one.state));
  // Not `running`: an app that is scaled to zero has shown nothing, and a copy of the old value may start elsewhere.
  if (counted.length === 0) return { effect: 'unknown', detail: 'no dyno is running' };
  const late = counted.filter(
    (one) => one.state !== 'up' || one.release === null || one.release.version < version,
  );
  if (late.length === 0)
    return { effect: 'running', detail: `every running dyno (${counted.length}) is up on it or later` };
  const shown = late.slice(0, 5).map((one) => inWords(one));
  const more = late.length > shown.length ? [`and ${late.length - shown.length} more`] : [];
  return { effect: 'not_yet', detail: [...shown, ...more].join(', ') };
}

function inWords(dyno: Dyno): string {
  const where = dyno.release === null ? 'no release' : `v${dyno.release.version}`;
  return dyno.state === 'up'
    ? `${dyno.name} is still on ${where}`
    : `${dyno.name} is ${dyno.state} on ${where}`;
}
