// What people do past Velvet: at the vendor's dashboard, in an app's settings. What they did is written down, since it explains what is seen.
import { KEY } from '../schedule/outside.ts';
import { killAll } from './faults.ts';
import { appOf, explain, focusOf, newTokenOf, tell, type Story } from './story.ts';

/** Ends a token at the vendor. */
export function endByHand(story: Story, id: string): void {
  const token = story.tokens.get(id);
  if (token === undefined) return;
  tell(story, `a hand revokes ${id}`);
  story.ended.add(token);
  story.world.outside.revokeByHand(id);
  story.unseen = true;
}

/** Writes a value into an app's settings; it makes a release, as Velvet's own write does. */
export function writeByHand(story: Story, name: string, value: string): void {
  tell(story, `a hand writes to ${name}`);
  explain(story, name, [value]);
  appOf(story, name).patchConfig({ [KEY]: value });
  story.unseen = true;
  story.calm.moved = true;
}

/** Looks after an app: from now on it restarts as it should, and it does so now. */
export function mendByHand(story: Story, name: string): void {
  const app = appOf(story, name);
  tell(story, `a hand mends ${name}`);
  app.kind = 'normal';
  app.restart();
  story.unseen = true;
  story.calm.moved = true;
}

/** Puts a good authority in place; processes read it when they start. */
export function replaceAuthority(story: Story): void {
  const { outside } = story.world;
  const { id, token } = outside.account.authorize({ description: 'velvet bootstrap', scope: ['global'] });
  tell(story, 'a hand puts a new authority in place');
  outside.bootstrap = { id, token };
  killAll(story);
  story.unseen = true;
}

export function authorityLives({ world }: Story): boolean {
  return world.outside.heroku.isLive(world.outside.bootstrap.token);
}

/** One thing that somebody does without asking. */
export async function meddle(story: Story): Promise<void> {
  const { random, world } = story;
  const job = await focusOf(story);
  const app = random.pick(world.outside.apps).name;
  const what = random.between(0, 9);
  if (what <= 3)
    writeByHand(story, app, random.chance(0.5) ? `HRKU-of-another-${random.between(1, 9)}` : baseOf(story));
  else if (what <= 5) mendByHand(story, app);
  else if (what === 6 && newTokenOf(story, job) !== null && !job.promoted)
    writeByHand(story, app, newTokenOf(story, job) ?? '');
  else if (what === 7 && job.oldAuthId !== null) endByHand(story, job.oldAuthId);
  else if (what === 8 && authorityLives(story)) endByHand(story, world.outside.bootstrap.id);
  else if (what === 9 && !authorityLives(story)) replaceAuthority(story);
  await world.turns.settle();
}

/** The value from before everything. */
const baseOf = ({ world }: Story) => world.outside.first.token;
