// What a Markdown document asks to be run, by section. CONTRIBUTING.md says how it is written.

/**
 * The parts of a document that are run: `{ setup, sections: [{ name, line, steps }] }`. A step is one of
 * `{ kind: 'command', command, output, line }` (`output`: the lines it has to print, or `undefined` where nothing is said),
 * `{ kind: 'log', output, line }` and `{ kind: 'file', name, text, line }`. `setup` are the steps above the first `##`.
 */
export function read(markdown) {
  const sections = [{ name: 'before the first section', line: 1, steps: [] }];
  const lines = markdown.split('\n');
  let file;
  for (let at = 0; at < lines.length; at++) {
    const { steps } = sections.at(-1);
    const heading = /^(#{1,6}) (.*)/.exec(lines[at]);
    const fence = /^( *)(`{3,})([^`]*)$/.exec(lines[at]);
    const named = /^<!-- file (\S+) -->$/.exec(lines[at]);
    if (heading && heading[1].length > 1) sections.push({ name: heading[2], line: at + 1, steps: [] });
    else if (named) file = named[1];
    else if (lines[at] === '<!-- run') {
      const end = ending(lines, at, line => line === '-->');
      for (const { text, line } of continued(lines.slice(at + 1, end), at + 2)) {
        if (text) steps.push({ kind: 'command', command: text, line });
      }
      at = end;
    } else if (fence) {
      const end = ending(lines, at, line => line.trim() === fence[2]);
      const body = lines.slice(at + 1, end).map(line => line.slice(Math.min(fence[1].length, line.search(/\S|$/))));
      if (file) steps.push({ kind: 'file', name: file, text: `${body.join('\n')}\n`, line: at + 1 });
      else if (fence[3] === 'console') steps.push(...commands(body, at + 2));
      else if (fence[3] === 'log') steps.push({ kind: 'log', output: body, line: at + 1 });
      [at, file] = [end, undefined];
    }
  }
  const [{ steps: setup }, ...rest] = sections;
  return { setup, sections: rest.filter(({ steps }) => steps.length) };
}

function ending(lines, start, isEnd) {
  const end = lines.findIndex((line, index) => index > start && isEnd(line));
  if (end < 0) throw new Error(`line ${start + 1}: ${lines[start]} has no end`);
  return end;
}

/** Joins lines that end with a backslash to the next. */
function continued(lines, first) {
  const joined = [];
  let open;
  lines.forEach((text, index) => {
    if (open) open.text += `\n${text}`;
    else joined.push(open = { text, line: first + index });
    if (!text.endsWith('\\')) open = undefined;
  });
  return joined;
}

/** The commands of a `console` block, each with the output below it. */
function commands(lines, first) {
  const found = [];
  for (const { text, line } of continued(lines, first)) {
    if (text.startsWith('$ ')) found.push({ kind: 'command', command: text.slice(2), output: [], line });
    else if (found.length) found.at(-1).output.push(text);
    else throw new Error(`line ${line}: a console block begins with a command, "$ ..."`);
  }
  return found;
}
