// The cases that Hubline answers otherwise on purpose, grouped by why: [{"reason": text, "cases": [name]}].
import { existsSync, readFileSync } from 'node:fs';
import { caseWithoutLibraryTexts, difference, withoutLibraryTexts } from './compare.mjs';

export class Exceptions {
  constructor(groups = []) { this.groups = groups; this.names = new Set(groups.flatMap(g => g.cases)); }
  static read(file) { return new Exceptions(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []); }
  has(name) { return this.names.has(name); }

  /**
   * What a listed case comes to: `{ exception }` or `{ failure }`. A case marked `quirk` may differ in anything; any other only
   * in texts of .NET's libraries. One that does not differ at all has to leave the list.
   */
  judge(test, { seen, error }, differs, how) {
    if (!differs) return { failure: 'passes, but is listed as an exception: take it off the list' };
    if (test.quirk) return { exception: differs };
    const otherwise = difference(caseWithoutLibraryTexts(test), { seen: seen.map(withoutLibraryTexts), error }, how);
    if (otherwise) return { failure: `is listed as an exception, but differs in more than texts of .NET's libraries: ${otherwise}` };
    return { exception: differs };
  }

  /** What is wrong with the list itself, given the names of all cases there are. */
  mistakes(known) {
    const listed = this.groups.flatMap(g => g.cases);
    return [
      ...this.groups.filter(g => !g.reason).map(g => ({ name: g.cases[0], failure: 'is listed as an exception without a reason' })),
      ...listed.filter(name => !known.has(name)).map(name => ({ name, failure: 'is listed as an exception, but there is no such case' })),
      ...listed.filter((name, i) => listed.indexOf(name) !== i).map(name => ({ name, failure: 'is listed as an exception twice' })),
    ];
  }
}
