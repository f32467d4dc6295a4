// A test changes nothing anywhere, whatever dies when, and comes to its end: every fault at every effect of it.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'test'));
