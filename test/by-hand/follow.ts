// Follows a page of docs/sop as a person would: pastes its blocks into one bash, types what is asked for, and holds each line against what the page says it prints.
import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { VaultKind } from '../../shared/manifest/sop/shell.ts';

export interface FollowOptions {
  readonly vault: VaultKind;
  /** A folder of the test's own: the installation's, with its `.env`. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** What is typed, by the variable that it is read into. */
  readonly typed: Readonly<Record<string, string>>;
  /** Where names of the manifest lead in this test, by the beginning of an address. */
  readonly names: Readonly<Record<string, string>>;
  /** The page as it is followed, where a test leaves a block out. */
  readonly without?: RegExp;
}

export interface Followed {
  readonly code: number | null;
  /** All that was seen on the screen. */
  readonly screen: string;
  /** Every argument that a program was given: what `ps` would have shown. */
  readonly arguments: string;
  /** For each line that must print something: what it must print, and what came. */
  readonly printed: readonly { readonly line: string; readonly wanted: string; readonly came: string }[];
}

const MARK = '::printed::';

/** The blocks for this vault, in order, one line each entry. */
export function commandsOf(page: string, vault: VaultKind): readonly string[] {
  const blocks = [...page.matchAll(/^```bash(?: (infisical|file)-vault)?\n([^]*?)^```$/gm)];
  if (blocks.length < 3) throw new Error('a page without commands');
  return blocks
    .filter(([, of]) => of === undefined || of === vault)
    .flatMap(([, , text = '']) => text.trimEnd().split('\n'));
}

export async function follow(page: string, options: FollowOptions): Promise<Followed> {
  const lines = commandsOf(page, options.vault).filter((line) => options.without?.test(line) !== true);
  const wanted = lines.flatMap((line) => {
    const what = / {3}# prints (.+)$/.exec(line)?.[1];
    return what === undefined ? [] : [{ line, what }];
  });
  // Around what must print something a line each that tells where its output begins and ends; the commands stay as they are.
  const script = lines.map((line) =>
    / {3}# prints /.test(line) ? `echo '${MARK}begin'\n${line}\necho '${MARK}end'` : line,
  );
  const asked = lines.flatMap((line) => /^read -r[^']*'[^]*' (\w+)(?:; echo)?$/.exec(line)?.[1] ?? []);
  const answers = asked.map((name) => {
    const value = options.typed[name];
    if (value === undefined) throw new Error(`the page asks for ${name}, and the test has none`);
    return `${value}\n`;
  });
  const ran = await inBash(script.join('\n'), answers.join(''), options);
  const outputs = ran.screen.split(`${MARK}begin\n`).slice(1);
  const printed = wanted.map(({ line, what }, index) => ({
    line,
    wanted: what,
    came: (outputs[index] ?? '').split(`${MARK}end`)[0]?.trim() ?? '',
  }));
  return { ...ran, printed };
}

/** What an `…` stands for, by the words before it; the others begin with them. */
const forms: Readonly<Record<string, RegExp>> = {
  'an id…': /^[\w-]{8,}$/,
  'the time of this write…': /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
};

/** The lines whose output is not what the page says. What adoption notes beside it comes on lines before. */
export function surprises({
  printed,
}: Followed): readonly { readonly line: string; readonly came: string }[] {
  return printed
    .filter(({ wanted, came }) => {
      const last = came.split('\n').findLast((one) => one !== '' && !one.startsWith('Its handle is ')) ?? '';
      if (!wanted.endsWith('…')) return last !== wanted;
      return !(forms[wanted]?.test(last) ?? last.startsWith(wanted.slice(0, -1)));
    })
    .map(({ line, came }) => ({ line, came }));
}

async function inBash(
  script: string,
  input: string,
  { cwd, env, names }: FollowOptions,
): Promise<Pick<Followed, 'code' | 'screen' | 'arguments'>> {
  const [shims, seen, file] = [join(cwd, 'shims'), join(cwd, 'arguments'), join(cwd, 'page.sh')];
  await mkdir(shims, { recursive: true });
  await writeFile(seen, '');
  await writeFile(file, `${script}\n`);
  const path = process.env['PATH'] ?? '';
  const velvet = fileURLToPath(new URL('../../bin/velvet.ts', import.meta.url));
  const gh = fileURLToPath(new URL('gh.ts', import.meta.url));
  // Each writes down its arguments; names of the outside lead to the simulators, and npx to this checkout.
  const programs = {
    curl: `${namesLoop(names)}exec "$REAL_CURL" "\${args[@]}"`,
    node: `exec '${process.execPath}' "$@"`,
    npx: `[ "$1" = velvet ] && shift && exec '${process.execPath}' '${velvet}' "$@"`,
    gh: `exec '${process.execPath}' '${gh}' "$@"`,
    sleep: `exec "$REAL_SLEEP" 0.05`,
  };
  for (const [name, text] of Object.entries(programs)) {
    const at = join(shims, name);
    await writeFile(at, `#!/usr/bin/env bash\nprintf '%s\\n' "${name} $*" >>'${seen}'\n${text}\n`);
    await chmod(at, 0o755);
  }
  const child = spawn('bash', [file], {
    cwd,
    env: {
      PATH: `${shims}:${path}`,
      HOME: cwd,
      REAL_CURL: await whereIs('curl'),
      REAL_SLEEP: await whereIs('sleep'),
      ...env,
    },
  });
  let screen = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (screen += String(chunk)));
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, screen, arguments: await readFile(seen, 'utf8') };
}

function namesLoop(names: Readonly<Record<string, string>>): string {
  const cases = Object.entries(names).map(
    ([from, to]) => `    '${from}'*) arg='${to}'"\${arg#'${from}'}" ;;`,
  );
  return `args=()\nfor arg in "$@"; do\n  case "$arg" in\n${cases.join('\n')}\n  esac\n  args+=("$arg")\ndone\n`;
}

async function whereIs(program: string): Promise<string> {
  const child = spawn('bash', ['-c', `command -v ${program}`]);
  let found = '';
  child.stdout.on('data', (chunk: Buffer) => (found += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`the pages of docs/sop need ${program}, and this machine has none`);
  return found.trim();
}
