// The vault in a private folder of Infisical: one secret per slot. Law: no folder is never "no value", and what a look can settle is not left open.
import { isVelvetError, VelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { InfisicalSecrets, Place } from '../vendors/infisical/secrets.ts';
import type { Vault } from './contract.ts';
import { fromStored, toStored } from './infisical-text.ts';
import { assertMayChange, checkedName, isSlotName } from './slot-guards.ts';

export interface InfisicalVaultOptions {
  readonly secrets: InfisicalSecrets;
  /** Velvet's own identity and folder. */
  readonly place: Place;
  /** For the command that operators are told. */
  readonly siteUrl: string;
}

const readCall: VendorCall = {
  jobId: 'vault',
  fence: '0-none',
  lease: null,
  signal: new AbortController().signal,
  repeat: false,
};

/** Its `check` sees whether the folder is there and can be listed; whether it can be written the first write tells, for a trial would leave a version behind each minute. */
export function infisicalVault(options: InfisicalVaultOptions): Vault {
  const { place, secrets } = options;
  return {
    kind: 'infisical',
    check: once(() =>
      explained(place, 'the folder', async () => {
        await secrets.demandFolder(readCall, place);
        await secrets.names(readCall, place);
      }),
    ),
    ...reads(options),
    ...changes(options),
    ref: (slot) => refOf(options, checkedName(slot)),
  };
}

function reads({ place, secrets }: InfisicalVaultOptions): Pick<Vault, 'read' | 'list'> {
  return {
    async read(slot) {
      const name = checkedName(slot);
      return explained(place, `slot ${name}`, async () => {
        const value = (await secrets.get(readCall, place, name))?.value ?? null;
        return value === null ? null : fromStored(value, name);
      });
    },

    list: (prefix) =>
      explained(place, 'the folder', async () => {
        const names = await secrets.names(readCall, place);
        return names.filter((name) => isSlotName(name) && name.startsWith(prefix)).toSorted();
      }),
  };
}

function changes({ place, secrets }: InfisicalVaultOptions): Pick<Vault, 'write' | 'create' | 'remove'> {
  /** Whether the slot holds this, as it is stored; null asks whether it is empty. */
  const holds = async (call: VendorCall, name: string, stored: Secret | null): Promise<boolean> => {
    const held = await secrets.get({ ...readCall, signal: call.signal }, place, name);
    return stored === null ? held === null : held?.value?.equals(stored) === true;
  };

  async function changing<T>(
    call: VendorCall,
    slot: string,
    change: (name: string) => Promise<T>,
  ): Promise<T> {
    const name = checkedName(slot);
    assertMayChange(call, slot);
    return explained(place, `slot ${name}`, () => change(name));
  }

  return {
    write: (call, slot, secret) =>
      changing(call, slot, (name) => {
        const value = toStored(secret);
        return orSeen(
          () => secrets.put(call, place, { name, value }),
          () => holds(call, name, value),
          undefined,
        );
      }),

    create: (call, slot, secret) =>
      changing(call, slot, (name) => {
        const value = toStored(secret);
        return orSeen(
          () => secrets.create(call, place, { name, value }),
          () => holds(call, name, value),
          'created',
        );
      }),

    remove: (call, slot) =>
      changing(call, slot, (name) =>
        orSeen(
          async () => void (await secrets.remove(call, place, name)),
          () => holds(call, name, null),
          undefined,
        ),
      ),
  };
}

/** What `change` answers, or `done` where its answer was lost and a look shows that it happened. */
async function orSeen<T>(change: () => Promise<T>, happened: () => Promise<boolean>, done: T): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (!isVelvetError(error) || error.code !== 'vendor_no_answer') throw error;
    if (await happened().catch(() => false)) return done;
    throw error;
  }
}

/** Where an operator finds the slot, and the command of Infisical's own CLI that shows it. */
function refOf({ place, siteUrl }: InfisicalVaultOptions, slot: string): string {
  const { environment, path, projectId } = place;
  const domain = siteUrl === 'https://app.infisical.com' ? '' : ` --domain ${siteUrl}/api`;
  // `--expand=false`: a reference in a value is part of the value.
  const command = `infisical secrets get ${slot} --path ${path} --env ${environment} --projectId ${projectId}${domain} --expand=false --plain`;
  return `infisical:${path}/${environment}/${slot} (${command})`;
}

/** Callers at the same time share one look: each credential asks for it each minute. */
function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => {
    running ??= work().finally(() => {
      running = null;
    });
    return running;
  };
}

/** What kept the vault from answering, as `vault_unavailable`; a change of which nobody knows whether it was made stays what it is. */
async function explained<T>(place: Place, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isVelvetError(error) || asItIs.has(error.code)) throw error;
    throw new VelvetError('vault_unavailable', `infisical vault, ${what}: ${error.message}`, {
      detail: `Infisical vault, ${what}: ${todoFor(error, place)}`,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
      ...(error.kind === undefined ? {} : { kind: error.kind }),
    });
  }
}

const asItIs = new Set([
  'vendor_no_answer',
  'lease_over',
  'invariant_broken',
  'internal',
  'vault_unavailable',
]);

function todoFor(error: VelvetError, { environment, path, projectId }: Place): string {
  if (error.code === 'authority_invalid' && error.extra['todo'] === undefined)
    return `${error.message}. Look at Velvet's machine identity in Infisical (INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET): is it there, and may it use this project?`;
  const folder = `${path} in the environment ${environment} of project ${projectId}`;
  if (error.code === 'vendor_target_missing')
    return `there is no folder ${folder}, or this machine identity may not know of it. Make it, let only Velvet's identity and named operators read it, and mend VELVET_VAULT_FOLDER, INFISICAL_PROJECT_ID or APP_ENV if they name another.`;
  if (error.code === 'vendor_forbidden')
    return `Velvet's machine identity may not do this. Let it read (values too), create, edit and delete secrets, and read folders, in ${folder}.`;
  return error.detail;
}
