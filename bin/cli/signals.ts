// When a command that runs on must end: a signal, or the end of the npm that started it.

/** One Ctrl-C reaches us from the terminal and once more through npm; a person who is impatient takes longer than this. */
const ECHO_MS = 1_500;

/** npm passes SIGTERM on to its shell, which dies of it without a word to us. */
const PARENT_WATCH_MS = 500;

/** Calls back for each reason to stop, in words; more than once where somebody is impatient. */
export function onReasonToStop(stop: (why: string) => void): void {
  let heardAt = Number.NEGATIVE_INFINITY;
  const heard = (why: string) => {
    if (performance.now() - heardAt < ECHO_MS) return;
    heardAt = performance.now();
    stop(why);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => heard(signal));
  // Started by hand, a shell may end before us and mean nothing by it (`nohup`, `&`).
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    heard('npm has ended');
  }, PARENT_WATCH_MS).unref();
}
