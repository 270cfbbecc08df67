// How values read on axes and in keys.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function plain(value) {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1);
  if (size >= 1e9) return `${trimmed(value / 1e9)} G`;
  if (size >= 1e6) return `${trimmed(value / 1e6)} M`;
  if (size >= 1e4) return `${trimmed(value / 1e3)} k`;
  return trimmed(value);
}

function trimmed(value) {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1); // nobody reads more digits
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)) || Number(value.toPrecision(2)));
}

function bytes(value) {
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : trimmed(value)} ${BINARY[unit]}`;
}

function seconds(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 1) return `${trimmed(value * 1000)} ms`;
  if (size >= 7200) return `${trimmed(value / 3600)} h`;
  if (size >= 120) return `${trimmed(value / 60)} min`;
  return `${trimmed(value)} s`;
}

/** A value with its unit: `43 %`, `1.5 MiB/s`, `120 ms`. */
export function figure(value, unit) {
  if (unit === "percent") return `${trimmed(value)} %`;
  if (unit === "bytes") return bytes(value);
  if (unit === "bytes/s") return `${bytes(value)}/s`;
  if (unit === "seconds") return seconds(value);
  if (unit === "1/s") return `${plain(value)} /s`;
  return unit ? `${plain(value)} ${unit}` : plain(value);
}

/** The upper end of an axis. Shares snap to a few ends, so that an idle host looks idle and axes do not jitter. */
export function scaleTop(unit, high) {
  if (unit === "percent") return [10, 20, 50, 100].find((end) => high <= end) ?? high * 1.1;
  return high > 0 ? high * 1.15 : 1;
}

/** Steps that an axis may have: quarters of its end for shares, powers of two for bytes. undefined leaves it to uPlot. */
export function increments(unit) {
  if (unit === "percent") return [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];
  if (unit !== "bytes" && unit !== "bytes/s") return undefined;
  return Array.from({ length: 56 }, (_, power) => 2 ** power);
}

/** Labels of a time axis: 24 hours, the date where a day begins. */
export function axisTimes(_, ticks, __, ___, step) {
  let before = null;
  return ticks.map((tick) => {
    const date = new Date(tick * 1000);
    const day = date.toDateString();
    const first = before !== null && day !== before;
    before = day;
    if (step >= 86400 || first || (date.getHours() === 0 && date.getMinutes() === 0)) {
      return date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
    }
    return date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: step < 60 ? "2-digit" : undefined, hourCycle: "h23" });
  });
}
