// Lock-out: from the request of an emergency until every consumer is proven to be refused, with one healthcheck process. The consumers turn at once, so that what remains beside the vendor is Velvet's own.
import { systemClock } from '../../shared/lib/clock.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { times } from '../../shared/times.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../../test/harness.ts';
import { admitAll, startSim } from '../../test/sim/server.ts';
import { startFleet } from './fleet.ts';
import { percentile, rounded, type Report } from './measure.ts';
import type { Place } from './place.ts';

const SIZES = [10, 50, 200] as const;
const RUNS = 5;
/** How long the vendor takes for one revoke. */
const VENDOR_MS = 200;
const SETTLE_S = 10;
const LOCKED_OUT_MS = 60_000;

/** Milliseconds of one emergency. */
interface Parts {
  readonly whole: number;
  /** The request until its commit. */
  readonly begun: number;
  /** Until every consumer was asked while the token still lived. */
  readonly baseline: number;
  /** Until the vendor's confirmation is on record; of it the vendor itself. */
  readonly revoked: number;
  readonly vendor: number;
  /** Until the last consumer's 401 is on record. */
  readonly proven: number;
  /** Answers after the vendor's confirmation that were no 401: what the settle window is there for. */
  readonly early: number;
}

export async function lockout(place: Place, report: Report): Promise<void> {
  for (const size of SIZES) {
    const runs: Parts[] = [];
    for (let run = 0; run < RUNS; run++) runs.push(await emergency(place, size));
    const say = (what: string, p: number, of: (parts: Parts) => number, unit = 'ms') =>
      report({
        bench: 'lockout',
        metric: `${size} consumers, ${what}, p${p}`,
        value: rounded(percentile(runs.map(of), p), 0),
        unit,
      });
    for (const p of [50, 99]) say('request to proven lock-out', p, ({ whole }) => whole);
    say('of it the vendor', 50, ({ vendor }) => vendor);
    say('early answers, which the window waits out', 99, ({ early }) => early, 'answers');
    for (const p of [50, 99]) say("of it Velvet's own", p, ({ whole, vendor }) => whole - vendor);
    say('own: request', 50, ({ begun }) => begun);
    say('own: baseline', 50, ({ baseline }) => baseline);
    say('own: revoke', 50, ({ revoked, vendor }) => revoked - vendor);
    say('own: proofs', 50, ({ proven }) => proven);
  }
}

async function emergency(place: Place, size: number): Promise<Parts> {
  await place.emptied();
  const alive = { yes: true };
  // One server for all of them: what is measured is not how many servers this process can be.
  await using consumers = await startSim<null>({
    routes: {
      'GET /health/:app': () => (alive.yes ? { status: 200, body: {} } : { status: 401, body: {} }),
    },
    authorize: admitAll,
    notFound: { status: 404, body: {} },
    badBody: { status: 400, body: {} },
    rateLimited: () => ({ status: 429, body: {} }),
  });
  const apps = Array.from({ length: size }, (_, n) => ({
    name: `bench-app-${n}`,
    extra: { healthcheck_endpoint: `${consumers.url}/health/bench-app-${n}` },
  }));
  await using world = await buildWorld(place.redisUrl, {
    apps,
    times,
    families: [],
    credential: { settle_seconds: SETTLE_S },
  });
  // The handle is on record, as every adoption and every rotation leaves it.
  await adopted(world);
  await using fleet = await startFleet(['stage', 'healthcheck'], world.environment);
  await until(
    () => world.heroku.requests.some(({ route }) => route === 'GET /oauth/authorizations') || null,
    30_000,
    fleet.said,
  );
  world.heroku.script({ on: 'DELETE /oauth/authorizations/:id', do: { delay_ms: VENDOR_MS } });
  const turning = setInterval(() => (alive.yes = world.heroku.isLive(world.firstToken)), 1);
  try {
    const parts = await measured(world, fleet.said);
    const early = consumers.requests.filter(({ at, status }) => at >= parts.revokedAt && status === 200);
    return { ...parts, early: early.length };
  } finally {
    clearInterval(turning);
  }
}

async function adopted(world: World): Promise<void> {
  const first = world.account.authorizations().find((one) => one.token === world.firstToken);
  if (first === undefined) throw new Error('the first token is not to be found at the vendor');
  await world.redis.set(credentialKeys(CREDENTIAL, ENV).adopted, first.id);
}

async function measured(
  world: World,
  said: () => string,
): Promise<Omit<Parts, 'early'> & { readonly revokedAt: number }> {
  const askedAt = systemClock.now();
  const answer = await world.api('POST', `/tokens/${CREDENTIAL}/rotate`, {
    flow_type: 'revocation',
    idempotency_key: crypto.randomUUID(),
    ticket_id: 'SEV-BENCH',
    confirm: CREDENTIAL,
  });
  if (answer.status !== 202) throw new Error(`the emergency was answered ${answer.status}: ${answer.text}`);
  const jobId = String(answer.body.job_id);
  const done = await until(
    async () => {
      // Looked at seldom: the vendor and the consumers are in this process.
      await new Promise((resolve) => setTimeout(resolve, 100));
      const job = await world.store.load({ credential: CREDENTIAL, env: ENV, jobId });
      if (job?.status === 'rev_leaked' || job?.status === 'rev_revoke_failed')
        throw new Error(`the emergency is ${job.status}: ${said()}`);
      return job?.status === 'rev_done' ? job : null;
    },
    LOCKED_OUT_MS,
    said,
  );
  const events = await world.feed.read(CREDENTIAL, ENV, 0, 5_000);
  const at = (name: string) => {
    const found = events.find(({ event, job_id }) => event === name && job_id === done.jobId);
    if (found === undefined) throw new Error(`the trail has no ${name}`);
    return Date.parse(found.at);
  };
  const closedAt = at('rows_closed');
  return {
    whole: closedAt - askedAt,
    begun: at('proceed_revoke') - askedAt,
    baseline: at('baseline_taken') - at('proceed_revoke'),
    revoked: at('revoke_succeeded') - at('baseline_taken'),
    vendor: VENDOR_MS,
    proven: closedAt - at('revoke_succeeded'),
    revokedAt: at('revoke_succeeded'),
  };
}
