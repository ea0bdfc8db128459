// Each view of the program in Chromium, light and dark, wide and narrow: what axe finds, what the page complains of, what does not fit.
import assert from 'node:assert/strict';
import { readFile, readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { Stage } from './stage.mjs';
import { LARGEST_PICTURE, LARGEST_TOTAL, picture, SCHEMES, VIEWS, WIDTHS } from './table.mjs';

const IMAGES = new URL('../../../docs/images/', import.meta.url);
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** What axe finds, a line for each element. It comes in from outside, as the policy of the pages lets in no foreign script. */
async function findings(page, axe) {
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ target, failureSummary }) => `${id} (${impact}) at ${target}: ${failureSummary}`));
  });
}

/** Elements that reach out of the window, but for those that scroll inside of another. */
const outside = page => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  const scrolls = element => element && (/(auto|scroll|hidden|clip)/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  const all = [...document.body.querySelectorAll('*')].filter(element => element.checkVisibility() && !scrolls(element.parentElement));
  const wide = all.filter(element => element.getBoundingClientRect().right > width + 0.5).map(element => element.outerHTML.slice(0, 120));
  return document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`, ...wide] : wide;
});

describe('views', { concurrency: false }, () => {
  let stage, axe;
  before(async () => { [stage, axe] = await Promise.all([Stage.start(), readFile(AXE, 'utf8')]); });
  after(async () => { await stage?.end(); });

  for (const view of VIEWS) {
    test(`${view.name}: axe finds nothing, nothing is complained of, and all of it fits`, async () => {
      const wrong = [];
      const complaints = await stage.each(view, async (page, scheme, width) => {
        for (const found of await findings(page, axe)) wrong.push(`${scheme}, ${width}: ${found}`);
        for (const element of await outside(page)) wrong.push(`${scheme}, ${width}: does not fit: ${element}`);
      });
      assert.deepEqual(wrong, []);
      assert.deepEqual(complaints, []);
    });
  }

  test('docs/images has a picture of each, and nothing else', async () => {
    const expected = VIEWS.flatMap(view => SCHEMES.flatMap(scheme => WIDTHS.map(width => picture(view, scheme, width))));
    const files = (await readdir(IMAGES)).filter(name => name.endsWith('.png'));
    assert.deepEqual(files.sort(), expected.sort(), 'cargo xtask screenshots takes them');
    const sizes = await Promise.all(files.map(async name => [name, (await stat(new URL(name, IMAGES))).size]));
    assert.deepEqual(sizes.filter(([, size]) => size > LARGEST_PICTURE), []);
    assert.ok(sizes.reduce((sum, [, size]) => sum + size, 0) <= LARGEST_TOTAL);
  });
});
