// velvet adopt: the first value of a credential, or an authority, straight from the operator's shell into the vault. Law: never while a job is open.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../shared/lib/clock.ts';
import { requireParts, type CliEnv, type CliEnvWith } from '../../shared/lib/env.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { manualProcedure } from '../../shared/manifest/by-hand.ts';
import { credentialOf, loadManifest, rowsOf } from '../../shared/manifest/load.ts';
import type { ActiveCredential, Credential, Manifest } from '../../shared/manifest/schema.ts';
import { bootstrapNames, issuers } from '../../shared/manifest/vendors.ts';
import { createClaims, type Claims } from '../../shared/redis/claim.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { claimedBy } from '../../shared/redis/refusals.ts';
import { times } from '../../shared/times.ts';
import { createAuthorities } from '../../workers/vault/authorities.ts';
import { slots, type Vault } from '../../workers/vault/contract.ts';
import { writeHandle } from '../../workers/vault/handles.ts';
import { openVault } from '../../workers/vault/open.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';
import { createDoor, type Door } from '../../workers/vendors/http.ts';
import { infisicalSecrets, type InfisicalSecrets } from '../../workers/vendors/infisical/secrets.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import { cliEvent } from './operator.ts';
import { withRedis } from './redis.ts';
import { note, refuse } from './say.ts';
import { readValue } from './value.ts';

type WholeEnv = CliEnvWith<'appEnv' | 'redis' | 'vault'>;

export async function adopt(env: CliEnv, name: string, options: { readonly force: boolean }): Promise<void> {
  const whole = requireParts(env, 'appEnv', 'redis', 'vault');
  const manifest = loadManifest(env.manifestPath, {
    allowLoopback: env.allowLoopback,
    velvetApp: env.velvetApp,
    infisicalPlace: env.infisicalPlace,
  });
  const credential = adoptable(manifest, name, env.manifestPath);
  if (credential !== null) noteOtherEnv(manifest, name, whole.appEnv);

  await withRedis(whole, async (redis) => {
    const claims = createClaims(redis, systemClock, times.leaseMs);
    const before = await createJobStore(redis, times.idempotencyKeepMs).claimant({
      credential: name,
      env: whole.appEnv,
    });
    const unfinished = before?.startsWith('adopt.') === true;
    // Before anybody types a value; the claim itself is asked again by the script that takes it.
    if (before !== null && !unfinished) throw claimedBy(before);
    const outside = reachOutside(whole);
    const vault = openVault(whole.vault, whole.appEnv, { secrets: outside.secrets, clock: systemClock });
    await vault.initialise();
    const value = await readValue(name, 'adopt');
    const found =
      credential === null
        ? null
        : await askIssuer({ ...outside, env: whole, vault }, { credential, value, ...options });
    await putIn({ claims, vault, env: whole.appEnv }, { name, value, found, unfinished });
    process.stdout.write(`adopted ${name}: ${vault.ref(slots.current(name))}\n`);
    if (found !== null) note(revokeWords(found));
  });
}

/** The credential, or null for an authority. Throws, saying what to do instead, for every other name. */
function adoptable(manifest: Manifest, name: string, path: string): Credential | null {
  if (bootstrapNames.has(name)) {
    refuse(
      `${name} is one of Velvet's own bootstrap credentials: it lives in the environment of stage and distribute, never in the vault. Set it there and restart them.\n\n${manualProcedure(manifest, name)}`,
    );
  }
  const credential = credentialOf(manifest, name);
  if (credential !== null || authorityNames(manifest).has(name)) return credential;
  const known = [...manifest.credentials.map((one) => one.token_name), ...authorityNames(manifest)];
  return refuse(
    `${name} is neither a credential nor an authority of ${path}. Check the name (known: ${known.join(', ') || 'none'}), or register it there first.`,
  );
}

function authorityNames(manifest: Manifest): ReadonlySet<string> {
  const names = [
    ...manifest.credentials.map((one) => one.issuer_auth_token_name),
    ...manifest.subscribers.map((row) =>
      'update_auth_token_name' in row ? row.update_auth_token_name : undefined,
    ),
  ];
  return new Set(names.filter((name) => name !== undefined && !bootstrapNames.has(name)) as string[]);
}

function noteOtherEnv(manifest: Manifest, name: string, env: string): void {
  const envs = [...new Set(rowsOf(manifest, name).map((row) => row.env))];
  if (envs.length === 0 || envs.some((one) => one === env)) return;
  note(
    `Mind: ${name} is registered for ${envs.join(' and ')}, and this is ${env}: no rotation there will use this copy.`,
  );
}

// --- What the issuer says of the value ---------------------------------------------------------------------------------

interface Found {
  /** Null where the issuer cannot name the token, or was not asked. */
  readonly handle: string | null;
  readonly revokeByHand: string | null;
  /** Whether the issuer accepted the value; false where --force put it in regardless. */
  readonly checked: boolean;
}

interface Question {
  readonly credential: Credential;
  readonly value: Secret;
  readonly force: boolean;
}

interface Outside {
  readonly door: Door;
  readonly secrets: InfisicalSecrets;
}

function reachOutside(env: WholeEnv): Outside {
  const door = createDoor({ fetch: globalThis.fetch, clock: systemClock, times });
  const siteUrl = env.infisical?.siteUrl ?? '';
  return { door, secrets: infisicalSecrets({ door, clock: systemClock, siteUrl, times }) };
}

async function askIssuer(
  { door, env, vault }: Outside & { readonly env: WholeEnv; readonly vault: Vault },
  { credential, value, force }: Question,
): Promise<Found> {
  const { token_name: name } = credential;
  if (!isCarriedOut(credential)) {
    note(`This release has no code for the issuer ${credential.issuer}, so the value is taken as it is.`);
    return { handle: null, revokeByHand: null, checked: false };
  }
  const { revokeByHand } = issuers[credential.issuer];
  const authorityName = credential.issuer_auth_token_name ?? null;
  const verify = 'verify' in credential ? credential.verify : null;
  const registry = createRegistry({
    door,
    clock: systemClock,
    times,
    herokuApiUrl: env.heroku.apiUrl,
    githubApiUrl: env.github.apiUrl,
  });
  const authorities = createAuthorities(vault, { HK_VELVET_BOOTSTRAP: env.heroku.bootstrap });
  const call: VendorCall = {
    jobId: 'adopt',
    fence: '0-adopt',
    lease: null,
    signal: new AbortController().signal,
    repeat: false,
  };
  const reading = authorityName === null ? Promise.resolve(null) : authorities.read(authorityName);
  const result = await reading
    .then((authority) => registry.issuer(credential.issuer, verify).verify(call, value, authority))
    .catch((error: unknown) => {
      if (!isVelvetError(error)) throw error;
      const asWhom = authorityName === null ? '' : ` with the authority ${authorityName}`;
      const why = `${name} could not be checked at its issuer${asWhom}: ${error.detail}`;
      if (!force)
        refuse(
          `${why} Nothing was changed; mend that, or take the value unchecked with --force. (${error.code})`,
        );
      note(`${why} Taken unchecked, because of --force.`);
      return null;
    });
  if (result === null) return { handle: null, revokeByHand, checked: false };
  if (!result.mayMint)
    note(
      `Mind: the authority ${authorityName} may not mint (${result.mayMintReason ?? 'no reason given'}); verify will fail until it may.`,
    );
  const dead = result.current === 'dead';
  if (dead && !force) {
    refuse(
      `The issuer refuses this value of ${name}: it is dead, or mistyped. Nothing was changed; give the one that the consumers run on. If none works any more, --force takes it, and a rotation with \`acknowledge_dead\` replaces it. (current_token_invalid)`,
    );
  }
  if (dead) note(`The issuer refuses this value of ${name}. Taken all the same, because of --force.`);
  return { handle: result.handle?.id ?? null, revokeByHand, checked: !dead };
}

function isCarriedOut(credential: Credential): credential is ActiveCredential {
  return Object.hasOwn(issuers, credential.issuer);
}

function revokeWords({ handle, revokeByHand, checked }: Found): string {
  if (handle !== null) return `Its handle is ${handle}: Velvet can revoke it.`;
  const how = revokeByHand ?? 'at the vendor';
  return `${checked ? 'The issuer cannot name this token' : 'Its handle is not known'}: revoke will be by hand (${how}).`;
}

// --- The write ---------------------------------------------------------------------------------------------------------

interface Places {
  readonly claims: Claims;
  readonly vault: Vault;
  readonly env: string;
}

interface Adoption {
  readonly name: string;
  readonly value: Secret;
  /** Null for an authority, which has no handle of its own. */
  readonly found: Found | null;
  /** Whether an earlier adoption holds the claim: it died, or still writes. */
  readonly unfinished: boolean;
}

/** Value and handle go in under the claim; where that breaks off, the claim stays, and no job begins on half an adoption. */
async function putIn(
  { claims, vault, env }: Places,
  { name, value, found, unfinished }: Adoption,
): Promise<void> {
  const id = `adopt.${randomUUID()}`;
  const fence = await claims.beginAdoption(name, env, id);
  try {
    if (unfinished) await outlast(times.leaseMs);
    const askedAt = systemClock.monotonic();
    const lease = leaseFrom(systemClock, fence, systemClock.now() + times.leaseMs, askedAt, times.leaseMs);
    const call: VendorCall = { jobId: id, fence, lease, signal: new AbortController().signal, repeat: false };
    await vault.write(call, slots.current(name), value);
    if (found !== null) await writeHandle(vault, call, name, found.handle);
    const detail = {
      vault_ref: vault.ref(slots.current(name)),
      auth_id: found?.handle ?? null,
      checked: found?.checked ?? false,
    };
    const event = cliEvent({ credential: name, env, event: 'adopted', detail });
    await claims.endAdoption({ credential: name, env }, id, detail.auth_id, [event]);
  } catch (error) {
    note(
      `${name} stays held, and no rotation of it begins, until \`npx velvet adopt ${name}\` has come to its end.`,
    );
    throw error;
  }
}

/** An adoption that was broken off may still be running somewhere; it writes nothing after its lease. */
async function outlast(ms: number): Promise<void> {
  note(`An adoption was begun and not finished: waiting ${ms / 1000} s, until it can write nothing more.`);
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
