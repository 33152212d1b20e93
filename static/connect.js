// The form that connects: wrong values are told before they leave the browser, and Save sleeps
// until the test of exactly these values has passed. The server checks the label while one types,
// and all of it again.
const form = document.getElementById("connect"), live = document.getElementById("live");
const label = form.elements.label, key = form.elements.key;
const save = document.getElementById("save"), why = document.getElementById("save-why");
const kinds = [...document.querySelectorAll("#key-kinds [data-prefix]")];

function say(field, text) {
  const err = document.getElementById(`${field.name}-e`);
  err.hidden = !text;
  err.querySelector("span").textContent = text;
  text ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
}

function awake() {
  const passed = Boolean(form.elements.proof);
  save.setAttribute("aria-disabled", !passed);
  why.hidden = passed;
  document.getElementById("test").classList.toggle("primary", !passed);
}

function changed(event) {
  const field = event.target, text = field.value.trim();
  if (field !== label && field !== key) return;
  if (live.childElementCount) live.replaceChildren();
  if (field === key) say(key, kinds.find(kind => text.startsWith(kind.dataset.prefix))?.textContent ?? "");
  awake();
}

form.addEventListener("input", changed);
save.addEventListener("click", event => {
  if (save.getAttribute("aria-disabled") !== "true") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  why.textContent = "Test the connection first. Save becomes available when the test has passed.";
  document.getElementById("test").focus();
}, true);
// A key that is visibly of another kind is not sent at all.
document.getElementById("test").addEventListener("click", event => {
  if (!kinds.some(kind => key.value.trim().startsWith(kind.dataset.prefix))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  key.focus();
}, true);
document.addEventListener("htmx:afterSettle", () => {
  for (const field of [label, key]) document.getElementById(`${field.name}-e`).hidden ? field.removeAttribute("aria-invalid") : field.setAttribute("aria-invalid", "true");
  awake();
});
awake();
