// The wire: what requests must look like (an operator's actions: stage-bodies.ts) and what answers look like. The same schemas validate and make /openapi.json.
import { z } from '@hono/zod-openapi';
import { targets } from '../shared/rotation/job-record.ts';
import { statusNames } from '../shared/rotation/statuses.ts';
import { systemOperator } from '../shared/redis/events.ts';
import { scopes } from '../shared/redis/system-store.ts';

export const words = (max: number) => z.string().trim().min(1).max(max);
/** Any text that an operator's ticket system uses; on one line, since it stands in logs and messages. */
export const ticket = (min: number) =>
  z
    .string()
    .trim()
    .min(min)
    .max(200)
    .regex(/^\P{Cc}*$/u, 'must be one line of text');

export const nameParam = z.object({
  name: z.string().openapi({ param: { name: 'name', in: 'path' }, example: 'HK_PLATFORM_FULL' }),
});
export const jobParam = nameParam.extend({
  job_id: z.string().openapi({ param: { name: 'job_id', in: 'path' } }),
});
export const limitQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(5)
    .openapi({ param: { name: 'limit', in: 'query' } }),
});

const flowType = z.enum(['operational', 'revocation', 'testing'], {
  error:
    "must be 'operational', 'revocation' (an emergency: revoke at once) or 'testing' (a dry run, which changes nothing)",
});

export const preempt = z.boolean().optional().openapi({
  description:
    'Of an emergency: stop the rotation that is open, and take its tokens over. Without it an open rotation is a 409 `rotation_open`.',
});

/** Fields that one flow alone has, with the flow. */
const ofFlow = {
  force_revoke: 'operational',
  replaces: 'operational',
  target: 'revocation',
  preempt: 'revocation',
} as const;

export const createBody = z
  .strictObject({
    flow_type: flowType,
    idempotency_key: words(200).openapi({
      description: 'Yours to choose, e.g. a UUID. The same key with the same body answers with the same job.',
    }),
    force_revoke: z.boolean().default(false).openapi({
      description:
        'Lets `proceed_revoke` run although consumers are unproven, if `acknowledge_stale` names exactly those. Cannot be set later.',
    }),
    ticket_id: ticket(1).optional(),
    confirm: z.string().optional().openapi({
      description: "The credential's name; where it is sent it must match.",
    }),
    reason: words(1000).optional(),
    target: z.enum(targets).optional().openapi({
      description:
        'Of an emergency, beside an open rotation: which of its tokens leaked. Left out, everything that may be live is revoked.',
    }),
    preempt,
    replaces: words(64).optional().openapi({
      description:
        'The `rev_done` emergency whose dead token this rotation replaces: its verify expects a dead one.',
    }),
  })
  .superRefine((body, issues) => {
    for (const [field, flow] of Object.entries(ofFlow) as [keyof typeof ofFlow, string][])
      if (body[field] !== undefined && body[field] !== false && body.flow_type !== flow)
        issues.addIssue({ code: 'custom', path: [field], message: `is for flow_type '${flow}' alone` });
  })
  .openapi('CreateRotation', {
    example: {
      flow_type: 'operational',
      idempotency_key: '6f1c0a52-6a0b-4f57-9a52-0d5f7f6c2b11',
      force_revoke: false,
    },
  });

export const flagBody = z.strictObject({ enabled: z.boolean() }).openapi('SetFlag');

/** Nothing can be said of a drill: what was meant by a field would be guessed. */
export const drillBody = z.strictObject({}).openapi('AlarmTest');

/** Names of the audit trail behind which there is no person. */
const velvetSigns: readonly string[] = [systemOperator, 'schedule'];

export const newTokenBody = z
  .strictObject({
    name: words(100),
    owner: words(200)
      .refine(
        (owner) => !velvetSigns.includes(owner.toLowerCase()),
        'is how Velvet itself signs; name a person',
      )
      .openapi({
        description: 'The person behind it: two tokens of one owner are one person to the two-person gate.',
      }),
    scopes: z.array(z.enum(scopes)).min(1),
    credentials: z
      .array(z.string().regex(/^[A-Za-z0-9_.-]+\*?$|^\*$/, "a credential's name, or a prefix that ends in *"))
      .min(1)
      .optional(),
    expires_in: z.int().min(60).max(31_536_000).openapi({ description: 'Seconds, a year at most.' }),
    slack_user_id: z
      .string()
      .regex(/^[UW][A-Z0-9]+$/, 'a Slack user id, e.g. U012AB3CD')
      .optional(),
  })
  .openapi('NewServiceToken');

const nullableText = z.string().nullable();
export const rowAnswer = z
  .looseObject({
    consumer_id: z.string(),
    update_method: z.string(),
    wave: z.int(),
    distribute_status: z.string(),
    validate_status: z.string(),
    holds: z.string(),
    proof: nullableText,
    attempts: z.int(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    updated_at: z.string(),
  })
  .openapi('Consumer');

export const jobAnswer = z
  .looseObject({
    job_id: z.string(),
    credential: z.string(),
    env: z.string(),
    flow_type: z.string(),
    status: z.enum(statusNames as [string, ...string[]]),
    status_since: z.string(),
    version: z.int(),
    stuck: z.boolean(),
    stuck_reason: nullableText,
    allowed_actions: z.array(z.string()),
    consumers: z.array(rowAnswer),
    old_auth_id: nullableText,
    new_auth_id: nullableText,
    vault_ref: nullableText,
    ticket: z.enum(['verified', 'unverified']).nullable().openapi({
      description:
        'Whether the ticket system knew `ticket_id` at the step that it came with last (the gate before the revoke, an abort, a restore, mark_revoked, resolve_residual); null where none is set up, or before. Never a refusal.',
    }),
    error: z.object({ code: z.string(), detail: z.string(), at: z.string() }).nullable(),
    residual: z.array(z.looseObject({ kind: z.string() })),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .openapi('Rotation');

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int().openapi({ description: 'The HTTP status.' }),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    job_status: z.string().optional().openapi({ description: "Where a job refuses: the job's status." }),
    allowed_actions: z.array(z.string()).optional().openapi({ description: 'And what it takes instead.' }),
  })
  .openapi('Problem');

export const anyAnswer = (what: string) => ({
  description: what,
  content: { 'application/json': { schema: z.looseObject({}) } },
});
export const refused = {
  default: {
    description: 'A problem document (RFC 9457); `code` is the contract, `detail` says what to do next.',
    content: { 'application/problem+json': { schema: problemSchema } },
  },
};
export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/json': { schema } },
});
