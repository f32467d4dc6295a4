// Which handler carries out what, each wrapped. Law: whatever a handler throws leaves here without a value in it, at any depth.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { ErrorCode, VelvetErrorOptions } from '../../shared/lib/errors.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import type { ManualVerify, UpdateMethod, WrittenMethod } from '../../shared/manifest/schema.ts';
import type { IssuerName } from '../../shared/manifest/vendors.ts';
import type { Destination, Issuer } from './contract.ts';
import { githubSecrets } from './github/secrets.ts';
import { herokuConfigVars } from './heroku/config-vars.ts';
import { herokuIssuer } from './heroku/issuer.ts';
import type { Door } from './http.ts';
import { infisicalWrite, noInfisical } from './infisical/write.ts';
import type { InfisicalWriteDeps } from './infisical/write.ts';
import { operatorManual } from './operator-manual.ts';

/** One call of a handler, for metrics. */
export interface HandlerCall {
  readonly handler: IssuerName | UpdateMethod;
  readonly verb: string;
  readonly outcome: 'ok' | ErrorCode;
  readonly ms: number;
}

export interface RegistryDeps {
  readonly door: Door;
  readonly clock: Clock;
  readonly herokuApiUrl: string;
  /** Null or left out where Velvet has no machine identity at Infisical. */
  readonly infisical?: Omit<InfisicalWriteDeps, 'lateMs'> | null;
  readonly githubApiUrl: string;
  readonly times: {
    readonly lateMs: number;
    readonly rateLimitWaitMs: number;
    readonly secondaryLimitWaitMs: number;
  };
  readonly onCall?: (call: HandlerCall) => void;
}

export interface Registry {
  /** `verify` is the manifest's, for the issuer that Velvet has no code for. */
  issuer(name: IssuerName, verify?: ManualVerify | null): Issuer;
  destination(method: WrittenMethod): Destination;
}

/** Every handler of this release; the types demand one for each issuer, and for each update method that Velvet writes by itself. */
export function createRegistry(deps: RegistryDeps): Registry {
  const heroku = { door: deps.door, baseUrl: deps.herokuApiUrl, ...deps.times };
  const github = { door: deps.door, clock: deps.clock, baseUrl: deps.githubApiUrl, ...deps.times };
  const issuers: Readonly<Record<IssuerName, (verify: ManualVerify | null) => Issuer>> = {
    'heroku-oauth': once(() => wrapIssuer(deps, herokuIssuer(heroku))),
    OPERATOR_MANUAL: (verify) =>
      wrapIssuer(deps, operatorManual({ door: deps.door, lateMs: deps.times.lateMs, verify })),
  };
  const destinations: Readonly<Record<WrittenMethod, Destination>> = {
    HEROKU_CONFIG_PATCH: wrapDestination(deps, herokuConfigVars(heroku)),
    INFISICAL_WRITE: wrapDestination(deps, infisicalOf(deps)),
    GITHUB_SECRET_PUT: wrapDestination(deps, githubSecrets(github)),
  };
  return {
    issuer: (name, verify = null) => issuers[name](verify),
    destination: (method) => destinations[method],
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly it: T } | undefined;
  return () => (made ??= { it: make() }).it;
}

function infisicalOf({ infisical, times }: RegistryDeps): Destination {
  return infisical ? infisicalWrite({ ...infisical, lateMs: times.lateMs }) : noInfisical(times.lateMs);
}

type Watch = Pick<RegistryDeps, 'clock' | 'onCall'>;

/** The issuer, with each verb measured and each error cleaned of the secrets that went in. */
export function wrapIssuer(watch: Watch, issuer: Issuer): Issuer {
  const name = issuer.vendor;
  return {
    vendor: name,
    capabilities: issuer.capabilities,
    verify: guarded(watch, name, 'verify', (call, current, authority) =>
      issuer.verify(call, current, authority),
    ),
    mint: guarded(watch, name, 'mint', (call, authority) => issuer.mint(call, authority)),
    listMinted: guarded(watch, name, 'listMinted', (call, authority) => issuer.listMinted(call, authority)),
    isGone: guarded(watch, name, 'isGone', (call, authority, handle, old) =>
      issuer.isGone(call, authority, handle, old),
    ),
    revoke: guarded(watch, name, 'revoke', (call, authority, handle) =>
      issuer.revoke(call, authority, handle),
    ),
  };
}

/** As `wrapIssuer`. */
export function wrapDestination(watch: Watch, destination: Destination): Destination {
  const name = destination.method;
  return {
    method: name,
    capabilities: destination.capabilities,
    push: guarded(watch, name, 'push', (call, target, authority, secret) =>
      destination.push(call, target, authority, secret),
    ),
    settled: guarded(watch, name, 'settled', (call, target, authority, receipt) =>
      destination.settled(call, target, authority, receipt),
    ),
    readBack: guarded(watch, name, 'readBack', (call, target, authority, known, receipt) =>
      destination.readBack(call, target, authority, known, receipt),
    ),
  };
}

function guarded<A extends readonly unknown[], R>(
  watch: Watch,
  handler: HandlerCall['handler'],
  verb: string,
  run: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    const startedAt = watch.clock.monotonic();
    const report = (outcome: HandlerCall['outcome']): void => {
      try {
        watch.onCall?.({ handler, verb, outcome, ms: watch.clock.monotonic() - startedAt });
      } catch {
        // A mint whose metric failed is still a mint: its handle and value must reach the stage.
      }
    };
    try {
      const result = await run(...args);
      report('ok');
      return result;
    } catch (error) {
      const clean = sanitised(error, secretsIn(args), `${handler} ${verb}`);
      report(clean.code);
      throw clean;
    }
  };
}

function secretsIn(args: readonly unknown[]): readonly Secret[] {
  return args.flatMap((arg) => {
    if (arg instanceof Secret) return [arg];
    return typeof arg === 'object' && arg !== null
      ? Object.values(arg).filter((part) => part instanceof Secret)
      : [];
  });
}

/**
 * The same error without any of the secrets, in message, detail, extra or stack, and without its cause: what a library attached
 * there (a request, a response) cannot be cleaned. An error that no handler meant keeps its stack's places and nothing it says.
 */
function sanitised(error: unknown, secrets: readonly Secret[], where: string): VelvetError {
  const clean = (text: string): string => secrets.reduce((rest, secret) => secret.removeFrom(rest), text);
  if (!isVelvetError(error)) {
    const unforeseen = new VelvetError('internal', `${where} failed in a way that nobody foresaw`);
    unforeseen.stack = [String(unforeseen), ...placesOf(error)].map(clean).join('\n');
    return unforeseen;
  }
  const options: VelvetErrorOptions = {
    detail: clean(error.detail),
    extra: cleanRecord(error.extra, clean),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.kind === undefined ? {} : { kind: clean(error.kind) }),
  };
  const same = new VelvetError(error.code, clean(error.message), options);
  same.stack = [String(same), ...placesOf(error)].map(clean).join('\n');
  return same;
}

/** The stack's lines that name a place in the code; the ones before them repeat the message, however many lines it has. */
function placesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => /^ {4}at .*(?::\d+:\d+\)?|\(<anonymous>\)|\(native\))$/.test(line));
}

function cleanDeep(value: unknown, clean: (text: string) => string): unknown {
  if (typeof value === 'string') return clean(value);
  if (Array.isArray(value)) return value.map((item) => cleanDeep(item, clean));
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  return cleanRecord(value, clean);
}

function cleanRecord(record: object, clean: (text: string) => string): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [clean(key), cleanDeep(value, clean)]),
  );
}
