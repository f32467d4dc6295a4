// What the vault knows of a trail: its head, where whoever has Redis alone cannot write. Law: an anchor moves only along the chain that it names.
import { z } from 'zod';
import { VelvetError } from '../lib/errors.ts';
import type { Head, Loss, OpenedSeal } from './seal.ts';

const number = z.int().nonnegative();
const anchorSchema = z.object({
  n: number,
  digest: z.string(),
  to_seq: number,
  losses: number,
  at: z.string(),
  /** Public keys (SPKI, base64) whose seals are this installation's. */
  keys: z.array(z.string()),
  /** Losses that were noted, also where a later one took the note itself. */
  past: z.array(z.object({ at: z.string(), epoch: z.string(), from_seq: number, to_seq: number })),
});
export type Anchor = z.infer<typeof anchorSchema>;

/** Throws `vault_unavailable` for what is no anchor: the vault's copy is what there is to believe, so nothing is guessed instead. */
export function parseAnchor(credential: string, text: string): Anchor {
  try {
    return anchorSchema.parse(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw new VelvetError('vault_unavailable', `the audit anchor of ${credential} is not understood`, {
      detail: `The audit anchor of ${credential} in the vault is not understood. Put the slot back from a backup of the vault; nothing else is to be changed.`,
    });
  }
}

export function headOfAnchor(anchor: Anchor): Head {
  return { n: anchor.n, digest: anchor.digest, toSeq: anchor.to_seq, losses: anchor.losses };
}

/** The later of two heads: after a loss the places in the chain begin lower, so the losses count first. */
export function later(a: Head | null, b: Head | null): Head | null {
  if (a === null || b === null) return a ?? b;
  return a.losses > b.losses || (a.losses === b.losses && a.n >= b.n) ? a : b;
}

/** What stands at a place of a chain; `left` where it left with a stub. */
export type Place = { readonly digest: string } | 'left' | 'missing';

/**
 * How a chain that ends in `head` stands to a head that is known of it: contains it · noted: it was lost, and a seal made since
 * says so · shorter. `at` is what the chain has at the known place.
 */
export function compared(known: Head, head: Head, at: Place): 'contains' | 'noted' | 'shorter' {
  if (head.losses > known.losses) return 'noted';
  if (known.n === 0 || at === 'left') return 'contains';
  return at !== 'missing' && at.digest === known.digest ? 'contains' : 'shorter';
}

/** The losses that seals after so many losses note. */
export function notedIn(seals: readonly OpenedSeal[], afterLosses = 0): readonly Loss[] {
  return seals.flatMap(({ seal }) => (seal.kind === 'loss' && seal.losses > afterLosses ? [seal.lost] : []));
}

/** Both lists, each loss once, in the order of their times. */
export function lossesOf(...lists: readonly (readonly Loss[])[]): readonly Loss[] {
  const byName = new Map(lists.flat().map((loss) => [JSON.stringify(Object.values(loss)), loss]));
  return [...byName.values()].toSorted((a, b) => a.at.localeCompare(b.at));
}
