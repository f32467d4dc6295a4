// A schema's refusal in words: which field, what is wrong with it, what is expected. Never what was sent.
import type { z } from 'zod';
import { VelvetError } from '../shared/lib/errors.ts';

export function invalid(issues: readonly z.core.$ZodIssue[]): VelvetError {
  const says = issues.map(sentence);
  const fields = [...new Set(issues.flatMap(fieldsOf))];
  const detail = `${says.join('; ')}. Mend it and send it again; nothing was changed.`;
  return new VelvetError('invalid_request', `schema refused ${fields.join(', ')}`, {
    detail,
    extra: { fields },
  });
}

function sentence(issue: z.core.$ZodIssue): string {
  const where = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `'${key}'`).join(', ');
    return `unknown field ${keys}${where === '' ? '' : ` in '${where}'`}`;
  }
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `'${where}' must be one of ${issue.options.join(', ')}`;
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return `'${where}' is missing; it must be a ${issue.expected}`;
  return where === '' ? `the body: ${issue.message}` : `'${where}': ${issue.message}`;
}

function fieldsOf(issue: z.core.$ZodIssue): readonly string[] {
  return issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.join('.')];
}
