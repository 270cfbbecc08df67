// Samples of lines: pure functions, without the page.

/** The samples of a column of values, one for each of `times`, without the places that have none. */
export function samples(times, values) {
  const line = { times: [], values: [] };
  values.forEach((value, index) => {
    if (value !== null) {
      line.times.push(times[index]);
      line.values.push(value);
    }
  });
  return line;
}

/** Replace what `line` holds from the first time of `newer` on. Both are {times, values}, times ascending. */
export function merge(line, newer) {
  if (newer.times.length === 0) return;
  let keep = line.times.length;
  while (keep > 0 && line.times[keep - 1] >= newer.times[0]) keep -= 1;
  line.times = [...line.times.slice(0, keep), ...newer.times];
  line.values = [...line.values.slice(0, keep), ...newer.values];
}

/** Forget what is older than `from`, but for one sample, so that the line still enters from the edge. */
export function trim(line, from) {
  let drop = 0;
  while (drop + 1 < line.times.length && line.times[drop + 1] < from) drop += 1;
  if (drop > 0) {
    line.times = line.times.slice(drop);
    line.values = line.values.slice(drop);
  }
}

/** One table for uPlot: times, then a column for each line. null is a hole; undefined only that another line
 * has a sample there. */
export function align(lines, step) {
  const tables = lines.map((line) => broken(line, step));
  if (tables.length === 0) return [[]];
  return uPlot.join(tables, tables.map((table) => table.map(() => 2)));
}

/** The line with a null wherever no sample came for much longer than usual, so that it is not drawn across. */
export function broken(line, step) {
  const times = [];
  const values = [];
  const limit = 2.5 * Math.max(step, usual(line.times));
  line.times.forEach((time, index) => {
    const before = line.times[index - 1];
    if (index > 0 && time - before > limit) {
      times.push(before + limit / 2.5);
      values.push(null);
    }
    times.push(time);
    values.push(line.values[index]);
  });
  return [times, values];
}

/** The median time between samples. */
function usual(times) {
  if (times.length < 2) return 0;
  const between = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  return between[between.length >> 1];
}
