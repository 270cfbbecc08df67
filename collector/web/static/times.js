// Times come as UTC in <time datetime>. data-age becomes an age by home's clock, data-moment the reader's local time.

let clockOffset = 0; // milliseconds that home's clock is ahead of this browser's

/** Take home's clock from a reply's Date header; whole seconds are exact enough for ages. */
export function takeServerClock(header) {
  const time = Date.parse(header ?? "");
  if (!Number.isNaN(time)) clockOffset = time + 500 - Date.now();
}

/** Seconds since the epoch by home's clock. */
export function now() {
  return (Date.now() + clockOffset) / 1000;
}

/** `12 s`, `5 min`, `3 h`, `4 d`; a time in the future counts as now. */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const withYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Today `14:03:07`, this year `3 Jan 14:03:07`, before `3 Jan 2024`. */
export function moment(date, today = new Date()) {
  if (date.toDateString() === today.toDateString()) return clock.format(date);
  if (date.getFullYear() === today.getFullYear()) return `${day.format(date)} ${clock.format(date)}`;
  return withYear.format(date);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Rewrite every <time> below `root`. */
export function showTimes(root) {
  for (const element of root.querySelectorAll("time[data-age]")) {
    write(element, age(now() - Date.parse(element.dateTime) / 1000));
    if (!element.title) element.title = full.format(new Date(element.dateTime));
  }
  for (const element of root.querySelectorAll("time[data-moment]")) {
    const date = new Date(element.dateTime);
    write(element, moment(date));
    if (!element.title) element.title = full.format(date);
  }
}

/** Ages grow each second while somebody can see them. */
export function tick() {
  setInterval(() => {
    if (!document.hidden) showTimes(document);
  }, 1000);
}
