// Every page behind the login: keeps its fragments and its times up to date.
import { follow } from "./live.js";
import { showTimes, tick } from "./times.js";

showTimes(document);
tick();
follow();

// The search form keeps the state that was chosen last, which a swapped fragment knows.
document.body.addEventListener("htmx:afterSwap", () => {
  const hidden = document.getElementById("search-state");
  const source = document.getElementById("fleet")?.getAttribute("hx-get");
  if (hidden && source) hidden.value = new URL(source, location.href).searchParams.get("state") ?? "";
});
