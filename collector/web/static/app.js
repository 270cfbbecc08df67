// Every page behind the login: keeps its fragments and its times up to date.
import { follow } from "./live.js";
import { showTimes, tick } from "./times.js";

showTimes(document);
tick();
follow();

// The search form keeps the state and the order that were chosen last, which a swapped fragment knows.
document.body.addEventListener("htmx:afterSwap", () => {
  const source = document.querySelector("[data-listing]")?.getAttribute("hx-get");
  if (source) keep(new URL(source, location.href).searchParams);
});

// Who chooses a state or an order right after typing means both: the search that is about to be sent keeps the choice,
// and what is sent for the choice has what was typed.
document.body.addEventListener("htmx:configRequest", (event) => {
  const { elt, path } = event.detail;
  const typed = document.querySelector("[role=search] input[type=search]");
  if (!typed || !elt.matches("[data-listing] a")) return;
  const wanted = new URL(path, location.href);
  keep(wanted.searchParams);
  wanted.searchParams.delete("q");
  if (typed.value.trim()) wanted.searchParams.set("q", typed.value.trim());
  event.detail.path = wanted.pathname + wanted.search;
});

function keep(chosen) {
  for (const hidden of document.querySelectorAll("[data-kept]")) hidden.value = chosen.get(hidden.name) ?? "";
}
