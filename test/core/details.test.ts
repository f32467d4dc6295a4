// Every `detail` that the product can say, read by somebody who has that text alone: it says what to do next, and more than its title does.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseSync } from 'oxc-parser';
import { describe, expect, test } from 'vitest';
import { errorTable, VelvetError, type ErrorCode } from '../../shared/lib/errors.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

// As in errors.test.ts: a text without any of these describes instead of telling.
const tells =
  /\b(abort|ask|check|choose|close|confirm|copy|deal|enter|find|finish|follow|give|go on|keep|leave|let|lists|look|make|mend|mint|name|nothing|open|put|read|reject|remove|repeat|resolve|restart|retry|revoke|rotate|run|say|says|see|send|set|skip|start|use|verify|wait|write)\b/i;

interface Said {
  readonly at: string;
  /** With `…` for what is only known when it is said. */
  readonly text: string;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value;

/** The texts that an expression may be: of a condition each branch. */
function textsOf(node: unknown): readonly string[] {
  if (!isNode(node)) return [];
  if (node.type === 'Literal') return typeof node['value'] === 'string' ? [node['value']] : [];
  if (node.type === 'TemplateLiteral')
    return [(node['quasis'] as { value: { cooked: string } }[]).map(({ value }) => value.cooked).join('…')];
  if (node.type === 'ConditionalExpression')
    return [...textsOf(node['consequent']), ...textsOf(node['alternate'])];
  return [];
}

/** What is said under the name `detail` in an error: `{ detail: … }`, or a constant of that name. */
function detailsIn(file: string): readonly Said[] {
  const source = readFileSync(file, 'utf8');
  const found: Said[] = [];
  const visit = (node: unknown, inError: boolean): void => {
    if (Array.isArray(node)) return node.forEach((one) => visit(one, inError));
    if (!isNode(node)) return;
    // What a destination was seen to hold is called so, too; it is no error and tells nobody anything.
    const error =
      inError || (node.type === 'NewExpression' && (node['callee'] as Node)['name'] === 'VelvetError');
    const named =
      (error && node.type === 'Property' && (node['key'] as Node)['name'] === 'detail'
        ? node['value']
        : null) ??
      (node.type === 'VariableDeclarator' && (node['id'] as Node)['name'] === 'detail' ? node['init'] : null);
    const at = `${file}:${source.slice(0, node.start).split('\n').length}`;
    found.push(...textsOf(named).map((text) => ({ at, text })));
    Object.values(node).forEach((child) => visit(child, error));
  };
  visit(parseSync(file, source).program, false);
  return found;
}

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'api', 'workers', 'shared'], { encoding: 'utf8' }); // prettier-ignore
const details = files
  .split('\n')
  .filter((file) => file.endsWith('.ts'))
  .flatMap(detailsIn);

test('there are details to be read', () => {
  expect(details.length).toBeGreaterThan(60);
});

describe('what a code says where nobody says it better', () => {
  test.each(codes)('%s', (code) => {
    const { detail } = new VelvetError(code, 'not for operators');
    const { means, operator } = errorTable[code];
    expect(detail).not.toBe(means);
    expect(detail.endsWith(operator)).toBe(true);
    expect(operator).toMatch(tells);
    // It is the detail: whoever is sent to it stands before it already.
    expect(operator).not.toMatch(/`detail`/);
  });
});

describe('what is said in a case of its own', () => {
  const titles = new Set<string>(codes.map((code) => errorTable[code].means));

  test('is never the title alone', () => {
    expect(details.filter(({ text }) => titles.has(text.trim()))).toEqual([]);
  });

  test('tells what to do next', () => {
    // Its end is another text, which tells: the detail of the error below, the actions that are open.
    const goesOn = (text: string) => /(?:^|[.;:…]) ?…\.?$/.test(text);
    expect(details.filter(({ text }) => !goesOn(text) && !tells.test(text))).toEqual([]);
    expect(details.filter(({ text }) => goesOn(text) && !tells.test(text)).length).toBeLessThan(20);
  });

  test('is a sentence', () => {
    const broken = details.filter(({ text }) => !/[.…!]$/.test(text.trim()) && text.length > 60);
    expect(broken).toEqual([]);
  });
});
