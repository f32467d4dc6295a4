// How one consumer stands in an emergency: how it answered before the revoke, and since.
import { z } from 'zod';

/** How a consumer answered after its token was revoked. All but the first and the last mean that it leaks. */
export const lockoutClasses = [
  'locked_out',
  'accepting',
  'forbidden',
  'erroring',
  'unreachable',
  'on_other_token',
] as const;
export type LockoutClass = (typeof lockoutClasses)[number];

export const lockoutSchema = z.object({
  /** Null: not asked since the revoke; a person said. */
  class: z.enum(lockoutClasses).nullable(),
  http_status: z.number().nullable(),
  /** Its 401 says less than it seems: it was not seen to answer well before the revoke. */
  weak: z.boolean(),
  /** It had no successful baseline, just before the revoke. */
  uncontrolled: z.boolean(),
  /** From the vendor's confirmation to the first 401, in ms; null before, and where a person said it. */
  time_to_lockout_ms: z.number().int().nonnegative().nullable(),
});
export type Lockout = z.infer<typeof lockoutSchema>;
