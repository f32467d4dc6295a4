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
    return `'${where}' is missing; it ${inWords(issue)}`;
  const subject = where === '' ? 'the body' : `'${where}'`;
  return `${subject} ${inWords(issue)}`;
}

function fieldsOf(issue: z.core.$ZodIssue): readonly string[] {
  return issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.join('.')];
}

/** Zod's codes in an operator's words; a message that one of our schemas brings stands as it is. */
function inWords(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') {
    return issue.message.startsWith('must') ? issue.message : `must be one of ${issue.values.join(', ')}`;
  }
  if (issue.code === 'invalid_type') return `must be ${nouns[issue.expected] ?? issue.expected}`;
  if (issue.code === 'too_small' && issue.origin === 'string') return 'must not be empty';
  if (issue.code === 'too_small' && issue.origin === 'array') return 'must name at least one';
  if (issue.code === 'too_small')
    return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
  if (issue.code === 'too_big')
    return `must be at most ${issue.maximum}${issue.origin === 'string' ? ' characters long' : ''}`;
  return /^(must|is|has|holds) /.test(issue.message) ? issue.message : `must be ${issue.message}`;
}

const nouns: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
};
