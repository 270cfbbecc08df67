// Asks for each fragment marked data-live every few seconds while the page is seen, and says when home does not answer.
import { moment, showTimes, takeServerClock } from "./times.js";

const PERIOD = 5000; // milliseconds

let lastHeard = new Date();
let pressed = false; // a mouse button or a finger is down
const lastReply = new Map(); // of each fragment, by its id

/** Start polling. Everything that asks home, charts too, reports to `heard` or `missed`. */
export function follow() {
  setInterval(() => {
    if (!document.hidden) poll();
  }, PERIOD);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) poll();
  });
  window.addEventListener("offline", missed);
  window.addEventListener("online", poll);

  window.addEventListener("pointerdown", () => (pressed = true));
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (pressed = false));

  const body = document.body;
  body.addEventListener("htmx:beforeSwap", waitForTheClick);
  body.addEventListener("htmx:beforeSwap", skipWhatIsTheSame);
  body.addEventListener("htmx:afterSwap", () => showTimes(document));
  body.addEventListener("htmx:oobAfterSwap", () => showTimes(document));
  body.addEventListener("htmx:afterOnLoad", (event) => heard(event.detail.xhr.getResponseHeader("Date")));
  body.addEventListener("htmx:sendError", missed);
  body.addEventListener("htmx:timeout", missed);
  body.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status >= 500 || status === 429) missed();
    else if (status === 404) location.reload(); // what this page shows is gone: let home say so
  });
}

function poll() {
  for (const element of document.querySelectorAll("[data-live]")) htmx.trigger(element, "live");
  document.dispatchEvent(new CustomEvent("hostward:live"));
}

/** What is pressed stays until it is let go: there is no click on what was replaced in between. The next poll shows the news. */
function waitForTheClick(event) {
  const { requestConfig, target } = event.detail;
  if (!pressed || requestConfig.triggeringEvent?.type !== "live") return;
  event.detail.shouldSwap = false;
  lastReply.delete(target.id);
  event.stopImmediatePropagation();
}

/** An unchanged fragment stays as it is, with whatever the reader has selected in it. */
function skipWhatIsTheSame(event) {
  const { target, serverResponse, xhr } = event.detail;
  if (xhr.status !== 200) return;
  if (lastReply.get(target.id) === serverResponse) event.detail.shouldSwap = false;
  lastReply.set(target.id, serverResponse);
}

/** Home answered. `date` is its reply's Date header. */
export function heard(date) {
  takeServerClock(date);
  lastHeard = new Date();
  show(false);
}

/** Home did not answer, or could not. */
export function missed() {
  show(true);
}

function show(stale) {
  const live = document.getElementById("live");
  const notice = document.getElementById("notice");
  document.documentElement.classList.toggle("stale-page", stale);
  if (live.classList.toggle("stale", stale) !== !notice.hidden) {
    live.querySelector(".live-text").textContent = stale ? "Not live" : "Live";
    notice.hidden = !stale;
    notice.textContent = stale
      ? `Home does not answer. What you see is from ${moment(lastHeard)}; this page tries again by itself.`
      : "";
  }
}
