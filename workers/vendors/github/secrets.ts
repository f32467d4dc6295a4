// One GitHub Actions secret as a destination. Law: the key is fetched in the same attempt, and what GitHub does not show is never claimed.
import { z } from 'zod';
import { VelvetError, isVelvetError } from '../../../shared/lib/errors.ts';
import type { Secret } from '../../../shared/lib/secret.ts';
import { githubPlaceOf } from '../../../shared/manifest/addresses.ts';
import type { GithubPlace } from '../../../shared/manifest/addresses.ts';
import type { Target } from '../../../shared/manifest/schema.ts';
import { destinations } from '../../../shared/manifest/vendors.ts';
import type { Destination, Evidence, PushReceipt, VendorCall } from '../contract.ts';
import type { VendorResponse } from '../http.ts';
import { githubApi, githubNow, parseAnswer } from './api.ts';
import type { GithubApi, GithubDeps } from './api.ts';
import { publicKeyBytes, sealed } from '../../../shared/lib/sealed-box.ts';
import { readAudience } from './audience.ts';
import { inSession } from './session.ts';
import type { Session } from './session.ts';

interface Place {
  readonly place: GithubPlace;
  readonly name: string;
}

const keyShape = z.looseObject({ key_id: z.string().min(1).max(128), key: z.string() });
const secretShape = z.looseObject({ updated_at: z.iso.datetime({ offset: true }) });

/** The authority is an App's key; its installation needs secrets, environments or organization_secrets: write. */
export function githubSecrets(deps: GithubDeps): Destination {
  const api = githubApi(deps);
  const { readBack, creates } = destinations.GITHUB_SECRET_PUT;
  return {
    method: 'GITHUB_SECRET_PUT',
    capabilities: { readBack, creates, lateMs: deps.lateMs },

    push(call, target, authority, secret) {
      const { place, name } = placeOf(target);
      return inSession(api, call, { place, authority, may: 'write' }, (session) =>
        put(api, call, { session, place, name, secret }),
      );
    },

    async settled(call, target, authority, receipt) {
      const { place, name } = placeOf(target);
      const writtenMs = instantOf(receipt);
      const updatedMs = await inSession(api, call, { place, authority, may: 'read' }, (session) =>
        lastWritten(api, call, session, { place, name }),
      );
      return updatedMs !== null && updatedMs >= writtenMs - CLOCKS_MS ? 'yes' : 'not_yet';
    },

    async readBack(call, target, authority, _known, receipt) {
      const { place, name } = placeOf(target);
      const visit = { place, authority, may: 'read' } as const;
      try {
        const updatedMs = await inSession(api, call, visit, (session) =>
          lastWritten(api, call, session, { place, name }),
        );
        return seen(name, updatedMs, receipt);
      } catch (error) {
        // GitHub says "not found" for "no access" too, and a place that is only hidden may hold anything.
        if (!isVelvetError(error) || error.code !== 'vendor_target_missing') throw error;
        return { holds: 'unknown', effect: 'unknown', version: null, detail: error.message };
      }
    },

    // GitHub gives a token for writing out only where the App has the permission, and the token is given back unused.
    async mayWrite(call, target, authority) {
      const { place } = placeOf(target);
      try {
        return await inSession(api, call, { place, authority, may: 'write' }, async () => 'yes' as const);
      } catch (error) {
        if (!isVelvetError(error) || error.code !== 'vendor_forbidden') throw error;
        return 'no';
      }
    },
  };
}

interface Write extends Place {
  readonly session: Session;
  readonly secret: Secret;
}

async function put(api: GithubApi, call: VendorCall, write: Write): Promise<PushReceipt> {
  const { session, place, name, secret } = write;
  const { token, needs } = session;
  const folder = folderOf(session, place);
  const audience = place.scope === 'organisation' ? await readAudience(api, call, session, name) : {};
  const keyed = await api.ask(call, token, { method: 'GET', path: `${folder}/public-key`, needs });
  const { key_id, key } = parseAnswer(keyed, keyShape);
  const bytes = publicKeyBytes(key);
  if (bytes === null) throw keyed.notUnderstood('the public key is not 32 bytes in base64');
  const encrypted_value = await sealed(secret, bytes);
  const response = await api.ask(call, token, {
    method: 'PUT',
    path: `${folder}/${name}`,
    json: { encrypted_value, key_id, ...audience },
    needs,
  });
  return { version: isoOf(githubNow(api.deps, response)), note: noteOf(response, session, name) };
}

/** What a person must know who confirms the row: GitHub's own word on the write, and what it leaves open. */
function noteOf(response: VendorResponse, { movedTo }: Session, name: string): string {
  const moved =
    movedTo === null ? '' : ` The repository is called ${movedTo} now: mend the address in the manifest.`;
  if (response.status === 204)
    return `GitHub updated ${name}; it shows no value, and jobs that run keep the old one.${moved}`;
  if (response.status === 201)
    return `GitHub made ${name} anew: no secret had that name before. If its workflows read another name, mend update_key in the manifest and write it again.${moved}`;
  throw response.notUnderstood(`answered ${response.status}, which is neither made (201) nor updated (204)`);
}

/** `updated_at` and the answers' Date are of two clocks, and both in whole seconds. */
const CLOCKS_MS = 5_000;

/** When GitHub last took a value for it; null where there is no secret of that name. */
async function lastWritten(
  api: GithubApi,
  call: VendorCall,
  session: Session,
  { place, name }: Place,
): Promise<number | null> {
  const response = await api.ask(call, session.token, {
    method: 'GET',
    path: `${folderOf(session, place)}/${name}`,
    needs: session.needs,
    answers: [404],
  });
  // The token was given out for this very place, so this 404 is about the name.
  return response.status === 404 ? null : Date.parse(parseAnswer(response, secretShape).updated_at);
}

function seen(name: string, updatedMs: number | null, receipt: PushReceipt | null): Evidence {
  if (updatedMs === null)
    return {
      holds: 'other',
      empty: true,
      effect: 'unknown',
      version: null,
      detail: `there is no secret ${name}`,
    };
  const version = isoOf(updatedMs);
  const when = receipt === null ? '' : whenOf(updatedMs - instantOf(receipt));
  const detail = `GitHub shows no value; ${name} was last written at ${version}${when}`;
  return { holds: 'unknown', effect: 'unknown', version, detail };
}

function whenOf(afterOursMs: number): string {
  if (afterOursMs > CLOCKS_MS) return ', after this write: somebody wrote it since';
  return afterOursMs < -CLOCKS_MS ? ', before this write' : ', by this write';
}

function instantOf(receipt: PushReceipt): number {
  const at = Date.parse(receipt.version);
  if (Number.isNaN(at) || isoOf(at) !== receipt.version)
    throw new VelvetError('invariant_broken', 'github: a receipt that is not a time');
  return at;
}

/** In whole seconds, as GitHub has it. */
function isoOf(ms: number): string {
  return `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

function folderOf({ root }: Session, place: GithubPlace): string {
  return place.scope === 'environment'
    ? `${root}/environments/${encodeURIComponent(place.environment)}/secrets`
    : `${root}/actions/secrets`;
}

/** The place alone is taken from the address; the host is always the configured one. */
function placeOf(target: Target): Place {
  const place = URL.canParse(target.update_endpoint) ? githubPlaceOf(target.update_endpoint) : null;
  if (place === null)
    throw new VelvetError('vendor_rejected', 'github: update_endpoint is no place of Actions secrets');
  if (!/^(?!GITHUB_)[A-Z_]\w*$/i.test(target.update_key))
    throw new VelvetError('vendor_rejected', 'github: update_key is no name of a secret');
  return { place, name: target.update_key };
}
