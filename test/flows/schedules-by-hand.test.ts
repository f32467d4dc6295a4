// Nothing is lost, doubled or orphaned where a person mints and revokes: every fault at every effect of what Velvet does around them.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'by hand'));
