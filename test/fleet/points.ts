// Where in its own work each family can be caught: the simulators hold an answer, so that the process is known to be in the middle of it.
import { pause } from '../../bin/demo/client.ts';
import { until } from '../harness.ts';
import type { Deed } from '../sim/faults.ts';
import type { SimRequest } from '../sim/requests.ts';
import type { Sim } from '../sim/server.ts';
import type { Family, Fleet } from './fleet.ts';
import { HEALTH_ROUTE, type Held } from './outside.ts';
import { trailOf, type Gate, type Rotation, type TrailEvent } from './rotation.ts';

/** A place in a family's work, set up in a fleet. */
export interface Trap {
  /** Resolves each time that the work has come there (once more than at the call). */
  sprung(): Promise<void>;
  /** Resolves when what was caught can change nothing any more: only then does the end of a rotation say something. */
  readonly settled?: () => Promise<void>;
  /** Called before a gate is served, for what begins behind it. */
  readonly before?: Partial<Record<Gate, () => void>>;
  /** When the step that was caught was completed after `at` (wall clock, ms); null while it is not. */
  completed(rotation: Rotation, at: number): Promise<number | null>;
}

export interface Point {
  readonly family: Family;
  readonly doing: string;
  /** Whether a changing call is in flight there. */
  readonly changing: boolean;
  set(fleet: Fleet, credential: Held, times: number): Trap;
}

/** Longer than a standby needs to start, shorter than a call may take (10 s), so that the process is caught in the call and not in its failure. */
const HOLD: Deed = { delay_ms: 8_000 };
/** A probe may take 5 s. */
const HOLD_PROBE: Deed = { delay_ms: 4_500 };

const event =
  (fleet: Fleet, is: (event: TrailEvent) => boolean): Trap['completed'] =>
  async ({ jobId, credential }, at) => {
    const trail = await trailOf(fleet, credential.name);
    return trail.find((one) => one.job_id === jobId && one.ms >= at && is(one))?.ms ?? null;
  };

interface Catch {
  readonly sim: Sim;
  readonly on: string;
  readonly times: number;
  readonly deed?: Deed;
  readonly where?: (request: SimRequest) => boolean;
  readonly skip?: number;
}

/** Scripts the held answer; each request that it hits springs the trap once. */
function holding({ sim, on, times, deed = HOLD, where = () => true, skip = 0 }: Catch): Pick<Trap, 'sprung'> {
  const fault = sim.script({ on, times, skip, where, do: deed });
  let told = 0;
  return {
    async sprung() {
      await until(
        () => (fault.fired > told ? true : null),
        280_000,
        () => `${on} to be asked for`,
      );
      told += 1;
    },
  };
}

const notConsumers = (request: SimRequest) => !request.headers['user-agent']?.startsWith('consumer/');
const challenge = (request: SimRequest) => request.headers['velvet-challenge'] ?? '';

export const points = {
  verifying: {
    family: 'stage',
    doing: 'asking the vendor in verifying',
    changing: false,
    set: (fleet, _, times) => ({
      ...holding({ sim: fleet.outside.heroku, on: 'GET /account', times, where: notConsumers }),
      completed: event(fleet, (one) => one.event === 'verify_succeeded'),
    }),
  },
  minting: {
    family: 'stage',
    doing: 'minting; the vendor has done it',
    changing: true,
    set: (fleet, _, times) => ({
      ...holding({ sim: fleet.outside.heroku, on: 'POST /oauth/authorizations', times }),
      completed: event(fleet, (one) => one.event === 'mint_succeeded'),
    }),
  },
  mintingLost: {
    family: 'stage',
    doing: 'minting; the vendor never does it',
    changing: true,
    set: (fleet, _, times) => ({
      ...holding({ sim: fleet.outside.heroku, on: 'POST /oauth/authorizations', times, deed: 'hang_before' }),
      completed: event(fleet, (one) => one.event === 'mint_succeeded'),
    }),
  },
  mintingLate: {
    family: 'stage',
    doing: 'minting; the vendor does it 25 s later',
    changing: true,
    set(fleet, _, times) {
      const caught: SimRequest[] = [];
      const where = (request: SimRequest) => caught.push(request) > 0;
      const deed: Deed = { applies_late_ms: 25_000 };
      const applied = () => (caught.every(({ outcome }) => outcome !== null) ? true : null);
      return {
        ...holding({ sim: fleet.outside.heroku, on: 'POST /oauth/authorizations', times, deed, where }),
        settled: async () => void (await until(applied, 60_000)),
        completed: event(fleet, (one) => one.event === 'mint_succeeded'),
      };
    },
  },
  revoking: {
    family: 'stage',
    doing: 'revoking; the vendor has done it',
    changing: true,
    set: (fleet, credential, times) => ({
      ...holding({
        sim: fleet.outside.heroku,
        on: 'DELETE /oauth/authorizations/:id',
        times,
        where: (request) => request.params['id'] === credential.first.id,
      }),
      completed: event(fleet, (one) => one.event === 'revoke_succeeded'),
    }),
  },
  patching: {
    family: 'distribute',
    doing: 'writing to a consumer',
    changing: true,
    set: (fleet, credential, times) => ({
      ...holding({ sim: fleet.outside.heroku, on: 'PATCH /apps/:app/config-vars', times, where: ofApp(credential, 0) }), // prettier-ignore
      completed: event(
        fleet,
        (one) => one.event === 'row_written' && one.consumer_id === idOf(credential, 0),
      ),
    }),
  },
  patchingLost: {
    family: 'distribute',
    doing: 'writing to a consumer; the vendor never does it',
    changing: true,
    set: (fleet, credential, times) => ({
      ...holding({ sim: fleet.outside.heroku, on: 'PATCH /apps/:app/config-vars', times, deed: 'hang_before', where: ofApp(credential, 0) }), // prettier-ignore
      completed: event(
        fleet,
        (one) => one.event === 'row_written' && one.consumer_id === idOf(credential, 0),
      ),
    }),
  },
  settling: {
    family: 'distribute',
    doing: 'waiting for a write to take effect',
    changing: false,
    set: (fleet, credential, times) => ({
      // The first look at the releases belongs to the write itself.
      ...holding({ sim: fleet.outside.heroku, on: 'GET /apps/:app/releases', times, skip: 1, where: ofApp(credential, 0) }), // prettier-ignore
      completed: event(
        fleet,
        (one) => one.event === 'row_written' && one.consumer_id === idOf(credential, 0),
      ),
    }),
  },
  readingBack: {
    family: 'distribute',
    doing: 'reading a consumer back',
    changing: false,
    set: (fleet, credential, times) => ({
      ...holding({
        sim: fleet.outside.heroku,
        on: 'GET /apps/:app/dynos',
        times,
        where: ofApp(credential, 1),
      }),
      completed: event(fleet, (one) => one.event === 'row_proven' && one.consumer_id === idOf(credential, 1)),
    }),
  },
  probing: {
    family: 'healthcheck',
    doing: 'probing a consumer',
    changing: false,
    set: (fleet, credential, times) => ({
      ...holding({
        sim: consumerOf(credential, 0).sim,
        on: HEALTH_ROUTE,
        times,
        deed: HOLD_PROBE,
        where: (request) => challenge(request) !== '' && !challenge(request).startsWith('wave.'),
      }),
      completed: event(fleet, (one) => one.event === 'row_proven' && one.consumer_id === idOf(credential, 0)),
    }),
  },
  provingAgain: {
    family: 'healthcheck',
    doing: 'proving a consumer once more before the revoke',
    changing: false,
    set(fleet, credential, times) {
      let begun = false;
      const where = () => begun;
      return {
        ...holding({ sim: consumerOf(credential, 0).sim, on: HEALTH_ROUTE, times, deed: HOLD_PROBE, where }),
        before: { validated: () => void (begun = true) },
        completed: event(
          fleet,
          (one) => one.event === 'row_proven' && one.from_state === 'revoking' && one.consumer_id === idOf(credential, 0), // prettier-ignore
        ),
      };
    },
  },
  telling: {
    family: 'notifier',
    doing: 'telling the operator',
    changing: false,
    set: (fleet, _, times) => ({
      ...holding({ sim: fleet.outside.slack, on: 'POST /api/chat.postMessage', times, deed: 'hang_before' }),
      completed: async (_rotation, at) =>
        fleet.outside.slack.messages.find((one) => one.at >= at)?.at ?? null,
    }),
  },
  following: {
    family: 'web',
    doing: 'sending a stream',
    changing: false,
    set: (fleet, _, times) => stepwise(fleet, ['distributing', 'distributed', 'validating'].slice(0, times)),
  },
  asking: {
    family: 'web',
    doing: 'taking an action',
    changing: false,
    set(fleet, _, times) {
      let sent = 0;
      let told = 0;
      const sending = () => {
        if (sent < times) sent += 1;
      };
      return {
        async sprung() {
          await until(() => (sent > told ? true : null), 280_000);
          told += 1;
          // A few milliseconds into the request: before or after it was carried out, either way it was not answered.
          await pause(told * 3);
        },
        before: { init: sending, verified: sending, validated: sending },
        completed: webAnswers(fleet),
      };
    },
  },
} as const satisfies Record<string, Point>;
export type PointName = keyof typeof points;

function stepwise(fleet: Fleet, statuses: readonly string[]): Trap {
  let told = 0;
  return {
    async sprung() {
      const wanted = statuses[told] ?? 'none';
      told += 1;
      await until(async () => {
        const trails = await Promise.all(fleet.outside.credentials.map(({ name }) => trailOf(fleet, name)));
        return trails.flat().some(({ to_state: to }) => to === wanted) ? true : null;
      }, 280_000);
    },
    completed: webAnswers(fleet),
  };
}

/** Web's step is to answer. */
function webAnswers(fleet: Fleet): Trap['completed'] {
  return async () => {
    const { status } = await fleet.client.ask('GET', '/healthz');
    return status === 200 ? Date.now() : null;
  };
}

function consumerOf(credential: Held, index: number) {
  const consumer = credential.consumers[index];
  if (consumer === undefined) throw new Error(`${credential.name} has no consumer ${index}`);
  return consumer;
}

function idOf(credential: Held, index: number): string {
  return consumerOf(credential, index).id;
}

function ofApp(credential: Held, index: number) {
  const { app } = consumerOf(credential, index);
  return (request: SimRequest) => request.params['app'] === app.name;
}
