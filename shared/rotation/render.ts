// The tables → docs/state-machine.md. Pure: what is not in a table (or in render-words.ts) is not in the page.
import { effects, type Effect } from './effects.ts';
import { guards, type GuardName } from './guards.ts';
import { transitions, type OperatorAction } from './machine.ts';
import { residualKinds } from './residuals.ts';
import {
  edgeWords,
  flowWords,
  guardWords,
  kindWords,
  notOfFlow,
  outcomeWords,
  rowStatusWords,
} from './render-words.ts';
import { rowTransitions } from './rows.ts';
import { statuses, statusNames, type FlowType, type Kind, type Status } from './statuses.ts';

type Row = (typeof transitions)[number];

const flows = Object.keys(flowWords) as FlowType[];
const kinds = Object.keys(kindWords) as Kind[];
const target = (row: Row): Status => (row.to === 'same' ? row.from : row.to);
const code = (text: string) => `\`${text}\``;
const link = (status: Status) => `[\`${status}\`](#${status})`;

/** docs/state-machine.md, whole. Each status has a heading of its own name, so that `#<status>` leads to it. */
export function renderStateMachine(): string {
  return [
    '<!-- Generated from shared/rotation/ by `npm run docs`. Do not edit: change the tables. -->',
    '',
    '# The state machine of a job',
    '',
    'A job is one run of a flow for one credential. Its `status` changes only along the rows below. An **operator** acts through the API',
    '(`action`), a **worker** reports what happened. What may be done with a job right now is in its `allowed_actions`.',
    '',
    ...flows.flatMap(diagram),
    ...overview(),
    '## Every transition',
    '',
    'One section per status. *Stays* means that the event is recorded and the status is not entered again. The conditions of one row must',
    "all hold; what the API answers where one does not is in the table of [conditions](#conditions). The claim is the credential's lock: a test",
    'never takes it, and a job that was stopped before `verify` never had it.',
    '',
    ...statusNames.flatMap(section),
    ...consumerRows(),
    ...conditions(),
    ...whatFollows(),
    ...leftovers(),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

/** The rows that a job of this flow can ever take, in the order in which it comes to them. */
function rowsOf(flow: FlowType): readonly Row[] {
  // A test holds no claim: there is nothing to take over.
  const ofFlow = transitions.filter(
    (row) =>
      !(row.when ?? []).some((name) => notOfFlow[flow].includes(name)) &&
      !(flow === 'testing' && row.on === 'preempted'),
  );
  const seen = new Set<Status>([flow === 'revocation' ? 'rev_init' : 'init']);
  for (const status of seen) for (const row of ofFlow) if (row.from === status) seen.add(target(row));
  return [...seen].flatMap((status) => ofFlow.filter((row) => row.from === status));
}

const notDrawn = ['abort', 'preempted', 'loss_found', 'loss_put_off', 'mint_found', 'verify_forgotten'];

function diagram(flow: FlowType): readonly string[] {
  const rows = rowsOf(flow);
  const drawn = rows.filter((row) => row.to !== 'same' && !notDrawn.includes(row.on));
  const edges = new Map<string, string[]>();
  for (const row of drawn) {
    const edge = `${row.from} --> ${target(row)}`;
    edges.set(edge, [...new Set([...(edges.get(edge) ?? []), label(row)])]);
  }
  const shown = [...new Set(drawn.flatMap((row): Status[] => [row.from, target(row)]))];
  const last = shown.filter(
    (status) =>
      statuses[status].kind === 'end' || (flow === 'testing' && !drawn.some((row) => row.from === status)),
  );
  return [
    `## ${flowWords[flow].title}`,
    '',
    flowWords[flow].intro,
    '',
    '```mermaid',
    'stateDiagram-v2',
    `  [*] --> ${shown[0] ?? ''}`,
    ...[...edges].map(([edge, labels]) => `  ${edge}: ${labels.join(', ')}`),
    ...last.map((status) => `  ${status} --> [*]`),
    '  classDef gate fill:#fff3bf,color:#000',
    '  classDef failed fill:#ffd6d6,color:#000',
    '  classDef end_ fill:#d3f9d8,color:#000',
    ...kinds.flatMap((kind) => coloured(kind, shown, last)),
    '```',
    '',
    ...notDrawn.flatMap((on) => stopping(on, rows)),
  ];
}

function coloured(kind: Kind, shown: readonly Status[], last: readonly Status[]): readonly string[] {
  const which = shown.filter((status) => (last.includes(status) ? 'end' : statuses[status].kind) === kind);
  if (which.length === 0 || kind === 'automatic') return [];
  return [`  class ${which.join(', ')} ${kind === 'end' ? 'end_' : kind}`];
}

// A diagram's label: the event, and how the rows closed where that decides.
function label(row: Row): string {
  const outcomes = (row.when ?? []).flatMap((name) => edgeWords[name] ?? []);
  return outcomes.length === 0 ? row.on : `${row.on} (${outcomes.join(', ')})`;
}

function stopping(on: string, rows: readonly Row[]): readonly string[] {
  const from = [...new Set(rows.filter((row) => row.on === on && row.to !== 'same').map((row) => row.from))];
  return from.length === 0
    ? []
    : [`Not drawn: ${code(on)} leads to ${link('aborted')} from ${from.map(link).join(', ')}.`, ''];
}

function overview(): readonly string[] {
  return [
    '## Statuses',
    '',
    ...kinds.map((kind) => `- **${kind}**: ${kindWords[kind]}`),
    '',
    "The kind is that of the moment, not of the status alone: an automatic status that waits for a person only (an operator's value, or rows",
    'that are all `manual_required`) is a gate, an aborted job that is being cleaned up is automatic, and a test ends where it verified.',
    '',
    ...table(
      ['status', 'kind', 'meaning', 'an operator may'],
      statusNames.map((status) => [
        link(status),
        statuses[status].kind,
        statuses[status].means,
        mayDo(status),
      ]),
    ),
    '',
  ];
}

function mayDo(status: Status): string {
  const actions = [
    ...new Set(
      transitions
        .filter((row) => row.from === status && row.by === 'operator')
        .map((row) => row.on as OperatorAction),
    ),
  ];
  return actions.map(code).join(', ') || '–';
}

function section(status: Status): readonly string[] {
  const rows = transitions.filter((row) => row.from === status);
  const none = 'No event leads on from here.';
  const cells = rows.map((row) => [
    code(row.on),
    row.by,
    when(row.when ?? []),
    row.to === 'same' ? '*stays*' : link(row.to),
    causes(row),
  ]);
  const body = rows.length === 0 ? [none] : table(['event', 'by', 'when', 'to', 'and'], cells);
  return [`### ${status}`, '', `${statuses[status].kind}: ${statuses[status].means}.`, '', ...body, ''];
}

function when(names: readonly GuardName[]): string {
  return names.map((name) => guardWords[name]).join('; ') || '–';
}

function causes(row: Row): string {
  const claim = row.claim === undefined ? [] : [row.claim === 'take' ? 'takes the claim' : 'frees the claim'];
  const tasks = row.tasks === undefined ? [] : ['its tasks go on'];
  const fence = row.fence === undefined ? [] : ['fences off what is under way'];
  const patch = Object.entries(row.patch ?? {}).map(([field, value]) =>
    value === null
      ? `clears ${code(field)}`
      : `sets ${code(field)} to ${code(typeof value === 'string' ? value : JSON.stringify(value))}`,
  );
  return [...(row.effects ?? []).map(code), ...claim, ...fence, ...tasks, ...patch].join('; ') || '–';
}

function consumerRows(): readonly string[] {
  return [
    "## A consumer's row",
    '',
    'Each consumer of a job is a row with two statuses, `distribute_status` and `validate_status`; both move like this.',
    '',
    ...table(
      ['row status', 'meaning'],
      Object.entries(rowStatusWords).map(([status, words]) => [code(status), words]),
    ),
    '',
    ...table(
      ['from', 'event', 'to'],
      rowTransitions.map(({ from, on, to }) => [code(from), code(on), code(to)]),
    ),
    '',
    'Where no row of a phase is open any more the phase is closed, and the job gets `rows_closed` with one of four outcomes:',
    '',
    ...table(
      ['outcome', 'which means'],
      Object.entries(outcomeWords).map(([outcome, words]) => [`**${outcome}**`, words]),
    ),
    '',
  ];
}

function conditions(): readonly string[] {
  const about = { job: 'the job', input: 'the request', outcome: 'how it went' };
  return [
    '## Conditions',
    '',
    'A condition about the job decides whether an action is offered at all; one about the request is what the caller must bring. The code is',
    'what the API answers where it does not hold ([errors](errors.md)).',
    '',
    ...table(
      ['condition', 'name', 'about', 'answer'],
      (Object.keys(guards) as GuardName[]).map((name) => {
        const { about: kind, code: answer } = guards[name];
        return [
          guardWords[name],
          code(name),
          about[kind],
          kind === 'outcome' ? '–' : `[\`${answer}\`](errors.md#${answer})`,
        ];
      }),
    ),
    '',
  ];
}

function whatFollows(): readonly string[] {
  return [
    '## What a transition causes',
    '',
    'Recorded together with the status, and carried out by the workers of that queue; done twice, it does no more than once.',
    '',
    ...table(
      ['effect', 'queue', 'does'],
      (Object.keys(effects) as Effect[]).map((name) => [code(name), effects[name].queue, effects[name].does]),
    ),
    '',
  ];
}

function leftovers(): readonly string[] {
  return [
    '## What an aborted job may leave',
    '',
    ...table(
      ['residual', 'means', 'what to do'],
      Object.entries(residualKinds).map(([kind, row]) => [code(kind), row.means, row.remedy]),
    ),
    '',
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
