// Where Velvet keeps values. Law: a slot is written only under a lease, and `create` never replaces anything.
import type { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';

export interface Vault {
  readonly kind: 'file' | 'infisical' | 'ssm';

  /** Throws `vault_unavailable`, saying what to do, where the folder does not exist or cannot be read and written. */
  check(): Promise<void>;

  /** The value in a slot, or null where there is none. A slot that cannot be decrypted throws `vault_unavailable`. */
  read(slot: string): Promise<Secret | null>;

  /** Puts a value into a slot, whole or not at all, replacing what was there. Durable once it returns. */
  write(call: VendorCall, slot: string, secret: Secret): Promise<void>;

  /** As `write`, but leaves an existing slot as it is and says so. */
  create(call: VendorCall, slot: string, secret: Secret): Promise<'created' | 'exists'>;

  /** Empties a slot. One that is empty already is success. */
  remove(call: VendorCall, slot: string): Promise<void>;

  /** Names of the filled slots that begin with `prefix`, sorted. */
  list(prefix: string): Promise<readonly string[]>;

  /** Where an operator finds the slot; never a value. */
  ref(slot: string): string;
}

/** The kinds of slot of one credential; no other file builds a slot's name. */
export const slots = {
  current: (credential: string) => credential,
  pending: (credential: string, fence: string) => `${credential}__PENDING_${fence}`,
  previous: (credential: string, jobId: string) => `${credential}__PREVIOUS_${jobId}`,
  handle: (credential: string) => `${credential}__AUTH_ID`,
  /** The head of the credential's audit trail; no value, and it outlives the credential. */
  auditAnchor: (credential: string) => `AUDIT_ANCHOR__${credential}`,
  pendingPrefix: (credential: string) => `${credential}__PENDING_`,
  previousPrefix: (credential: string) => `${credential}__PREVIOUS_`,
} as const;
