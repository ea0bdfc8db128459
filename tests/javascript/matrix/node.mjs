import { runCell } from './cell.mjs';

/** The client in this very process. */
export class Node {
  name = 'Node';
  run(version, options, host) { return runCell(version.modules(), options, host); }
}
