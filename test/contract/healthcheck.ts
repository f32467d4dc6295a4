// What the consumer probe promises, as data. Law: the consumer in the world may answer anything; the probe reports it and throws nothing.
import assert from 'node:assert/strict';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Healthcheck, ProbeClass } from '../../workers/vendors/contract.ts';
import { createHealthcheck } from '../../workers/vendors/healthcheck.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import type { Door } from '../../workers/vendors/http.ts';
import type { Deed } from '../sim/faults.ts';
import { admitAll, startSim } from '../sim/server.ts';
import type { Sim } from '../sim/server.ts';
import type { Check } from './contract-test.ts';
import { callOf, leaseOf, thrownBy, within } from './expectations.ts';

export interface HealthcheckWorld extends AsyncDisposable {
  readonly healthcheck: Healthcheck;
  readonly keyed: Healthcheck;
  readonly consumer: Sim;
  readonly target: { readonly healthcheck_endpoint: string };
  /** What the consumer does with the next probe. */
  readonly answers: (deed: Deed) => void;
  readonly patienceMs: number;
}

type HealthcheckCheck = Check<HealthcheckWorld>;
export type MakeHealthcheck = (deps: Parameters<typeof createHealthcheck>[0]) => Healthcheck;

const patienceMs = 1_000;
const probeKey = 'probe-key-5f0e3d5c';
const nonce = 'nonce-0123456789';
const proof = new Secret('HRKU-token').proof(nonce);

/** A consumer that is well unless told otherwise. */
export async function healthcheckWorld(make: MakeHealthcheck = createHealthcheck): Promise<HealthcheckWorld> {
  const consumer = await startSim<null>({
    routes: { 'GET /healthz': () => ({ status: 200, body: { status: 'ok' } }) },
    authorize: admitAll,
    notFound: { status: 404, body: {} },
    badBody: { status: 400, body: {} },
    rateLimited: () => ({ status: 429, body: {} }),
  });
  const door: Door = createDoor({ fetch, clock: systemClock, times: { vendorCallMs: 60_000 } });
  const deps = { door, times: { probeMs: patienceMs } };
  return {
    healthcheck: make(deps),
    keyed: make({ ...deps, probeKey: new Secret(probeKey) }),
    consumer,
    target: { healthcheck_endpoint: `${consumer.url}/healthz` },
    answers: (deed) => void consumer.script({ on: 'GET /healthz', do: deed }),
    patienceMs,
    [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose](),
  };
}

async function classFor(world: HealthcheckWorld, deed: Deed): Promise<ProbeClass> {
  world.answers(deed);
  return (await world.healthcheck.probe(callOf({ lease: null }), world.target, nonce)).class;
}

async function proofFor(world: HealthcheckWorld, header: string): Promise<string | null> {
  world.answers({ status: 200, body: {}, headers: { 'velvet-proof': header } });
  return (await world.healthcheck.probe(callOf({ lease: null }), world.target, nonce)).proof;
}

const html = '<!DOCTYPE html><title>no</title>';

const classChecks: readonly HealthcheckCheck[] = [
  {
    name: 'each status lands in its class, with the status',
    essential: true,
    async run(world) {
      const expected: readonly (readonly [number, ProbeClass])[] = [
        [200, 'ok'],
        [204, 'ok'],
        [299, 'ok'],
        [301, 'redirect'],
        [304, 'redirect'],
        [401, 'unauthorized'],
        [403, 'forbidden'],
        [400, 'erroring'],
        [404, 'erroring'],
        [429, 'erroring'],
        [500, 'erroring'],
        [503, 'erroring'],
      ];
      for (const [status, wanted] of expected) {
        world.answers({ status, ...(status === 204 || status === 304 ? {} : { body: { status: 'words' } }) });
        const result = await world.healthcheck.probe(callOf({ lease: null }), world.target, nonce);
        assert.deepEqual(result, { class: wanted, httpStatus: status, proof: null });
      }
    },
  },
  {
    name: 'a refusal in HTML is the edge and not the consumer',
    essential: true,
    async run(world) {
      assert.equal(await classFor(world, 'edge'), 'edge');
      assert.equal(await classFor(world, { status: 401, body: html }), 'edge');
      assert.equal(
        await classFor(world, { status: 403, body: html, headers: { 'content-type': 'application/json' } }),
        'edge',
      );
      assert.equal(await classFor(world, { status: 200, body: html }), 'ok');
    },
  },
  {
    name: 'a redirect is not followed',
    essential: true,
    async run(world) {
      assert.equal(await classFor(world, 'redirect'), 'redirect');
      assert.equal(world.consumer.redirects.length, 0);
    },
  },
  {
    name: 'no answer in time, or none at all, is unreachable',
    essential: true,
    async run(world) {
      assert.equal(await within(world.patienceMs * 2, classFor(world, 'hang_before')), 'unreachable');
      assert.equal(await classFor(world, { applies_late_ms: 0 }), 'unreachable');
      await world.consumer.close();
      const result = await world.healthcheck.probe(callOf({ lease: null }), world.target, nonce);
      assert.deepEqual(result, { class: 'unreachable', httpStatus: null, proof: null });
    },
  },
  {
    name: 'a body that does not come changes nothing about its status',
    essential: true,
    async run(world) {
      // A consumer that accepts the dead token and then stalls has accepted it.
      assert.equal(await within(world.patienceMs / 2, classFor(world, 'hang_mid_body')), 'ok');
      assert.equal(await classFor(world, 'drop_mid_body'), 'ok');
    },
  },
];

const sendingChecks: readonly HealthcheckCheck[] = [
  {
    name: 'the probe is one GET with the challenge, and with no token',
    essential: true,
    async run({ healthcheck, consumer, target }) {
      await healthcheck.probe(callOf({ lease: null }), target, nonce);
      const [request, ...others] = consumer.requests;
      assert.equal(others.length, 0);
      assert.equal(request?.method, 'GET');
      assert.equal(request.headers['velvet-challenge'], nonce);
      assert.equal(request.hasAuthorization, false);
    },
  },
  {
    name: 'the probe key goes along where there is one',
    essential: true,
    async run({ healthcheck, keyed, consumer, target }) {
      await healthcheck.probe(callOf({ lease: null }), target, nonce);
      await keyed.probe(callOf({ lease: null }), target, nonce);
      assert.deepEqual(
        consumer.requests.map((request) => request.headers['velvet-probe-key']),
        [undefined, probeKey],
      );
    },
  },
  {
    name: 'a proof of version 1 is handed on, and nothing else is taken for one',
    essential: true,
    async run(world) {
      assert.equal(await proofFor(world, `v1=${proof}`), proof);
      assert.equal(await proofFor(world, `v2=x, v1=${proof}=`), proof);
      for (const header of [
        '',
        proof,
        `v2=${proof}`,
        `v1=${proof}x`,
        'v1=',
        `v1=${proof.slice(1)}`,
        'v1=[secret]',
      ]) {
        assert.equal(await proofFor(world, header), null, header);
      }
    },
  },
  {
    name: 'a refusal can carry a proof too',
    essential: true,
    async run({ healthcheck, answers, target }) {
      answers({ status: 401, body: {}, headers: { 'velvet-proof': `v1=${proof}` } });
      const result = await healthcheck.probe(callOf({ lease: null }), target, nonce);
      assert.deepEqual(result, { class: 'unauthorized', httpStatus: 401, proof });
    },
  },
  {
    name: 'a probe that is called off throws, and has seen nothing',
    essential: true,
    async run({ healthcheck, answers, target, patienceMs }) {
      const called = new AbortController();
      answers('hang_before');
      const probing = thrownBy(
        healthcheck.probe(callOf({ lease: null, signal: called.signal }), target, nonce),
      );
      setTimeout(() => called.abort(), 20);
      await within(patienceMs / 2, probing);
      answers('hang_before');
      await thrownBy(healthcheck.probe(callOf({ lease: leaseOf(50) }), target, nonce));
    },
  },
];

/** The whole suite. */
export const healthcheckChecks: readonly HealthcheckCheck[] = [...classChecks, ...sendingChecks];
