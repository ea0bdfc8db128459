// Takes a picture of each view into the directory that is named, or of those views alone that are named behind it: what
// `cargo xtask screenshots` runs.
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Stage } from './stage.mjs';
import { LARGEST_PICTURE, picture, SCHEMES, VIEWS, WIDTHS } from './table.mjs';

/** Longer pages are cut off: their pictures would be too large. */
const HIGHEST = { 360: 1400, 1400: 900 };

const [directory, ...names] = process.argv.slice(2);
if (!directory) throw new Error('name the directory for the pictures');
const unknown = names.filter(name => !VIEWS.some(view => view.name === name));
if (unknown.length) throw new Error(`there is no view ${unknown.join(', ')}; there are ${VIEWS.map(({ name }) => name).join(', ')}`);

await mkdir(directory, { recursive: true });
const stage = await Stage.start();
try {
  for (const view of VIEWS.filter(({ name }) => !names.length || names.includes(name))) {
    await stage.each(view, async (page, scheme, width) => {
      const path = join(directory, picture(view, scheme, width));
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      const clip = { x: 0, y: 0, width, height: Math.min(height, view.highest?.[width] ?? HIGHEST[width]) };
      await page.screenshot({ path, clip, fullPage: view.isWhole ?? true, animations: 'disabled', caret: 'hide' });
      const { size } = await stat(path);
      console.log(`${path}  ${Math.ceil(size / 1024)} KB`);
      if (size > LARGEST_PICTURE) throw new Error(`${path} has ${size} bytes, more than ${LARGEST_PICTURE}: show less in this view`);
    });
  }
} finally {
  await stage.end();
}
const wanted = new Set(VIEWS.flatMap(view => SCHEMES.flatMap(scheme => WIDTHS.map(width => picture(view, scheme, width)))));
for (const name of await readdir(directory)) if (name.endsWith('.png') && !wanted.has(name)) await rm(join(directory, name));
