// What a scenario of the demo is given, and what it has to answer with. Law: it tells what is wrong, so that nobody has to read the output to know.
import type { Client } from './client.ts';
import type { Wishes, World } from './stage-set.ts';
import type { Screen } from './screen.ts';
import type { Places } from './secrets.ts';

export interface Stage {
  readonly world: World;
  readonly client: Client;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly credential: string;
  readonly ticketId: string;
  /** Another person, with a token of their own. */
  readonly second: () => Promise<Client>;
  readonly pids: () => ReadonlyMap<string, number>;
  /** What a process has logged so far. */
  readonly logText: (name: string) => string;
}

export interface Told {
  /** What the JSON line says of it. */
  readonly result: Readonly<Record<string, unknown>>;
  /** What is not as it should be, in words. */
  readonly wrong: readonly string[];
  /** No secret, and in every place that is searched: a job's id. */
  readonly witness: string;
  /** Values that were alive on the way, beside those that are so at the end. */
  readonly values: readonly string[];
  /** Read when nothing goes on any more: what is searched beside Redis, logs, answers and streams. Each holds the witness. */
  readonly morePlaces: () => Promise<Places>;
}

export interface Story {
  readonly wishes: Wishes;
  tell(stage: Stage): Promise<Told>;
}
