// A secret that applications read from Infisical as a destination. Law: what was written is read back before it counts, and Velvet's own folder is never written here.
import { VelvetError, isVelvetError } from '../../../shared/lib/errors.ts';
import { Secret } from '../../../shared/lib/secret.ts';
import { infisicalFolderOf, infisicalForm, isWithin } from '../../../shared/manifest/addresses.ts';
import type { Target } from '../../../shared/manifest/schema.ts';
import { destinations } from '../../../shared/manifest/vendors.ts';
import { holdsOf } from '../compare.ts';
import type { Destination, PushReceipt } from '../contract.ts';
import { survivesStoring } from './secrets.ts';
import type { Held, InfisicalSecrets, Place } from './secrets.ts';
import type { Identity } from './sessions.ts';

export interface InfisicalWriteDeps {
  readonly secrets: InfisicalSecrets;
  /** Of the identity that an authority belongs to which is a client secret alone. */
  readonly clientId: string;
  /** Of a row that names none. */
  readonly projectId: string;
  readonly environment: string;
  /** Velvet's own, in that project. */
  readonly ownFolder: string;
  readonly lateMs: number;
}

/**
 * The authority is the client secret of Velvet's own machine identity, or `<client id>:<client secret>` of another one. The
 * identity must be able to read, edit and create in the row's folder.
 */
export function infisicalWrite(deps: InfisicalWriteDeps): Destination {
  const { secrets } = deps;
  const { readBack, creates } = destinations.INFISICAL_WRITE;
  return {
    method: 'INFISICAL_WRITE',
    capabilities: { readBack, creates, lateMs: deps.lateMs },

    async push(call, target, authority, secret) {
      const { place, name } = where(deps, target, authority);
      if (!survivesStoring(secret))
        throw new VelvetError('vendor_rejected', 'infisical: the value has white space at an end', {
          detail: `Not written: the value begins or ends with white space, which Infisical takes off, so ${name} would hold another one. Abort, and rotate to a value without it.`,
        });
      // Each write makes a version, and may set off what listens for one, so a repeat looks first.
      if (call.repeat) {
        const held = await secrets.get(call, place, name);
        if (held?.value?.equals(secret) === true) return receiptOf(held);
      }
      await secrets.put(call, place, { name, value: secret });
      const held = await secrets.get(call, place, name).catch((error: unknown) => {
        throw afterTheWrite(error);
      });
      if (held?.value?.equals(secret) === true) return receiptOf(held);
      throw new VelvetError('vendor_no_answer', `infisical: ${name} was written and holds another value`, {
        detail: `${name} in ${place.path} was written, and holds another value now: somebody else writes there too, or Infisical changed it. Look at its versions in Infisical, then retry.`,
      });
    },

    // Whoever reads there gets what is held, and the push has read it back.
    settled: () => Promise.resolve('yes'),

    async readBack(call, target, authority, known, receipt) {
      const { place, name } = where(deps, target, authority);
      const held = await secrets.get(call, place, name);
      const holds = holdsOf(held?.value ?? null, known);
      if (held === null)
        return {
          holds,
          empty: true,
          effect: 'unknown',
          version: null,
          detail: `there is no ${name} in ${place.path} (${place.environment})`,
        };
      // A replica that is behind has not heard of the write yet.
      const behind = receipt !== null && held.version < versionOf(receipt);
      return {
        holds,
        effect: behind ? 'not_yet' : 'running',
        version: String(held.version),
        detail: `version ${held.version} of ${name} in ${place.path} (${place.environment}) is what is read there${behind ? `; ours is ${receipt.version}` : ''}`,
      };
    },

    // Infisical shows an identity no permissions of its own, so only a write would tell.
    mayWrite: () => Promise.resolve('unknown'),
  };
}

/** For an installation that has no Infisical: the row says what to set. */
export function noInfisical(lateMs: number): Destination {
  const { readBack, creates } = destinations.INFISICAL_WRITE;
  const refuse = (): Promise<never> =>
    Promise.reject(
      new VelvetError('authority_invalid', 'infisical: this process has no machine identity', {
        detail:
          'Infisical is not set up here: set INFISICAL_CLIENT_ID, INFISICAL_CLIENT_SECRET and INFISICAL_PROJECT_ID for stage, distribute and healthcheck, then retry.',
      }),
    );
  return {
    method: 'INFISICAL_WRITE',
    capabilities: { readBack, creates, lateMs },
    push: refuse,
    settled: refuse,
    readBack: refuse,
    mayWrite: refuse,
  };
}

/** The folder and environment alone are taken from the address; the host is always the configured one. */
function where(deps: InfisicalWriteDeps, target: Target, authority: Secret): { place: Place; name: string } {
  const folder = URL.canParse(target.update_endpoint) ? infisicalFolderOf(target.update_endpoint) : null;
  if (folder === null)
    throw new VelvetError('vendor_rejected', `infisical: update_endpoint is not …${infisicalForm}`);
  if (!/^[\w.-]{1,200}$/.test(target.update_key))
    throw new VelvetError('vendor_rejected', 'infisical: update_key is not the name of a secret');
  const projectId = folder.projectId ?? deps.projectId;
  if (projectId === deps.projectId && isWithin(folder.path, deps.ownFolder))
    throw new VelvetError('vendor_rejected', `infisical: ${folder.path} is Velvet's own folder`, {
      detail: `The row targets ${folder.path}, Velvet's own folder, which no application may read. Name the folder that the application reads.`,
    });
  return {
    place: {
      identity: identityOf(deps, authority),
      projectId,
      environment: folder.environment ?? deps.environment,
      path: folder.path,
    },
    name: target.update_key,
  };
}

// A client id is a UUID and a client secret has no colon (64 hexadecimal digits), so the two cannot be taken for each other.
function identityOf({ clientId }: InfisicalWriteDeps, authority: Secret): Identity {
  const [, id, secret] = /^([0-9a-f-]{36}):(.+)$/s.exec(authority.reveal()) ?? [];
  return id === undefined || secret === undefined
    ? { clientId, clientSecret: authority }
    : { clientId: id, clientSecret: new Secret(secret) };
}

function receiptOf({ version }: Held): PushReceipt {
  return { version: String(version) };
}

function versionOf(receipt: PushReceipt): number {
  const version = Number(receipt.version);
  if (!Number.isSafeInteger(version))
    throw new VelvetError('invariant_broken', 'infisical: a receipt that is not a version');
  return version;
}

/** The write was answered with success and only the look failed; as that error alone it would read "nothing happened". */
function afterTheWrite(error: unknown): VelvetError {
  if (!isVelvetError(error))
    return new VelvetError('vendor_no_answer', 'infisical: the look after a write failed');
  return new VelvetError('vendor_no_answer', `written, but it could not be read back: ${error.message}`, {
    detail: `The secret was written, but it could not be read back. ${error.detail}`,
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.kind === undefined ? {} : { kind: error.kind }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
