// How a job is written in Redis: a flat hash of strings. Law: everything that is read back passes through this schema, and everything written through this encoding.
import { z } from 'zod';
import { effects, type Effect } from './effects.ts';
import { handVerifySchema } from './new-token.ts';
import { residualSchema } from './residuals.ts';
import { phases } from './rows.ts';
import { statusNames, type Status } from './statuses.ts';

/**
 * Within `revoking`: prove once more → promote → revoke; within `rev_revoking`: baseline → revoke. `check` asks whether a
 * revocation by hand is true.
 */
export const steps = ['prove', 'promote', 'baseline', 'revoke', 'check'] as const;
export type Step = (typeof steps)[number];

const effectNames = Object.keys(effects) as [Effect, ...Effect[]];
const instant = z.coerce.number().int().nonnegative();
const nullable = (value: string) => (value === '' ? null : value);
const text = z.string().transform(nullable).default(null);
const flag = z
  .enum(['0', '1'])
  .transform((value) => value === '1')
  .default(false);
const json = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' && value !== '' ? JSON.parse(value) : null), schema);

export const targets = ['old', 'new', 'all'] as const;
export type Target = (typeof targets)[number];

/** A token that an emergency ends, or has ended: its handle, whose it is, and what the vendor said of it last. */
const tokenSchema = z.object({
  auth_id: z.string(),
  is: z.enum(['current', 'old', 'new', 'leftover']),
  state: z.enum(['may_live', 'dead']),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
});
export type EndedToken = z.infer<typeof tokenSchema>;

const errorSchema = z.object({ code: z.string(), detail: z.string(), at: z.number() });
export type JobError = z.infer<typeof errorSchema>;

/** The record as Redis holds it: a flat hash of strings. Fields that an older version did not write have defaults. */
export const recordSchema = z.object({
  job_id: z.string(),
  credential: z.string(),
  env: z.string(),
  flow_type: z.enum(['operational', 'revocation', 'testing']),
  status: z.enum(statusNames as [Status, ...Status[]]),
  status_since: instant,
  /** Raised by each status change and each operator's action. */
  version: instant,
  /** The version at which the present status was entered; tasks carry it. */
  status_version: instant,
  kick: instant.default(0),
  /** The effect that the present status waits for; what the sweeper repeats. */
  resume: text.pipe(z.enum(effectNames).nullable()),
  created_at: instant,
  updated_at: instant,
  created_by: z.string(),
  force_revoke: flag,
  /** Of a scheduled rotation: how far it goes without a person. */
  auto_until: text.pipe(z.enum(['verified', 'validated']).nullable()),
  ticket_id: text,
  ticket: text.pipe(z.enum(['verified', 'unverified']).nullable()),
  /** The person behind the last `proceed_mint`, for the two-person gate. Empty where nobody did, or Redis lost who. */
  minted_by: text,
  /** A mint may have been begun that the record does not know of. */
  mint_begun: flag,
  moved_by: text,
  moved_by_slack: text,
  step: text.pipe(z.enum(steps).nullable()),
  phase: text.pipe(z.enum(phases).nullable()),
  awaiting: text.pipe(z.enum(['operator_value']).nullable()),
  /** Why a value is awaited: `value_needed`, or the code of what was wrong with the last one. */
  awaiting_reason: text,
  /** Under which name the last value that was typed waits, sealed, to be taken. */
  value_id: text,
  /** `waiting`: it begins once the job that holds the credential is over. */
  cleanup: text.pipe(z.enum(['waiting', 'pending', 'done', 'needs_person']).nullable()),
  /** Which status an abort came from. */
  aborted_from: text.pipe(z.enum(statusNames as [Status, ...Status[]]).nullable()),
  /** Since when the present round of the cleanup runs. */
  cleanup_since: instant.default(0),
  /** The present round of the cleanup puts the previous value back. */
  restoring: flag,
  /** A restore was begun: from then on the new value is the one to leave, and the old token must live. */
  went_back: flag,
  /** The revoke under way was forced: unproven consumers were named by an operator. */
  forced: flag,
  current_state: text.pipe(z.enum(['alive', 'dead', 'absent']).nullable()),
  may_mint: flag,
  issuer: z.string(),
  /** Empty where the manifest names none. */
  authority: text,
  issuer_verify: json(handVerifySchema.nullable()).default(null),
  /** What the manifest tells whoever makes the new token by hand. */
  instructions: text,
  two_person: flag,
  old_auth_id: text,
  old_fingerprint: text,
  new_auth_id: text,
  new_fingerprint: text,
  /** The fence of the attempt whose value was accepted, or that took a typed one: names the pending slot. */
  minted_fence: text,
  vault_ref: text,
  promoting: flag,
  promoted: flag,
  /** The current value is neither the old nor the new one of this job: another rotation, or an adoption, ended in between. */
  superseded: flag,
  /** Of an emergency: whose tokens end, where they can be told apart. */
  target: text.pipe(z.enum(targets).nullable()),
  /** Of an emergency: asked for with ticket and name, so that it starts by itself. */
  at_once: flag,
  /** Of an emergency: it may take the credential from a rotation that is open. */
  preempt: flag,
  /** Of an emergency: the job whose credential it took, and what that was doing then. */
  takes_over: text,
  took_from: text.pipe(z.enum(statusNames as [Status, ...Status[]]).nullable()),
  /** Of an emergency: what is to end, and what has. */
  tokens: json(z.array(tokenSchema).nullable()).default(null),
  /** When the vendor had confirmed all of it (wall clock, ms); 0 before. */
  revoked_at: instant.default(0),
  /** How long every consumer has to be locked out, and when that is over. */
  settle_ms: instant.default(0),
  settle_until: instant.default(0),
  /** Of a rotation: the emergency whose dead token it replaces. */
  replaces: text,
  error: json(errorSchema.nullable()).default(null),
  residuals: json(z.array(residualSchema).nullable()).default(null),
  /** A step's lease that has not been reported back: its fence and wall-clock end. */
  lease_fence: text,
  lease_until: instant.default(0),
  /** Nothing that another attempt may have begun can be applied after this. */
  quiet_after: instant.default(0),
  idem: text,
  /** Consumers that were `active: false` when the job was created: left out, and named at the revoke gate. */
  inactive: json(z.array(z.string()).nullable()).default(null),
  /** The last calls and what they were answered, newest last, so that a repeated call answers as it did the first time. */
  commits: z.string().default(''),
  t_total: instant.default(0),
  t_pending: instant.default(0),
  t_open: instant.default(0),
  t_manual: instant.default(0),
  t_failed: instant.default(0),
  t_ok: instant.default(0),
  t_proven: instant.default(0),
});

export type JobRecord = z.infer<typeof recordSchema>;

/** What a transition may write into the record, beside the status itself. `null` clears a field. */
export type JobPatch = Partial<{
  -readonly [
    K in Exclude<
      keyof JobRecord,
      'job_id' | 'credential' | 'env' | 'status' | 'version' | 'commits' | `t_${string}`
    >
  ]: string | number | boolean | null | readonly unknown[] | Readonly<Record<string, unknown>>;
}>;

/** The one encoding of a patch: flags as 0 and 1, lists and objects as JSON, null as the empty string. */
export function encodePatch(patch: JobPatch): Record<string, string> {
  return Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, encode(value)]));
}

function encode(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'boolean') return value ? '1' : '0';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
