// The words in which a mistake in the manifest's shape is explained. Law: never the value itself.
import { z } from 'zod';

/**
 * What a mistake in the shape means for the person who wrote it: what is wrong, then what belongs there. Never the value
 * itself: line and column lead to it, and somebody may have pasted a secret.
 */
export function explain(issue: z.core.$ZodRawIssue): string | undefined {
  const key = labelOf(issue.path ?? []);
  if (issue.code === 'unrecognized_keys')
    return `the keys here are ${shapeKeys(issue.inst).join(', ')}; mend it or remove it`;
  const meaning = issue.inst instanceof z.ZodType ? z.globalRegistry.get(issue.inst)?.description : undefined;
  const hint = meaning === undefined ? '' : ` (${meaning})`;
  if (issue.code === 'invalid_union') {
    const missing = !Object.hasOwn(Object(issue.input), String(issue.path?.at(-1)));
    return `${key} ${missing ? 'is missing; write' : 'must be'} one of ${(issue['options'] as readonly string[]).join(', ')}`;
  }
  if (issue.input === undefined) return `${key} is missing; add it${hint}`;
  if (issue.code === 'invalid_type')
    return `${key} must be ${typeWords[issue.expected] ?? issue.expected}; mend it${hint}`;
  if (issue.code === 'invalid_value')
    return `${key} must be ${issue.values.map(String).join(' or ')}; mend it${hint}`;
  if (issue.code === 'too_small') return `${key} must be at least ${issue.minimum}; mend it${hint}`;
  if (issue.code === 'too_big') return `${key} must be at most ${issue.maximum}; mend it${hint}`;
  return undefined;
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping of keys',
  array: 'a list',
};

function labelOf(path: readonly PropertyKey[]): string {
  const key = path.findLast((step) => typeof step === 'string');
  if (key === undefined) return 'the manifest';
  return typeof path.at(-1) === 'number' ? `an entry of \`${key}\`` : `\`${key}\``;
}

function shapeKeys(schema: unknown): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
