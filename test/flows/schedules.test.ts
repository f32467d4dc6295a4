// Nothing is lost, doubled or orphaned, whatever dies when: every fault at every effect of each stage up to the written value.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'to the written value'));
