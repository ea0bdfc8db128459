// The list of cases that do not pass yet, grouped by what they wait for: [{"waits for": text, "cases": [name]}].
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

export class Pending {
  constructor(groups = []) { this.groups = groups; this.names = new Set(groups.flatMap(g => g.cases)); }
  static read(file) { return new Pending(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []); }
  has(name) { return this.names.has(name); }

  /** What is wrong with the list itself, given the names of all cases there are. */
  mistakes(known) {
    const listed = this.groups.flatMap(g => g.cases);
    return [
      ...listed.filter(name => !known.has(name)).map(name => ({ name, failure: 'is listed as pending, but there is no such case' })),
      ...listed.filter((name, i) => listed.indexOf(name) !== i).map(name => ({ name, failure: 'is listed as pending twice' })),
    ];
  }

  /**
   * The list after a run: what passed leaves, what fails joins the group of its reason. Cases that did not run stay.
   * `ran`: [{test, file, failure}].
   */
  after(ran, known) {
    const gone = new Set(ran.filter(r => !r.failure).map(r => r.test.name));
    const groups = this.groups.map(g => ({ ...g, cases: g.cases.filter(name => known.has(name) && !gone.has(name)) }));
    for (const { test, file } of ran.filter(r => r.failure && !this.has(r.test.name))) {
      const reason = guess(test, file);
      let group = groups.find(g => g['waits for'] === reason);
      if (!group) groups.push(group = { 'waits for': reason, cases: [] });
      group.cases.push(test.name);
    }
    for (const g of groups) g.cases.sort();
    return new Pending(groups.filter(g => g.cases.length > 0));
  }
  write(file) { writeFileSync(file, `${JSON.stringify(this.groups, null, 2)}\n`); }
}

/** A first reason for a newly listed case, for people to make precise. */
function guess(test, file) {
  const uses = value => test.steps.some(s => s.do === value || s.transport === value || s.protocol === value);
  if (uses('sse') || file === 'server-sent-events') return 'the server-sent events transport';
  if (uses('lp') || file === 'long-polling') return 'the long polling transport';
  if (uses('messagepack')) return 'MessagePack connections';
  return file;
}
