// The table of errors → docs/errors.md. Pure: says what the table says and nothing else.
import { errorTable, type ErrorCode, type Retry } from './errors.ts';

interface Group {
  readonly title: string;
  /** What the codes of the group have in common, for who reads it at night. */
  readonly intro: string;
  readonly codes: readonly ErrorCode[];
}

// A group goes from its first code to the next group's first code, in the table's order; so a new code has its group by its place.
// oxfmt-ignore
const beginnings: readonly (Omit<Group, 'codes'> & { readonly first: ErrorCode })[] = [
  { first: 'invalid_request',       title: 'The request must change',            intro: 'Nothing was done. Change what `detail` names, or wait where it says so, and send it again.' },
  { first: 'action_not_allowed',    title: 'The job is not where you think',     intro: 'Nothing was done. Read the job again (`status`, `allowed_actions`, `version`) before you decide anew.' },
  { first: 'rotation_disabled',     title: 'Switched off, for now',              intro: 'Nothing was started. What runs goes on, and an emergency revocation always may.' },
  { first: 'current_token_invalid', title: 'A vendor or the vault said no',      intro: 'The answer came and was understood; nothing was changed by the call that it refused.' },
  { first: 'vendor_rate_limited',   title: 'Later it may work',                  intro: 'Nothing is broken on Velvet\'s side. A step that a worker takes is tried again by itself before the job stops at it.' },
  { first: 'vendor_no_answer',      title: 'Something may have happened',        intro: 'The outcome is unknown, never "no". Velvet looks at the vendor before it repeats anything.' },
  { first: 'consumer_on_old_value', title: 'A consumer was not proven',          intro: 'These stand on a consumer\'s row. The old token stays alive while any row is in doubt.' },
  { first: 'value_lost',            title: 'What was typed cannot be used',      intro: 'They stand in a job that waits for a value (`awaiting_reason`). Nothing was changed anywhere, and the value is not kept.' },
  { first: 'manual_revoke_required', title: 'A person is needed',                intro: 'The old token may be alive until somebody has acted.' },
  { first: 'stale_fence',           title: 'Velvet itself',                      intro: 'Mostly seen in logs. The first three are Velvet working as it should.' },
];

const codes = Object.keys(errorTable) as ErrorCode[];

export const errorGroups: readonly Group[] = beginnings.map(({ first, title, intro }, n) => {
  const next = beginnings[n + 1];
  const end = next === undefined ? codes.length : codes.indexOf(next.first);
  return { title, intro, codes: codes.slice(codes.indexOf(first), end) };
});

// oxfmt-ignore
const repeating: Record<Retry, string> = {
  never:     'not repeated by itself',
  backoff:   'may be repeated later',
  reconcile: 'looked into before it is repeated',
};

/** docs/errors.md, whole. Each code has a heading of its own name, so that `docs/errors.md#<code>` leads to it. */
export function renderErrors(): string {
  return [
    '<!-- Generated from shared/lib/errors.ts by `npm run docs`. Do not edit: change the table. -->',
    '',
    '# Errors',
    '',
    'Every error that Velvet answers with, writes into a job, or logs has one of these codes. Over HTTP it is a problem document',
    '(RFC 9457): `code` is stable and safe to program against, `detail` says what to do in this very case, `type` points here.',
    '',
    ...errorGroups.map(
      ({ title, codes }) => `- ${title}: ${codes.map((code) => `[\`${code}\`](#${code})`).join(', ')}`,
    ),
    '',
    ...errorGroups.flatMap(({ title, intro, codes }) => [
      `## ${title}`,
      '',
      intro,
      '',
      ...codes.flatMap(section),
    ]),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function section(code: ErrorCode): readonly string[] {
  const { http, retry, means, operator } = errorTable[code];
  return [
    `### ${code}`,
    '',
    `HTTP ${http} · ${repeating[retry]}`,
    '',
    means,
    '',
    `**What to do:** ${operator}`,
    '',
  ];
}
