// The wire of the audit trail: cursors, rows and verdicts. As in schemas.ts, what validates also makes /openapi.json.
import { z } from '@hono/zod-openapi';

const cursor = z
  .string()
  .regex(/^(\w{1,40}\.)?\d{1,15}$/, "must be a row's `seq`")
  .transform((seq) => Number(seq.split('.').at(-1)));
const cursorOf = (name: 'before' | 'after', says: string) =>
  cursor.optional().openapi({ type: 'string', param: { name, in: 'query' }, description: says });
export const auditQuery = z
  .strictObject({
    limit: z.coerce
      .number()
      .int()
      .min(1)
      .max(200)
      .default(50)
      .openapi({ param: { name: 'limit', in: 'query' } }),
    before: cursorOf('before', "Rows older than this one, newest first: send a page's `next`."),
    after: cursorOf('after', "Rows newer than this one, oldest first: `0`, then each page's `next`."),
  })
  .refine(({ before, after }) => before === undefined || after === undefined, {
    path: ['after'],
    error: 'must not be sent together with `before`',
  });
export const verifyQuery = z.strictObject({
  credential: z
    .string()
    .min(1)
    .max(120)
    .optional()
    .openapi({ param: { name: 'credential', in: 'query' }, description: 'This one alone.' }),
});

const nullableText = z.string().nullable();
const auditRow = z
  .looseObject({
    seq: z
      .string()
      .openapi({ description: '`<epoch>.<number>`, as the stream has it; the cursor of a page.' }),
    at: z.string(),
    env: z.string(),
    job_id: nullableText,
    credential: z.string(),
    operator_id: z.string(),
    from_state: nullableText,
    to_state: nullableText,
    event: z.string(),
    consumer_id: z.string().optional(),
    detail: z.looseObject({}),
  })
  .openapi('AuditRow');
export const auditPageAnswer = z.object({
  env: z.string(),
  credential: z.string(),
  rows: z.array(auditRow),
  next: nullableText.openapi({ description: 'The cursor of the next page; null where this was the last.' }),
});

const verdictFields = {
  sealed_to: z.int().openapi({ description: 'The number of the last event that a seal covers.' }),
  unsealed: z.int().openapi({ description: 'Events that no seal covers yet: those of the last second.' }),
  anchored_to: z
    .int()
    .openapi({ description: 'The number of the last event that the vault knows to be sealed.' }),
  verdict: z.enum(['intact', 'altered', 'shorter_than_anchor']),
};
const auditTrail = z
  .object({
    credential: z.string(),
    env: z.string(),
    ...verdictFields,
    losses: z
      .array(z.object({ at: z.string(), epoch: z.string(), from_seq: z.int(), to_seq: z.int() }))
      .openapi({ description: 'Events that Redis lost, each loss noted and signed.' }),
    finding: nullableText.openapi({ description: 'What was found, in words.' }),
  })
  .openapi('AuditTrail');
export const auditVerdictAnswer = z
  .object({ env: z.string(), ...verdictFields, credentials: z.array(auditTrail) })
  .openapi('AuditVerdict', {
    description: "Over all credentials: the numbers' sums, and the worst verdict.",
  });
