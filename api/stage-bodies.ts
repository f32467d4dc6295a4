// The wire: the body of each operator's action on a job, one strict shape for each.
import { z } from '@hono/zod-openapi';
import { faultOfValue } from '../shared/lib/typed-value.ts';
import { residualKindNames } from '../shared/rotation/residuals.ts';
import { preempt, ticket, words } from './schemas.ts';

const version = z.int().positive().optional().openapi({
  description: "The job's version that you decided on; refused with version_moved where it has moved.",
});
const consumerId = words(120);

/** One shape per action of the table. */
const shapes = [
  z.strictObject({ action: z.literal('verify'), version }),
  z.strictObject({
    action: z.literal('proceed_mint'),
    version,
    confirm: z.string().optional(),
    acknowledge_dead: z.boolean().optional().openapi({
      description: 'From verify_failed with a dead current token: that there is nothing to go back to.',
    }),
  }),
  z.strictObject({
    action: z.literal('submit_value'),
    version,
    value: z
      .string()
      .superRefine((text, issues) => {
        const fault = faultOfValue(text);
        if (fault !== null) issues.addIssue({ code: 'custom', message: fault });
      })
      .openapi({
        description:
          'The new token, made by hand at the vendor. It is sealed at once for the stage worker, and can be read here by nobody.',
        format: 'password',
      }),
  }),
  z.strictObject({
    action: z.literal('proceed_revoke'),
    version,
    ticket_id: ticket(0).optional(),
    confirm: z.string().optional().openapi({
      description: "The credential's name. An emergency does not start without it.",
    }),
    preempt,
    acknowledge_stale: z.array(consumerId).optional().openapi({
      description: 'With force_revoke: exactly the consumers that are unproven, and may lose access.',
    }),
  }),
  z.strictObject({
    action: z.literal('retry'),
    version,
    consumer_ids: z.array(consumerId).min(1).optional(),
  }),
  z.strictObject({
    action: z.literal('confirm_consumer'),
    version,
    consumer_id: consumerId,
    note: words(2000),
    acknowledge_disproof: z.boolean().optional(),
  }),
  z.strictObject({
    action: z.literal('skip_consumer'),
    version,
    consumer_id: consumerId,
    reason: words(2000),
  }),
  z.strictObject({ action: z.literal('mark_revoked'), version, ticket_id: ticket(1).optional() }),
  z.strictObject({
    action: z.literal('abort'),
    version,
    ticket_id: ticket(1).optional(),
    restore: z.boolean().optional().openapi({
      description: 'Put the previous value back to every consumer that holds, or may hold, the new one.',
    }),
  }),
  z.strictObject({ action: z.literal('restore'), version, ticket_id: ticket(1).optional() }),
  z.strictObject({
    action: z.literal('resolve_residual'),
    version,
    kind: z.enum(residualKindNames),
    who: words(200),
    note: words(2000).optional(),
    ticket_id: ticket(1).optional(),
  }),
  z.strictObject({
    action: z.literal('resolve_leak'),
    version,
    notes: z
      .array(z.strictObject({ consumer_id: consumerId, note: words(2000) }))
      .min(1)
      .openapi({
        description:
          'For each leaking consumer how it was seen, or made sure, that it uses the dead token no more.',
      }),
  }),
] as const;
export const stageBody = z
  .discriminatedUnion('action', shapes)
  .openapi('StageAction', { example: { action: 'verify' } });
export type StageBody = z.infer<typeof stageBody>;
