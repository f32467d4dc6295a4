// One config var of a Heroku app as a destination. Law: answers here hold every config var of the app, so nothing of them leaves but a verdict.
import { z } from 'zod';
import { VelvetError, isVelvetError } from '../../../shared/lib/errors.ts';
import { Secret } from '../../../shared/lib/secret.ts';
import type { Target } from '../../../shared/manifest/schema.ts';
import { destinations } from '../../../shared/manifest/vendors.ts';
import { holdsOf } from '../compare.ts';
import type { Destination, Evidence, PushReceipt, VendorCall } from '../contract.ts';
import { herokuApi, parseAnswer } from './api.ts';
import type { HerokuApi, HerokuDeps } from './api.ts';
import { scopeOf } from './authorizations.ts';
import { dynoEffect, dynoShape, releaseShape, settlement } from './releases.ts';
import type { Release } from './releases.ts';

// Siblings are not looked at, whatever they are.
const configVarsShape = z.record(z.string(), z.unknown());

/** Heroku's scopes with which config vars can be written. */
const writers: readonly string[] = ['global', 'write-protected'];

/** The place to write to: an app and a key in it. */
interface Place {
  readonly app: string;
  readonly key: string;
}

/** The authority needs `write-protected` on the app, or `global`. */
export function herokuConfigVars(deps: HerokuDeps): Destination {
  const api = herokuApi(deps);
  const { readBack, creates } = destinations.HEROKU_CONFIG_PATCH;
  return {
    method: 'HEROKU_CONFIG_PATCH',
    capabilities: { readBack, creates, lateMs: deps.lateMs },

    async push(call, target, authority, secret) {
      const place = placeOf(target);
      // Each PATCH makes a release and restarts the app, so a repeat looks first.
      const written = call.repeat && (await heldAt(api, call, authority, place))?.equals(secret) === true;
      if (written) return newestReceipt(api, call, authority, place);
      await patch(api, call, { place, authority, secret });
      return newestReceipt(api, call, authority, place).catch((error: unknown) => {
        throw afterTheWrite(error);
      });
    },

    async settled(call, target, authority, receipt) {
      const releases = await newestReleases(api, call, authority, placeOf(target));
      return settlement(releases, versionOf(receipt)).state;
    },

    async readBack(call, target, authority, known, receipt) {
      const place = placeOf(target);
      const held = await heldAt(api, call, authority, place);
      const seen = { holds: holdsOf(held, known), ...(held === null ? { empty: true as const } : {}) };
      return { ...seen, ...(await effectAt(api, call, authority, { place, receipt })) };
    },

    async mayWrite(call, target, authority) {
      // Whoever may read them is let into the app; whether writing is among it, the token's own scope says.
      await heldAt(api, call, authority, placeOf(target));
      const scope = await scopeOf(api, call, authority);
      if (scope === null) return 'unknown';
      return scope.some((one) => writers.includes(one)) ? 'yes' : 'no';
    },
  };
}

interface Write {
  readonly place: Place;
  readonly authority: Secret;
  readonly secret: Secret;
}

async function patch(api: HerokuApi, call: VendorCall, { place, authority, secret }: Write): Promise<void> {
  const json = { [place.key]: secret };
  const response = await api.ask(call, authority, {
    method: 'PATCH',
    path: `/apps/${place.app}/config-vars`,
    json,
  });
  const echoed = valueIn(parseAnswer(response, configVarsShape), place.key);
  if (echoed?.equals(secret) === true) return;
  // Applied or not, somebody's value or ours masked: only a look can tell.
  throw response.notUnderstood(`answered ${response.status}, but ${place.key} is not what was written`);
}

/**
 * The write was answered with success and only the look at its release failed. As that error alone it would read "nothing
 * happened"; as a lost answer the stage pushes again with `repeat`, which finds the value in place and looks once more.
 */
function afterTheWrite(error: unknown): VelvetError {
  if (!isVelvetError(error))
    return new VelvetError('vendor_no_answer', 'heroku: the look at the release after a write failed');
  return new VelvetError(
    'vendor_no_answer',
    `written, but its release could not be looked up: ${error.message}`,
    {
      detail: `The config var was written, but its release could not be looked up. ${error.detail}`,
      ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
      ...(error.kind === undefined ? {} : { kind: error.kind }),
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    },
  );
}

async function heldAt(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
  place: Place,
): Promise<Secret | null> {
  const response = await api.ask(call, authority, { method: 'GET', path: `/apps/${place.app}/config-vars` });
  return valueIn(parseAnswer(response, configVarsShape), place.key);
}

function valueIn(vars: Readonly<Record<string, unknown>>, key: string): Secret | null {
  const value = Object.hasOwn(vars, key) ? vars[key] : undefined;
  return typeof value === 'string' && value !== '' ? new Secret(value) : null;
}

interface EffectQuestion {
  readonly place: Place;
  readonly receipt: PushReceipt | null;
}

async function effectAt(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
  { place, receipt }: EffectQuestion,
): Promise<Pick<Evidence, 'effect' | 'version' | 'detail'>> {
  const releases = await newestReleases(api, call, authority, place);
  // Without a receipt the newest release counts: if it failed, the app runs on what an earlier one held.
  const version = receipt === null ? releases[0]?.version : versionOf(receipt);
  if (version === undefined) return { effect: 'unknown', version: null, detail: 'the app has no release' };
  const settled = settlement(releases, version);
  if (settled.state !== 'yes') return { effect: settled.state, version: null, detail: settled.detail };

  const dynos = await api.list(
    call,
    authority,
    { method: 'GET', path: `/apps/${place.app}/dynos` },
    dynoShape,
  );
  const { effect, detail } = dynoEffect(dynos, version);
  return { effect, version: String(settled.current), detail: `${settled.detail}; ${detail}` };
}

async function newestReceipt(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
  place: Place,
): Promise<PushReceipt> {
  const newest = (await newestReleases(api, call, authority, place))[0];
  if (newest === undefined) {
    throw new VelvetError('vendor_bad_answer', 'heroku: the app has config vars, but no release');
  }
  return { version: String(newest.version) };
}

/** Newest first. Ten, so that the current one is among them where a later deploy has failed. */
async function newestReleases(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
  place: Place,
): Promise<readonly Release[]> {
  const range = 'version ..; order=desc,max=10';
  const response = await api.ask(call, authority, {
    method: 'GET',
    path: `/apps/${place.app}/releases`,
    range,
  });
  const releases = parseAnswer(response, z.array(releaseShape));
  const inOrder = releases.every(
    (one, index) => index === 0 || one.version < (releases[index - 1]?.version ?? 0),
  );
  if (!inOrder) throw response.notUnderstood('the releases are not listed newest first');
  return releases;
}

function versionOf(receipt: PushReceipt): number {
  const version = Number(receipt.version);
  if (!Number.isSafeInteger(version))
    throw new VelvetError('invariant_broken', 'heroku: a receipt that is not a release');
  return version;
}

/** The app alone is taken from the address; the host is always the configured one. */
function placeOf(target: Target): Place {
  const path = URL.canParse(target.update_endpoint) ? new URL(target.update_endpoint).pathname : '';
  const app = /^\/apps\/([a-z0-9][a-z0-9-]{0,62})\/config-vars$/.exec(path)?.[1];
  if (app === undefined)
    throw new VelvetError('vendor_rejected', 'heroku: update_endpoint is not …/apps/<app>/config-vars');
  if (!/^\w+$/.test(target.update_key))
    throw new VelvetError('vendor_rejected', 'heroku: update_key is not a config var');
  return { app, key: target.update_key };
}
