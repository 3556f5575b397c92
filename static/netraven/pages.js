"use strict";
/* Behaviour of the operator's pages. Pages work without it: it only saves steps. */

function showTimes(root) {
  for (const element of root.querySelectorAll("time[data-when], time[data-exact]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const exact = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    if (element.hasAttribute("data-exact")) element.textContent = exact;
    else element.title = `${exact} (${element.title})`;
    element.removeAttribute("data-when");
    element.removeAttribute("data-exact");
  }
}

/* An element with data-poll asks again after so many seconds, but not while nobody looks. */
function startPolling(root) {
  const elements = [...root.querySelectorAll("[data-poll]")];
  if (root.matches?.("[data-poll]")) elements.push(root);
  for (const element of elements) {
    if (element.dataset.polled) continue;
    element.dataset.polled = "yes";
    const timer = setInterval(() => {
      if (!element.isConnected) clearInterval(timer);
      else if (!document.hidden) htmx.trigger(element, "poll");
    }, Number(element.dataset.poll) * 1000);
  }
}

/* Of a form's fields those are shown that the choice in another field asks for. */
function showChosen(form) {
  for (const element of form.querySelectorAll("[data-when-field]")) {
    const chosen = form.elements[element.dataset.whenField]?.value;
    element.hidden = chosen !== element.dataset.whenValue;
  }
}

function enliven(root) {
  for (const form of root.querySelectorAll("form")) showChosen(form);
  showTimes(root);
  startPolling(root);
}

/* What somebody asked for beside the list is read out and reached by the keyboard at once. */
document.addEventListener("htmx:afterSwap", (event) => {
  const wanted = event.detail.requestConfig?.triggeringEvent?.type === "click";
  if (wanted && event.detail.target.hasAttribute("data-focus")) event.detail.target.focus();
});

document.addEventListener("DOMContentLoaded", () => enliven(document.body));
document.addEventListener("htmx:load", (event) => enliven(event.detail.elt));

/* "/" goes to the first field of a search or filter, as on many sites. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector(".nr-page [role=search] input:not([type=hidden])");
  if (!field) return;
  event.preventDefault();
  field.focus();
});

document.addEventListener("change", (event) => {
  if (event.target.form) showChosen(event.target.form);
});

/* The theme's own listener looks for the text field that its file fields have, and fails here. */
document.addEventListener("change", (event) => {
  if (event.target.matches(".nr-page input[type=file]")) event.stopPropagation();
}, true);

/* A box in a table's head ticks the boxes of all its rows. */
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-check-all]")) return;
  const boxes = event.target.closest("table").querySelectorAll("tbody input[type=checkbox]");
  for (const box of boxes) box.checked = event.target.checked;
});

/* What a button copies: the text of an element, or what an address answers with. */
async function textToCopy(button) {
  if (button.dataset.copyFrom) {
    const answer = await fetch(button.dataset.copyFrom);
    if (!answer.ok) throw new Error(`the server answered with ${answer.status}`);
    return answer.text();
  }
  const source = document.getElementById(button.dataset.copy);
  return source.dataset.text ?? source.textContent;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button || button.dataset.label) return;
  button.dataset.label = button.textContent;
  try {
    await navigator.clipboard.writeText(await textToCopy(button));
    button.textContent = "Copied";
  } catch {
    /* Browsers give the clipboard to pages over HTTPS only. */
    button.textContent = "Could not copy; select it by hand";
  }
  setTimeout(() => {
    button.textContent = button.dataset.label;
    delete button.dataset.label;
  }, 2500);
});

/* A line that is on another page of a long configuration: #L7000 asks for the page with it. */
document.addEventListener("DOMContentLoaded", () => {
  const line = /^#L([0-9]{1,9})$/.exec(location.hash)?.[1];
  if (!line || !document.querySelector(".nr-l") || document.getElementById(`L${line}`)) return;
  const address = new URL(location.href);
  if (address.searchParams.get("line") === line) return;
  address.searchParams.set("line", line);
  location.replace(address);
});

/* From one difference to the next, by button or by the keys n and p. */
function jump(step) {
  const changes = [...document.querySelectorAll(".nr-change")];
  if (!changes.length) return;
  const at = changes.indexOf(document.activeElement.closest?.(".nr-change") ?? jump.last);
  const next = changes[at < 0 && step < 0 ? changes.length - 1 : (at + step + changes.length) % changes.length];
  jump.last = next;
  next.scrollIntoView({ block: "center" });
  next.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-jump]");
  if (button) jump(Number(button.dataset.jump));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "n") jump(1);
  if (event.key === "p") jump(-1);
});
