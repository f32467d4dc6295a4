// One fault at one effect of one strand: what a schedule is made of. A director strikes once and lets everything else run.
import { kindOf } from '../../shared/rotation/job.ts';
import { beginEmergency, rotationIn } from './emergency.ts';
import type { Director } from './run.ts';
import type { Effect, How, Process, Strand, Turn } from './turns.ts';
import type { ScheduleWorld } from './world.ts';

/** Whose effects are counted: the how-manieth strand (from 0) that does this. */
export interface Subject {
  /** An effect's name, and for one row alone its consumer: `push_row raxx-console-prod`; or an operator's action. */
  readonly what: string;
  readonly nth?: number;
  /** The effects that a switch goes back at: of later strands of this name; the subject's own unless given. */
  readonly other?: string;
}

/** `at`: the subject's effect, from 0. `back`: how many effects the successor has done when the subject goes on. */
export type Fault =
  | { readonly kind: 'none' }
  | {
      readonly kind:
        | 'die before'
        | 'die after'
        | 'sleep'
        | 'fail'
        | 'fail thrice'
        | 'lose the answer'
        | 'lose it thrice'
        | 'lose it and hear no more'
        | 'send again'
        | 'send again later'
        | 'abort at once'
        | 'abort meanwhile'
        | 'preempt at once'
        | 'preempt meanwhile'
        | 'die and preempt';
      readonly at: number;
    }
  | {
      readonly kind:
        | 'apply late'
        | 'apply late and abort'
        | 'apply late and preempt'
        | 'apply late, abort, then preempt'
        | 'apply it late thrice, then preempt';
      readonly at: number;
      readonly lateMs: number;
    }
  | { readonly kind: 'Redis gone'; readonly at: number; readonly forMs: number }
  | { readonly kind: 'switch'; readonly at: number; readonly back: number };

export interface Interference extends Director {
  /** What the subject asked for, in order. */
  readonly effects: readonly Turn[];
  /** How many effects its successors had while it slept. */
  readonly others: number;
  readonly struck: boolean;
}

export function interfere(of: Subject, fault: Fault): Interference {
  const strands: Strand[] = [];
  const effects: Turn[] = [];
  let subject: Strand | null = null;
  let successor: Process | null = null;
  let operator: Strand | null = null;
  let repeats: Turn | null = null;
  let times = 1;
  let [struck, back, others] = [false, false, 0];
  let followed = false;

  function notice(strand: Strand): void {
    if (!isCalled(strand, of.what) || strands.includes(strand)) return;
    strands.push(strand);
    if (strands.length - 1 === (of.nth ?? 0)) subject = strand;
  }

  async function own(turn: Turn, world: ScheduleWorld): Promise<boolean> {
    if (!effects.includes(turn)) effects.push(turn);
    if (struck || fault.kind === 'none' || turn.index !== fault.at) return false;
    struck = true;
    await strike(turn, fault, world);
    // An operator who stops the job while the subject sleeps, or between two of its effects.
    if (fault.kind.includes('abort')) operator = aborter(fault, world).operate({ action: 'abort' });
    if (preempting.includes(fault.kind)) operator = beginEmergency(world);
    if (repeating.includes(fault.kind)) repeats = turn;
    return true;
  }

  function goBack(turn: Turn, world: ScheduleWorld): boolean {
    if (!struck || subject === null || subject.process.state !== 'asleep') return false;
    if (!isCalled(turn.strand, of.other ?? of.what)) return false;
    if (fault.kind === 'switch' && others === fault.back && !back) {
      back = true;
      successor = turn.strand.process;
      world.sleep(successor);
      world.wake(subject.process);
      return true;
    }
    others += 1;
    return false;
  }

  /** The same effect of a later attempt, as often as the queue tries. */
  async function again(turn: Turn, world: ScheduleWorld): Promise<boolean> {
    if (repeats === null || times === 3 || turn.strand === repeats.strand) return false;
    if (turn.strand.what !== repeats.strand.what || turn.effect.door !== repeats.effect.door) return false;
    const nobody = fault.kind === 'lose it and hear no more';
    if (!nobody && !alike(turn.effect, repeats.effect)) return false;
    times += 1;
    repeats = turn;
    const late = 'lateMs' in fault ? fault : null;
    await world.turns.serve(turn, late ?? (fault.kind === 'lose it thrice' ? 'lose' : 'fail'));
    return true;
  }

  /** An emergency that begins once the rotation was stopped, or came to a stop, with something still in flight. */
  async function follows(world: ScheduleWorld): Promise<boolean> {
    if (!struck || followed || !fault.kind.endsWith('then preempt')) return false;
    const thrice = fault.kind.includes('thrice');
    const stands = thrice ? await hasFailed(rotationIn(world)) : operator?.ended === true;
    if (!stands) return false;
    followed = true;
    beginEmergency(world);
    await world.turns.settle();
    return true;
  }

  return {
    effects,
    get others() {
      return others;
    },
    get struck() {
      return struck && (fault.kind !== 'switch' || back);
    },
    async before(world) {
      if (await follows(world)) return true;
      if (
        fault.kind.endsWith(' at once') &&
        operator?.ended === true &&
        subject?.process.state === 'asleep'
      ) {
        world.wake(subject.process);
        return true;
      }
      if (successor === null || subject?.ended !== true || successor.state !== 'asleep') return false;
      world.wake(successor);
      return true;
    },
    async turn(turn, world) {
      notice(turn.strand);
      if (await again(turn, world)) return true;
      return turn.strand === subject ? own(turn, world) : goBack(turn, world);
    },
    async rest(world) {
      const sleepers = [subject?.process, successor].filter((one) => one?.state === 'asleep');
      for (const one of sleepers) if (one) world.wake(one);
      return sleepers.length > 0;
    },
  };
}

async function strike(
  turn: Turn,
  fault: Exclude<Fault, { kind: 'none' }>,
  world: ScheduleWorld,
): Promise<void> {
  const { process } = turn.strand;
  const serve = (how: How) => world.turns.serve(turn, how);
  if (cutting.includes(fault.kind)) await serve('cut');
  if (fault.kind.startsWith('die')) world.kill(process);
  else if (fault.kind === 'Redis gone') world.dropRedis(fault.forMs);
  else if (fault.kind === 'fail' || fault.kind === 'fail thrice') await serve('fail');
  else if (fault.kind.startsWith('lose')) await serve('lose');
  else if (fault.kind === 'send again') await serve('resend');
  else if ('lateMs' in fault) await serve({ lateMs: fault.lateMs });
  else world.sleep(process);
}

const cutting: readonly Fault['kind'][] = ['die after', 'die and preempt', 'send again later'];
/** An emergency begins while the subject sleeps, or right after what befell it. */
const preempting: readonly Fault['kind'][] = [
  'preempt at once',
  'preempt meanwhile',
  'die and preempt',
  'apply late and preempt',
];
const repeating: readonly Fault['kind'][] = [
  'fail thrice',
  'lose it thrice',
  'lose it and hear no more',
  'apply it late thrice, then preempt',
];

/** Whoever the emergency is to stop is aborted; where none is to be stopped, the world's own job. */
const aborter = ({ kind }: Fault, world: ScheduleWorld) =>
  kind.endsWith('preempt') ? rotationIn(world) : world;

async function hasFailed(rotation: ScheduleWorld): Promise<boolean> {
  return kindOf(await rotation.job()) === 'failed';
}

function isCalled(strand: Strand, what: string): boolean {
  return strand.what === what || strand.what.startsWith(`${what} `);
}

/** The same verb at the same door: slots and handles have other names in each attempt. */
function alike(a: Effect, b: Effect): boolean {
  return a.door === b.door && a.name.split(' ')[0] === b.name.split(' ')[0];
}

/** Every single fault that makes sense at this effect. */
export function faultsAt({ effect, index: at }: Turn): readonly Fault[] {
  const overRedis = effect.door === 'redis' || effect.door === 'queue';
  const overNet = effect.door === 'http' || effect.door === 'vault';
  return [
    { kind: 'die before', at },
    { kind: 'die after', at },
    { kind: 'sleep', at },
    { kind: 'fail', at },
    ...(overNet ? ([{ kind: 'fail thrice', at }] as const) : []),
    ...(overNet && effect.change
      ? ([
          { kind: 'lose it thrice', at },
          { kind: 'lose it and hear no more', at },
        ] as const)
      : []),
    // Shorter than a lease, and longer than everything that anybody waits for.
    { kind: 'Redis gone', at, forMs: 8_000 },
    { kind: 'Redis gone', at, forMs: 100_000 },
    { kind: 'abort at once', at },
    { kind: 'abort meanwhile', at },
    ...(effect.change ? ([{ kind: 'lose the answer', at }] as const) : []),
    ...(overRedis && effect.change
      ? ([
          { kind: 'send again', at },
          { kind: 'send again later', at },
        ] as const)
      : []),
    ...(overNet && effect.change
      ? ([
          { kind: 'apply late', at, lateMs: 4_000 },
          { kind: 'apply late', at, lateMs: 29_999 },
          { kind: 'apply late and abort', at, lateMs: 29_999 },
        ] as const)
      : []),
  ];
}

/** Every moment of this effect at which an emergency may begin. */
export function preemptsAt({ effect, index: at }: Turn): readonly Fault[] {
  const overNet = effect.door === 'http' || effect.door === 'vault';
  return [
    { kind: 'preempt at once', at },
    { kind: 'preempt meanwhile', at },
    ...(effect.change ? ([{ kind: 'die and preempt', at }] as const) : []),
    ...(overNet && effect.change
      ? ([
          { kind: 'apply late and preempt', at, lateMs: 29_999 },
          { kind: 'apply late, abort, then preempt', at, lateMs: 29_999 },
          { kind: 'apply it late thrice, then preempt', at, lateMs: 29_999 },
        ] as const)
      : []),
  ];
}

/** A schedule's name: which effect, and what befell it. */
export function named(fault: Fault, turn: Turn | undefined): string {
  if (fault.kind === 'none') return 'undisturbed';
  const { kind, at, ...more } = fault;
  const rest = Object.entries(more).map(([key, value]) => `, ${key} ${value}`);
  return `${kind} ${at}${rest.join('')} (${turn === undefined ? 'unknown' : `${turn.effect.door} ${turn.effect.name}`})`;
}
