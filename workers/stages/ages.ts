// How old a credential's value is: what a schedule counts from. Law: the vault says whether it is still the same value, so that no record that Redis lost makes a rotation due twice.
import { slots } from '../vault/contract.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { Schedule, ScheduleStore } from '../../shared/redis/schedule-store.ts';
import type { CoreDeps, ValueDeps } from './deps.ts';

/** Of a value that came a while ago, the rotation that brought it is among these, or its age is not known. */
const RECENT = 20;

/**
 * Looks at the current value, and takes note of one that was not seen before: a rotation's since that was done, any other (an
 * adoption, or one whose record is lost) since now. Answers with the schedule as it is then; null where there is no value.
 */
export async function agedSchedule(
  deps: Pick<CoreDeps, 'store' | 'clock'> &
    Pick<ValueDeps, 'vault' | 'fingerprintKey'> & { readonly schedules: ScheduleStore },
  ref: Pick<JobRef, 'credential' | 'env'>,
): Promise<(Schedule & { readonly since: number }) | null> {
  const value = await deps.vault.read(slots.current(ref.credential));
  if (value === null) return null;
  const fingerprint = value.fingerprint(deps.fingerprintKey);
  const known = await deps.schedules.load(ref);
  if (known.fingerprint === fingerprint && known.since !== null) return { ...known, since: known.since };
  const recent = await deps.store.list(ref.credential, ref.env, RECENT);
  const brought = recent.find((job) => job.promoted && job.newFingerprint === fingerprint);
  const since = brought?.statusSince ?? deps.clock.now();
  await deps.schedules.note(ref, { fingerprint, since });
  return { ...known, fingerprint, since };
}
