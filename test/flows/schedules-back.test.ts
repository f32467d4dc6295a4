// The same for what follows an abort: cleanups, restores, a revocation by hand.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'back'));
